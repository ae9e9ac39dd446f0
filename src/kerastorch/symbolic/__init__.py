"""Symbolic tensors: what the functional API computes with before there is data."""
