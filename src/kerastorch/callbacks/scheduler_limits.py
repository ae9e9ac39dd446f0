"""How far a scheduler of torch goes: its last step, and a learning rate that an earlier schedule has left low."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, SequentialLR

from kerastorch.core.errors import warn
from kerastorch.core.torch_private import milestones_of, schedulers_in
from kerastorch.optimizers.learning_rate import rates

LOW = 0.01  # of the rate that training began at: a schedule that begins below may have been meant to begin anew

_left: WeakKeyDictionary[Optimizer, list[float]] = WeakKeyDictionary()  # the rates that a schedule has ended at


def steps_left(scheduler: Any) -> int | None:
    """How many steps a scheduler can still make; `None` if it has no end.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> steps_left(torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=20))
    20
    """
    if isinstance(scheduler, ChainedScheduler):
        ends = [left for one in schedulers_in(scheduler) if (left := steps_left(one)) is not None]
        return min(ends, default=None)
    total = _total(scheduler)
    return None if total is None else total - int(scheduler.last_epoch)


def _total(scheduler: Any) -> int | None:
    """All steps of a scheduler from its beginning on."""
    if isinstance(scheduler, ChainedScheduler):
        return min((total for one in schedulers_in(scheduler) if (total := _total(one)) is not None), default=None)
    if not isinstance(scheduler, SequentialLR):
        total = getattr(scheduler, "total_steps", None)
        return total if isinstance(total, int) else None
    milestones = milestones_of(scheduler)
    begins, ends = [0, *milestones], [*milestones, None]
    found = []
    for one, begin, end in zip(schedulers_in(scheduler), begins, ends, strict=True):
        total = _total(one)
        if total is not None and (end is None or begin + total < end):
            found.append(begin + total)
    return min(found, default=None)


def check_length(scheduler: Any, interval: str, epochs: int, batches: int | None) -> None:
    """Refuse a scheduler that ends before the fit does.

    Args:
        scheduler: of torch.
        interval: `'epoch'` or `'batch'`.
        epochs: that the fit trains.
        batches: of an epoch, `None` where unknown.

    Raises:
        ValueError: with both numbers.
    """
    left = steps_left(scheduler)
    if left is None or (interval == "batch" and batches is None):
        return
    needed = epochs * (batches or 1) if interval == "batch" else epochs
    if needed > left:
        makes = f"{epochs} epochs of {batches} batches, {needed} steps" if interval == "batch" else f"{epochs} epochs"
        raise ValueError(
            f"Schedule: {type(scheduler).__name__} has {left} steps left, this fit has {makes} "
            f"(interval={interval!r}). Make it with total_steps={needed}; batches count, also if gradients are "
            "accumulated over several."
        )


def note_end(optimizer: Optimizer) -> None:
    """Remember the rates that a schedule has ended at."""
    _left[optimizer] = rates(optimizer)


def began_at(optimizer: Optimizer) -> list[float]:
    """The rates that the schedule before began at, or those the optimizer was made with."""
    made = optimizer.defaults.get("lr", 0.0)
    return [float(group.get("initial_lr", made)) for group in optimizer.param_groups]


def warn_of_low_rates(optimizer: Optimizer, before: list[float], first: list[float]) -> None:
    """Say that a new schedule begins where an earlier one has run out.

    Args:
        optimizer: with a new schedule.
        before: the rates before that was made.
        first: what `began_at` gave then.
    """
    base = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    ended = _left.get(optimizer) == before
    low = [rate == 0 or (ended and rate < LOW * old) for rate, old in zip(base, first, strict=True)]
    if all(low):
        warn(
            f"Schedule begins at a learning rate of {base[0]:g}, to which it had run out; it was {first[0]:g} once. "
            "Set model.optimizer.learning_rate before fit, or pass the same Schedule again, which begins as before."
        )
