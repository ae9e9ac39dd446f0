"""Layers under their Keras names; any `torch.nn.Module` can stand where a layer can."""

from kerastorch.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from kerastorch.layers.augmentation import RandomCrop, RandomFlip
from kerastorch.layers.augmentation_color import RandomBrightness, RandomContrast, RandomErasing
from kerastorch.layers.augmentation_geometry import RandomRotation, RandomTranslation, RandomZoom
from kerastorch.layers.augmentation_mixing import CutMix, MixUp
from kerastorch.layers.base import Layer
from kerastorch.layers.core import Activation, Dense, Flatten, Maxout
from kerastorch.layers.discretization import Discretization
from kerastorch.layers.encoding import CategoryEncoding
from kerastorch.layers.input import Input
from kerastorch.layers.integer_lookup import IntegerLookup
from kerastorch.layers.preprocessing import Normalization, Rescaling
from kerastorch.layers.regularization import Dropout
from kerastorch.layers.string_lookup import StringLookup
from kerastorch.layers.text import TextVectorization

__all__ = [
    "ELU",
    "Activation",
    "CategoryEncoding",
    "CutMix",
    "Dense",
    "Discretization",
    "Dropout",
    "Flatten",
    "Input",
    "IntegerLookup",
    "Layer",
    "LeakyReLU",
    "Maxout",
    "MixUp",
    "Normalization",
    "PReLU",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "Rescaling",
    "Softmax",
    "StringLookup",
    "TextVectorization",
]
