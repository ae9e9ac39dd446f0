"""What `fit`, `evaluate` and `predict` do below the surface of `Model`."""
