"""Schedules that decay exponentially, like a hyperbola, like a polynomial, or in steps."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.optimizers.schedules.arithmetic import Arithmetic
from kerastorch.optimizers.schedules.base import ClosedFormSchedule


@dataclass(eq=False, repr=False)
class ExponentialDecay(ClosedFormSchedule):
    """Decay exponentially: `initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        initial_learning_rate: Rate of the first step, >= 0.
        decay_steps: Number of steps, > 0, in which the rate is multiplied by `decay_rate` once.
        decay_rate: Factor, > 0.
        staircase: Whether `step / decay_steps` is rounded down, so that the rate falls in jumps. Default `False`.
        name: Name of the schedule. Default `"ExponentialDecay"`.

    Raises:
        ValueError: An argument is out of its bounds.

    >>> schedule = ExponentialDecay(0.1, decay_steps=100, decay_rate=0.25)
    >>> schedule(0), schedule(50), schedule(100)
    (0.1, 0.05, 0.025)
    """

    _bounds = {"initial_learning_rate": {"least": 0}, "decay_steps": {"above": 0}, "decay_rate": {"above": 0}}

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str = "ExponentialDecay"

    def _rate(self, step: Any, ops: Arithmetic) -> Any:
        progress = step / self.decay_steps
        if self.staircase:
            progress = ops.floor(progress)
        return self.initial_learning_rate * self.decay_rate**progress


@dataclass(eq=False, repr=False)
class InverseTimeDecay(ClosedFormSchedule):
    """Decay like a hyperbola: `initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        initial_learning_rate: Rate of the first step, >= 0.
        decay_steps: Number of steps, > 0, in which the denominator grows by `decay_rate`.
        decay_rate: Growth of the denominator, >= 0.
        staircase: Whether `step / decay_steps` is rounded down, so that the rate falls in jumps. Default `False`.
        name: Name of the schedule. Default `"InverseTimeDecay"`.

    Raises:
        ValueError: An argument is out of its bounds.

    >>> schedule = InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)
    >>> schedule(0), schedule(10), schedule(30)
    (0.1, 0.05, 0.025)
    """

    _bounds = {"initial_learning_rate": {"least": 0}, "decay_steps": {"above": 0}, "decay_rate": {"least": 0}}

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str = "InverseTimeDecay"

    def _rate(self, step: Any, ops: Arithmetic) -> Any:
        progress = step / self.decay_steps
        if self.staircase:
            progress = ops.floor(progress)
        return self.initial_learning_rate / (1 + self.decay_rate * progress)


@dataclass(eq=False, repr=False)
class PolynomialDecay(ClosedFormSchedule):
    """Decay like a polynomial to `end_learning_rate`; with `power=1`, the default, along a straight line.

    With `p = min(step / decay_steps, 1)` the rate is
    `(initial_learning_rate - end_learning_rate) * (1 - p) ** power + end_learning_rate`.

    Args:
        initial_learning_rate: Rate of the first step, >= 0.
        decay_steps: Number of steps, > 0, after which the rate is `end_learning_rate`.
        end_learning_rate: Last rate, >= 0. Default 0.0001.
        power: Exponent, >= 0. Default 1.
        cycle: Whether the rate rises again after `decay_steps` steps: then `decay_steps` is multiplied by the smallest
            integer that makes it at least `step`, so that the rate jumps up and decays again. Default `False`: the
            rate stays at `end_learning_rate`.
        name: Name of the schedule. Default `"PolynomialDecay"`.

    Raises:
        ValueError: An argument is out of its bounds.

    >>> schedule = PolynomialDecay(1.0, decay_steps=100, end_learning_rate=0.5)
    >>> schedule(0), schedule(50), schedule(100), schedule(1000)
    (1.0, 0.75, 0.5, 0.5)
    """

    _bounds = {
        "initial_learning_rate": {"least": 0}, "decay_steps": {"above": 0}, "end_learning_rate": {"least": 0},
        "power": {"least": 0},
    }  # fmt: skip

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str = "PolynomialDecay"

    def _rate(self, step: Any, ops: Arithmetic) -> Any:
        progress = step / self.decay_steps
        if self.cycle:
            n_cycles = ops.ceil(progress)
            progress = progress / ops.where(n_cycles == 0, 1.0, n_cycles)
        remaining = 1 - ops.clip(progress, 0.0, 1.0)
        height = self.initial_learning_rate - self.end_learning_rate
        return height * remaining**self.power + self.end_learning_rate


@dataclass(eq=False, repr=False)
class PiecewiseConstantDecay(ClosedFormSchedule):
    """Use a constant rate between each two boundaries.

    The rate is `values[0]` up to and including step `boundaries[0]`, then `values[1]` up to and including
    `boundaries[1]`, and so on; after the last boundary it is the last value.

    Args:
        boundaries: Numbers of steps, in ascending order.
        values: Rates, >= 0, one more than boundaries.
        name: Name of the schedule. Default `"PiecewiseConstant"`.

    Raises:
        ValueError: The lengths do not fit, the boundaries do not ascend, or a value is out of its bounds.

    >>> schedule = PiecewiseConstantDecay([100, 200], [1.0, 0.5, 0.1])
    >>> schedule(100), schedule(101), schedule(201)
    (1.0, 0.5, 0.1)
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str = "PiecewiseConstant"

    def __post_init__(self) -> None:
        for argument in ("boundaries", "values"):
            given = getattr(self, argument)
            if isinstance(given, (str, bytes)) or not hasattr(given, "__len__") or not hasattr(given, "__iter__"):
                raise ValueError(f"{argument} must be a list of numbers, got {given!r}.")
            setattr(self, argument, [check_float(f"each of {argument}", one, least=0) for one in given])
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"values must have one number more than boundaries, got {len(self.values)} values and "
                f"{len(self.boundaries)} boundaries."
            )
        if any(first >= second for first, second in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"boundaries must be in ascending order, got {self.boundaries}.")

    def _rate(self, step: Any, ops: Arithmetic) -> Any:
        if not isinstance(step, Tensor):
            return self.values[bisect.bisect_left(self.boundaries, step)]
        values, boundaries = step.new_tensor(self.values), step.new_tensor(self.boundaries)
        return values[torch.bucketize(step, boundaries)]
