"""Layers under their Keras names; any `torch.nn.Module` can stand where a layer can."""

from kerastorch.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from kerastorch.layers.base import Layer
from kerastorch.layers.core import Activation, Dense, Flatten, Maxout
from kerastorch.layers.input import Input
from kerastorch.layers.regularization import Dropout

__all__ = [
    "ELU",
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "Layer",
    "LeakyReLU",
    "Maxout",
    "PReLU",
    "ReLU",
    "Softmax",
]
