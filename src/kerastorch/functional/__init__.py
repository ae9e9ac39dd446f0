"""The functional API: from symbolic tensors to a module."""
