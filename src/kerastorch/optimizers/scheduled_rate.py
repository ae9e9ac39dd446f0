"""ScheduledRate: a step hook that gives the parameter groups of an optimizer the rates of learning-rate schedules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.torch_optimizer_private import step_pre_hooks
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
        self._is_suspended = False

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Neither set rates nor count steps within the block."""
        self._is_suspended = True
        try:
            yield
        finally:
            self._is_suspended = False

    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        if self._is_suspended:
            return
        self.set_rates(optimizer)
        optimizer.param_groups[0][STEP_COUNT] = step_count(optimizer) + 1

    def set_rates(self, optimizer: TorchOptimizer) -> None:
        """Set the rates of the next step, without counting it.

        Raises:
            ValueError: A schedule returns something else than a finite number >= 0.
        """
        for index, rate in self.next_rates(optimizer).items():
            group = optimizer.param_groups[index]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def next_rates(self, optimizer: TorchOptimizer) -> dict[int, float]:
        """Return the rates of the next step, by the index of the parameter group."""
        step = step_count(optimizer)
        return {index: rate_at(schedule, step) for index, schedule in self.schedules.items()}

    @property
    def names(self) -> str:
        """Return the names of the schedules' classes, for messages."""
        return ", ".join(sorted({type(schedule).__name__ for schedule in self.schedules.values()}))


def step_count(optimizer: TorchOptimizer) -> int:
    """Return the number of steps that an optimizer with a schedule has made."""
    return int(optimizer.param_groups[0].get(STEP_COUNT, 0))


def set_step_count(optimizer: TorchOptimizer, count: int) -> None:
    """Set the number of steps that an optimizer has made, if it has a schedule."""
    if STEP_COUNT in optimizer.param_groups[0]:
        optimizer.param_groups[0][STEP_COUNT] = count


def scheduled_rate(optimizer: object) -> ScheduledRate | None:
    """Return the hook of an optimizer that sets its rates by schedules, if it has one."""
    if not isinstance(optimizer, TorchOptimizer):
        return None
    return next((hook for hook in step_pre_hooks(optimizer).values() if isinstance(hook, ScheduledRate)), None)


def first_rate(rate: Any) -> Any:
    """Return the rate of the first step: that of a schedule, and any other value itself."""
    return rate_at(rate, 0) if isinstance(rate, LearningRateSchedule) else rate


def with_first_rates(params: list[Any], rate: Any) -> tuple[list[Any], list[Any]]:
    """Replace schedules in dicts of parameter groups by their first rates.

    Args:
        params: Parameters, or dicts of parameter groups.
        rate: Learning rate of groups without one.

    Returns:
        The parameters, and the learning rate of each parameter group as it was given.
    """
    if not any(isinstance(one, dict) for one in params):
        return params, [rate]
    rates = [one.get("lr", rate) for one in params]
    return [{**one, "lr": first_rate(one["lr"])} if "lr" in one else one for one in params], rates


def has_schedule(rate: Any) -> bool:
    """Return whether a learning rate is a schedule, or a dict of rates with one."""
    rates = rate.values() if isinstance(rate, Mapping) else [rate]
    return any(isinstance(one, LearningRateSchedule) for one in rates)


def register_schedules(optimizer: TorchOptimizer, rates: Iterable[Any]) -> None:
    """Let schedules set the learning rates of an optimizer, before its other hooks.

    Args:
        optimizer: The optimizer, without hooks before a step.
        rates: Learning rate of each parameter group, as given: a number or a schedule.
    """
    schedules = {index: rate for index, rate in enumerate(rates) if isinstance(rate, LearningRateSchedule)}
    if schedules:
        optimizer.register_step_pre_hook(ScheduledRate(schedules))
