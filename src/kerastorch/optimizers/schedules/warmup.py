"""Warmup: a linear rise of the learning rate before any schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_float, mismatch
from kerastorch.core.ownership import is_own
from kerastorch.optimizers.schedules.arithmetic import Arithmetic
from kerastorch.optimizers.schedules.base import ClosedFormSchedule, LearningRateSchedule, rate_at


class Warmup(ClosedFormSchedule):
    """Raise the rate along a line for some steps, then follow another schedule, or keep a constant rate.

    For `step < warmup_steps` the rate is `initial_learning_rate + (target - initial_learning_rate) * step /
    warmup_steps`, where `target` is the first rate of `learning_rate`. Afterwards it is the rate of `learning_rate` at
    `step - warmup_steps`: its own steps are counted from the end of the warm-up.

    Keras has no such class; its `CosineDecay` has a warm-up of its own, which equals this one.

    Args:
        learning_rate: A schedule, or a constant rate > 0.
        warmup_steps: Number of steps of the rise, > 0.
        initial_learning_rate: Rate of the first step, >= 0. Default 0.
        name: Name of the schedule. Default `"Warmup"`.

    Raises:
        ValueError: An argument is out of its bounds, or `learning_rate` is neither a schedule nor a number.

    >>> from kerastorch.optimizers.schedules import ExponentialDecay
    >>> schedule = Warmup(ExponentialDecay(0.8, decay_steps=1, decay_rate=0.5), warmup_steps=4)
    >>> [schedule(step) for step in range(7)]
    [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 0.4, 0.2]
    """

    _bounds = {"warmup_steps": {"above": 0}, "initial_learning_rate": {"least": 0}}

    def __init__(
        self,
        learning_rate: LearningRateSchedule | float,
        warmup_steps: float,
        initial_learning_rate: float = 0.0,
        name: str = "Warmup",
    ) -> None:
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.initial_learning_rate = initial_learning_rate
        self.name = name
        if callable(learning_rate) and not isinstance(learning_rate, LearningRateSchedule):
            raise mismatch("learning_rate", learning_rate, "a LearningRateSchedule or a number")
        if not isinstance(learning_rate, LearningRateSchedule):
            check_float("learning_rate", learning_rate, above=0)
        self.__post_init__()

    def _rate(self, step: Any, ops: Arithmetic) -> Any:
        target = self._inner(0.0)
        rise = (target - self.initial_learning_rate) * step / self.warmup_steps
        after = self._inner(ops.where(step < self.warmup_steps, 0.0, step - self.warmup_steps))
        return ops.where(step < self.warmup_steps, self.initial_learning_rate + rise, after)

    def _inner(self, step: Any) -> Any:
        """Return the rate of the schedule after the warm-up, `step` steps after it.

        Args:
            step: A float, or a tensor of floats.
        """
        schedule = self.learning_rate
        if not isinstance(schedule, LearningRateSchedule):
            return torch.full_like(step, schedule) if isinstance(step, Tensor) else schedule
        if not isinstance(step, Tensor):
            return rate_at(schedule, int(step) if step.is_integer() else step)
        if is_own(type(schedule).__call__):
            return schedule(step)
        rates = [rate_at(schedule, int(one)) for one in step.flatten().tolist()]  # the user's may take one step only
        return torch.tensor(np.reshape(rates, step.shape), dtype=step.dtype, device=step.device)
