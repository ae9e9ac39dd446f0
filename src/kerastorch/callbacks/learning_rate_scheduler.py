"""LearningRateScheduler: the learning rate as a function of the epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.learning_rate import check_not_scheduled, get_rate, log_rates, rates, set_rate
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, mismatch


class LearningRateScheduler(Callback):
    """A callback that sets the learning rate before each epoch to the result of a function.

    All parameter groups of the optimizer must have one rate; for different rates use `LRScheduler`. For a rate that
    changes with each step give the optimizer a schedule of `kerastorch.optimizers.schedules`.

    Args:
        schedule: Function `schedule(epoch, lr)` or `schedule(epoch)` of the number of the epoch, from 0, and the
            current rate. It returns the new rate, a finite number >= 0.
        verbose: 1 prints each rate that is set. Default 0.

    Raises:
        TypeError: `schedule` takes neither one argument nor two.
        ValueError: `schedule` is not a function; or, during `fit`, it returned no such number, the parameter groups
            have different rates, or the optimizer has a schedule of its own.

    >>> halve = LearningRateScheduler(lambda epoch, lr: lr if epoch < 10 else lr / 2)
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_rate(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        check_not_scheduled("LearningRateScheduler", self.model.optimizer)
        get_rate("LearningRateScheduler", self.model.optimizer)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        rate = get_rate("LearningRateScheduler", self.model.optimizer)
        result = self.schedule(epoch, rate) if self._takes_rate else self.schedule(epoch)
        if isinstance(result, Tensor) and result.numel() == 1:
            result = result.item()
        rate = check_float("LearningRateScheduler: what schedule returned", result, least=0)
        set_rate(self.model.optimizer, rate)
        if self.verbose > 0:
            print_message(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate:.6g}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        log_rates(logs, self.model.optimizer, rates(self.model.optimizer))


def _takes_rate(schedule: Any) -> bool:
    """Return whether a function takes `(epoch, lr)`, not `(epoch)` only.

    Raises:
        TypeError: It takes neither.
        ValueError: It is not a function.
    """
    if not callable(schedule):
        raise mismatch("schedule", schedule, "a function (epoch, lr) -> lr or (epoch) -> lr")
    try:
        signature = inspect.signature(schedule)
    except ValueError:  # a builtin without a signature
        return True
    for arguments in ((0, 0.1), (0,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 2
    raise TypeError(f"schedule must take (epoch, lr) or (epoch), got one that takes {signature}.")
