"""LearningRateScheduler: the learning rate as a function of the epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.learning_rate import get_rate, set_rate
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, mismatch


class LearningRateScheduler(Callback):
    """Asks a function for the learning rate before each epoch.

    Args:
        schedule: `schedule(epoch, lr)`, or `schedule(epoch)`: the epoch, from 0, and the rate as it is -> the rate, a
            finite number >= 0.
        verbose: 1 says what it sets.

    The logs get `learning_rate`. All groups of the optimizer have one rate; for others there is `LRScheduler`.

    Raises:
        TypeError: `schedule` takes neither one argument nor two.

    >>> halve = LearningRateScheduler(lambda epoch, lr: lr if epoch < 10 else lr / 2)
    """

    logs_added = ("learning_rate",)

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_rate(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        get_rate("LearningRateScheduler", self.model.optimizer)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        now = get_rate("LearningRateScheduler", self.model.optimizer)
        found = self.schedule(epoch, now) if self._takes_rate else self.schedule(epoch)
        if isinstance(found, Tensor) and found.numel() == 1:
            found = found.item()
        rate = check_float("LearningRateScheduler: what schedule returned", found, least=0)
        set_rate(self.model.optimizer, rate)
        if self.verbose > 0:
            print_message(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate:.6g}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = get_rate("LearningRateScheduler", self.model.optimizer)


def _takes_rate(schedule: Any) -> bool:
    if not callable(schedule):
        raise mismatch("schedule", schedule, "a function (epoch, lr) -> lr or (epoch) -> lr")
    try:
        signature = inspect.signature(schedule)
    except ValueError:  # a builtin that does not tell
        return True
    for arguments in ((0, 0.1), (0,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 2
    raise TypeError(f"schedule must take (epoch, lr) or (epoch), got one that takes {signature}.")
