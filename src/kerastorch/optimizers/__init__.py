"""Optimizers under Keras' names, which make `torch.optim` optimizers, and `get`."""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import OPTIMIZERS
from kerastorch.optimizers import schedules
from kerastorch.optimizers.any_optimizer import Torch
from kerastorch.optimizers.base import Optimizer
from kerastorch.optimizers.keras_optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Nadam, RMSprop
from kerastorch.optimizers.lbfgs import LBFGS
from kerastorch.optimizers.loss_scale import LossScaleOptimizer
from kerastorch.optimizers.minimizers import BFGS, ConjugateGradient, NewtonCG
from kerastorch.optimizers.muon import Muon
from kerastorch.optimizers.own_optimizers import Adafactor, Ftrl, Lamb, Lion, ScheduleFreeAdamW
from kerastorch.optimizers.parameter_groups import ExceptBiasAndNorm, layerwise_rates
from kerastorch.optimizers.registry import get

__all__ = [
    "BFGS",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ConjugateGradient",
    "ExceptBiasAndNorm",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "Muon",
    "Nadam",
    "NewtonCG",
    "Optimizer",
    "RMSprop",
    "ScheduleFreeAdamW",
    "Torch",
    "get",
    "layerwise_rates",
    "schedules",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, OPTIMIZERS)
