"""Learning-rate schedules: the rate of each step of an optimizer, as its argument `learning_rate`."""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import SCHEDULES
from kerastorch.optimizers.schedules.base import LearningRateSchedule
from kerastorch.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts
from kerastorch.optimizers.schedules.decays import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from kerastorch.optimizers.schedules.serialization import deserialize, serialize
from kerastorch.optimizers.schedules.warmup import Warmup

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Warmup",
    "deserialize",
    "serialize",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, SCHEDULES)
