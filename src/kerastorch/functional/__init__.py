"""The functional API: modules made from symbolic tensors, and views of existing modules."""
