"""ScheduledRate: a step hook that gives the parameter groups of an optimizer the rates of learning-rate schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.torch_private import step_pre_hooks
from kerastorch.optimizers.schedules.base import LearningRateSchedule, rate_at

TorchOptimizer = torch.optim.Optimizer

STEP_COUNT = "iterations"  # key of the first parameter group: number of steps made, in the state_dict of the optimizer


class ScheduledRate:
    """Hook before a step that sets learning rates by the number of steps that the optimizer has made.

    It is the first hook, because weight decay multiplies by the rate. The number of steps is the entry `'iterations'`
    of the first parameter group, so that it is in the optimizer's `state_dict` and in checkpoints. Steps that are not
    made, as `torch.amp.GradScaler` skips some, are not counted.

    Args:
        schedules: Index of a parameter group -> its schedule. Groups without one keep their rates.
    """

    def __init__(self, schedules: Mapping[int, LearningRateSchedule]) -> None:
        self.schedules = dict(schedules)

    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        self.set_rates(optimizer)
        optimizer.param_groups[0][STEP_COUNT] = step_count(optimizer) + 1

    def set_rates(self, optimizer: TorchOptimizer) -> None:
        """Set the rates of the next step, without counting it.

        Raises:
            ValueError: A schedule returns something else than a finite number >= 0.
        """
        step = step_count(optimizer)
        for index, schedule in self.schedules.items():
            group, rate = optimizer.param_groups[index], rate_at(schedule, step)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def step_count(optimizer: TorchOptimizer) -> int:
    """Return the number of steps that an optimizer with a schedule has made."""
    return int(optimizer.param_groups[0].get(STEP_COUNT, 0))


def scheduled_rate(optimizer: TorchOptimizer) -> ScheduledRate | None:
    """Return the hook of an optimizer that sets its rates by schedules, if it has one."""
    if not isinstance(optimizer, TorchOptimizer):
        return None
    return next((hook for hook in step_pre_hooks(optimizer).values() if isinstance(hook, ScheduledRate)), None)
