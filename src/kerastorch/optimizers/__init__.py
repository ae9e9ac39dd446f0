"""Optimizers under Keras' names, which make `torch.optim` optimizers, and `get`."""

from kerastorch.optimizers.base import Optimizer
from kerastorch.optimizers.keras_optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Nadam, RMSprop
from kerastorch.optimizers.minimizers import BFGS, ConjugateGradient, NewtonCG
from kerastorch.optimizers.registry import get

__all__ = [
    "BFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ConjugateGradient",
    "Nadam",
    "NewtonCG",
    "Optimizer",
    "RMSprop",
    "get",
]


def __dir__() -> list[str]:
    return __all__
