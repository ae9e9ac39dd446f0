"""What layers and models share: recordable calls, frozen weights, access to weights."""
