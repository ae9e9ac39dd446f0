"""Base classes of layers and models: recorded calls, frozen weights, access to weights."""
