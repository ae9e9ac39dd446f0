"""Limits of torch's schedulers: the number of steps left, and a learning rate that an earlier schedule left low."""

from __future__ import annotations

from typing import Any, Literal
from weakref import WeakKeyDictionary

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, CyclicLR, OneCycleLR, SequentialLR

from kerastorch.core.errors import warn
from kerastorch.core.torch_optimizer_private import milestones_of, schedulers_in
from kerastorch.optimizers.learning_rate import rates

LOW = 0.01  # of the initial rate: a schedule that starts below was probably meant to start again
SCHEDULERS_OF_BATCHES = (OneCycleLR, CyclicLR)  # their lengths are numbers of batches

_final_rates: WeakKeyDictionary[Optimizer, list[float]] = WeakKeyDictionary()  # when the last schedule ended


def steps_left(scheduler: Any) -> int | None:
    """Return the number of steps that a scheduler can still make; `None` if it has no end.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> steps_left(torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=20))
    20
    """
    if isinstance(scheduler, ChainedScheduler):
        ends = [left for one in schedulers_in(scheduler) if (left := steps_left(one)) is not None]
        return min(ends, default=None)
    total = _total_steps(scheduler)
    return None if total is None else total - int(scheduler.last_epoch)


def _total_steps(scheduler: Any) -> int | None:
    """Return the number of steps of a scheduler from its start to its end; `None` if it has no end."""
    if isinstance(scheduler, ChainedScheduler):
        totals = [total for one in schedulers_in(scheduler) if (total := _total_steps(one)) is not None]
        return min(totals, default=None)
    if not isinstance(scheduler, SequentialLR):
        total = getattr(scheduler, "total_steps", None)
        return total if isinstance(total, int) else None
    milestones = milestones_of(scheduler)
    begins, ends = [0, *milestones], [*milestones, None]
    totals = []
    for one, begin, end in zip(schedulers_in(scheduler), begins, ends, strict=True):
        total = _total_steps(one)
        if total is not None and (end is None or begin + total < end):
            totals.append(begin + total)
    return min(totals, default=None)


def counted_interval(scheduler: Any, epochs: int, batches: int | None) -> Literal["epoch", "batch"]:
    """Return what the lengths of a scheduler count: batches, if its class does and it was not made for the epochs.

    Args:
        scheduler: Scheduler of torch.
        epochs: Number of epochs that the fit trains.
        batches: Number of batches of an epoch, `None` if it is unknown.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9)
    >>> scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=20)
    >>> counted_interval(scheduler, epochs=4, batches=5), counted_interval(scheduler, epochs=20, batches=5)
    ('batch', 'epoch')
    """
    if not isinstance(scheduler, SCHEDULERS_OF_BATCHES):
        return "epoch"
    return "epoch" if steps_left(scheduler) == epochs and batches != 1 else "batch"


def check_length(scheduler: Any, interval: str, epochs: int, batches: int | None) -> None:
    """Check that a scheduler does not end before the fit does.

    Args:
        scheduler: Scheduler of torch.
        interval: `'epoch'` or `'batch'`: when the scheduler steps.
        epochs: Number of epochs that the fit trains.
        batches: Number of batches of an epoch, `None` if it is unknown.

    Raises:
        ValueError: The fit makes more steps than are left; the message has both numbers.
    """
    left = steps_left(scheduler)
    if left is None or (interval == "batch" and batches is None):
        return
    needed = epochs * (batches or 1) if interval == "batch" else epochs
    if needed > left:
        makes = f"{epochs} epochs of {batches} batches, {needed} steps" if interval == "batch" else f"{epochs} epochs"
        raise ValueError(
            f"LRScheduler: {type(scheduler).__name__} has {left} steps left, this fit has {makes} "
            f"(interval={interval!r}). Make it with total_steps={needed}; batches count, also if gradients are "
            "accumulated over several."
        )


def record_final_rates(optimizer: Optimizer) -> None:
    """Record the rates of an optimizer at the end of a schedule, for `warn_of_low_rates`."""
    _final_rates[optimizer] = rates(optimizer)


def initial_rates(optimizer: Optimizer) -> list[float]:
    """Return the rates at which the last schedule of an optimizer started, by default those it was made with."""
    default = optimizer.defaults.get("lr", 0.0)
    return [float(group.get("initial_lr", default)) for group in optimizer.param_groups]


def warn_of_low_rates(optimizer: Optimizer, before: list[float], first: list[float]) -> None:
    """Warn if a new schedule starts at rates to which an earlier schedule has run out.

    Args:
        optimizer: Optimizer with the new schedule.
        before: Rates of its parameter groups before the new schedule was made.
        first: Result of `initial_rates` before the new schedule was made.
    """
    base = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    has_ended = _final_rates.get(optimizer) == before
    is_low = [rate == 0 or (has_ended and rate < LOW * old) for rate, old in zip(base, first, strict=True)]
    if all(is_low):
        warn(
            f"LRScheduler begins at a learning rate of {base[0]:g}, to which it had run out; it was {first[0]:g} once. "
            "Set model.optimizer.learning_rate before fit, or pass the same LRScheduler again, which begins as before."
        )
