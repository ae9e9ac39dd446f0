"""Symbolic tensors: the inputs and outputs of layers in a functional model, before there are data."""
