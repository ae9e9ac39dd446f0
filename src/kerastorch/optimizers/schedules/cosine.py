"""Schedules that decay like half a period of a cosine, once or again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kerastorch.optimizers.schedules.arithmetic import Arithmetic
from kerastorch.optimizers.schedules.base import ClosedFormSchedule


@dataclass(eq=False, repr=False)
class CosineDecay(ClosedFormSchedule):
    """Decay like half a period of a cosine (Loshchilov & Hutter 2016), after a linear warm-up if one is given.

    With `p = min(step / decay_steps, 1)` the rate is
    `initial_learning_rate * ((1 - alpha) * (1 + cos(pi * p)) / 2 + alpha)`.

    With `warmup_target` the rate first rises along a line from `initial_learning_rate` to `warmup_target`, in
    `warmup_steps` steps. The decay begins after them, at `warmup_target`.

    Args:
        initial_learning_rate: Rate of the first step, >= 0.
        decay_steps: Number of steps of the decay, > 0, without those of the warm-up.
        alpha: Last rate as a fraction of the highest one, from 0 to 1. Default 0.
        name: Name of the schedule. Default `"CosineDecay"`.
        warmup_target: Rate at the end of the warm-up, >= 0. Default: no warm-up.
        warmup_steps: Number of steps of the warm-up, >= 0. Default 0.

    Raises:
        ValueError: An argument is out of its bounds; `warmup_steps` without `warmup_target`.

    >>> schedule = CosineDecay(0.0, decay_steps=100, warmup_target=0.1, warmup_steps=10)
    >>> schedule(0), schedule(5), schedule(10), round(schedule(60), 6), schedule(110)
    (0.0, 0.05, 0.1, 0.05, 0.0)
    """

    _bounds = {
        "initial_learning_rate": {"least": 0}, "decay_steps": {"above": 0}, "alpha": {"least": 0, "most": 1},
        "warmup_target": {"least": 0}, "warmup_steps": {"least": 0},
    }  # fmt: skip

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    name: str = "CosineDecay"
    warmup_target: float | None = None
    warmup_steps: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_steps and self.warmup_target is None:
            raise ValueError("warmup_steps does nothing without warmup_target, the rate at the end of the warm-up.")

    def _rate(self, step: Any, ops: Arithmetic) -> Any:
        if self.warmup_target is None:
            return self._decayed(self.initial_learning_rate, step, ops)
        decayed = self._decayed(self.warmup_target, step - self.warmup_steps, ops)
        if not self.warmup_steps:
            return decayed
        rise = (self.warmup_target - self.initial_learning_rate) * step / self.warmup_steps
        return ops.where(step < self.warmup_steps, self.initial_learning_rate + rise, decayed)

    def _decayed(self, highest: float, step: Any, ops: Arithmetic) -> Any:
        """Return the rate `step` steps after the decay began at the rate `highest`."""
        progress = ops.clip(step / self.decay_steps, 0.0, 1.0)
        return highest * ((1 - self.alpha) * (0.5 + 0.5 * ops.cos(math.pi * progress)) + self.alpha)


@dataclass(eq=False, repr=False)
class CosineDecayRestarts(ClosedFormSchedule):
    """Decay like half a period of a cosine, again and again, in longer periods (SGDR, Loshchilov & Hutter 2016).

    Period `i`, counted from 0, has `first_decay_steps * t_mul ** i` steps and begins at the rate
    `initial_learning_rate * (alpha + (1 - alpha) * m_mul ** i)`. With the fraction `p` of the period that is over, the
    rate is `initial_learning_rate * ((1 - alpha) * m_mul ** i * (1 + cos(pi * p)) / 2 + alpha)`.

    Args:
        initial_learning_rate: Rate of the first step, >= 0.
        first_decay_steps: Number of steps of the first period, > 0.
        t_mul: Length of a period divided by that of the period before, >= 1. Default 2.
        m_mul: Height of a period divided by that of the period before, > 0. Default 1.
        alpha: Lowest rate as a fraction of `initial_learning_rate`, from 0 to 1. Default 0.
        name: Name of the schedule. Default `"SGDRDecay"`.

    Raises:
        ValueError: An argument is out of its bounds.

    >>> schedule = CosineDecayRestarts(0.1, first_decay_steps=100)
    >>> schedule(0), round(schedule(50), 6), schedule(100), round(schedule(200), 6), schedule(300)
    (0.1, 0.05, 0.1, 0.05, 0.1)
    """

    _bounds = {
        "initial_learning_rate": {"least": 0}, "first_decay_steps": {"above": 0}, "t_mul": {"least": 1},
        "m_mul": {"above": 0}, "alpha": {"least": 0, "most": 1},
    }  # fmt: skip

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str = "SGDRDecay"

    def _rate(self, step: Any, ops: Arithmetic) -> Any:
        periods = step / self.first_decay_steps
        index = self._period(periods, ops)
        progress = (periods - self._start(index)) / self.t_mul**index
        height = self.m_mul**index * (0.5 + 0.5 * ops.cos(math.pi * progress))
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)

    def _start(self, index: Any) -> Any:
        """Return where period `index` starts, in lengths of the first period."""
        return index if self.t_mul == 1 else (self.t_mul**index - 1) / (self.t_mul - 1)

    def _period(self, periods: Any, ops: Arithmetic) -> Any:
        """Return the index of the period that contains a point, in lengths of the first period."""
        if self.t_mul == 1:
            return ops.floor(periods)
        index = ops.floor(ops.log(1 + periods * (self.t_mul - 1)) / math.log(self.t_mul))
        # at the start of a period the quotient of the logarithms may be rounded to either side of the integer
        index = ops.where(periods >= self._start(index + 1), index + 1, index)
        return ops.where(periods < self._start(index), index - 1, index)
