"""LearningRateScheduler: the learning rate as a function of the epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.learning_rate import ModelRates, listed
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, mismatch


class LearningRateScheduler(Callback):
    """A callback that sets the learning rate before each epoch to the result of a function.

    A function of `(epoch, lr)` is called for each different rate if parameter groups, or several optimizers, have
    different ones. For a rate that changes with each step give the optimizer a schedule of
    `kerastorch.optimizers.schedules`.

    Args:
        schedule: Function `schedule(epoch, lr)` or `schedule(epoch)` of the number of the epoch, from 0, and the
            current rate. It returns the new rate, a finite number >= 0.
        verbose: 1 prints each rate that is set. Default 0.

    Raises:
        TypeError: `schedule` takes neither one argument nor two.
        ValueError: `schedule` is not a function; or, during `fit`, it returned no such number, it does not take the
            rate and parameter groups have different ones, or the optimizer has a schedule of its own.

    >>> halve = LearningRateScheduler(lambda epoch, lr: lr if epoch < 10 else lr / 2)
    """

    every_rank = True

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_rate(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._rates = ModelRates("LearningRateScheduler", self.model.optimizers)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if not self._takes_rate:
            self._rates.check_common("Let schedule take (epoch, lr): it is called for each rate.")
        changed = self._rates.change(lambda rate: self._new_rate(epoch, rate))
        if self.verbose > 0:
            print_message(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {listed(changed)}.")

    def _new_rate(self, epoch: int, rate: float) -> float:
        result = self.schedule(epoch, rate) if self._takes_rate else self.schedule(epoch)
        if isinstance(result, Tensor) and result.numel() == 1:
            result = result.item()
        return check_float("LearningRateScheduler: what schedule returned", result, least=0)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._rates.log(logs)


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
