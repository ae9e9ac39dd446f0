"""Schedule: any scheduler of `torch.optim.lr_scheduler`, stepped by `fit`."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.learning_rate import rates, set_rates
from kerastorch.callbacks.log_values import monitored
from kerastorch.callbacks.monitor import read_monitor
from kerastorch.callbacks.scheduler_limits import began_at, check_length, note_end, warn_of_low_rates
from kerastorch.core.errors import check_choice, mismatch, warn
from kerastorch.core.torch_private import mark_stepped


class Schedule(Callback):
    """Steps a scheduler of `torch.optim.lr_scheduler` after each epoch or batch.

    Args:
        scheduler: a function of the optimizer that makes the scheduler, or a scheduler over the model's own optimizer.
            A function is called when `fit` begins; in another `fit` the schedule begins anew, at the rates it began
            with before, or at those that the optimizer was given in between. A ready scheduler goes on where it is.
        monitor: the log that torch's `ReduceLROnPlateau` looks at, and no other.
        interval: `'epoch'`, or `'batch'`, as for `OneCycleLR`. Batches count, not steps of the optimizer: with
            `gradient_accumulation_steps=4` a scheduler steps four times as often as the optimizer.

    The logs get `learning_rate`, the rate of the last batch of the epoch; `learning_rate_0`, `learning_rate_1`, ...
    where the groups of the optimizer have different ones.

    Raises:
        TypeError: neither a scheduler nor a function of one argument; a function that makes no scheduler.
        ValueError: a scheduler over another optimizer; `monitor` missing, or without a use; before the first batch, a
            scheduler with a fixed number of steps (`OneCycleLR`) that has fewer than the fit.

    Warns:
        UserWarning: a new schedule begins at a rate that has run out; the rate runs out to 0 while the fit goes on.

    >>> from functools import partial
    >>> from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR
    >>> by_epoch = Schedule(lambda optimizer: CosineAnnealingLR(optimizer, 10))
    >>> by_batch = Schedule(partial(OneCycleLR, max_lr=0.1, total_steps=500), interval="batch")
    """

    adds = ("learning_rate",)

    def __init__(
        self,
        scheduler: LRScheduler | Callable[[Any], Any],
        monitor: str | None = None,
        interval: Literal["epoch", "batch"] = "epoch",
    ) -> None:
        self.monitor = monitor
        self.interval = check_choice("interval", interval, ("epoch", "batch"))
        self.steers = self.interval == "batch"
        if self.steers and monitor is not None and monitor.startswith("val_"):
            raise ValueError(f"batches have no {monitor!r}; with interval='batch' monitor a log of training.")
        self.scheduler: Any = None
        self._make: Callable[[Any], Any] | None = None
        if isinstance(scheduler, LRScheduler):
            self.scheduler = scheduler
            self._check_monitor()
        else:
            self._make = _factory(scheduler)
        self._before: list[float] = []  # of the last batch
        self._began: list[float] = []
        self._left: list[float] = []
        self._zeros: int | None = None  # steps at a rate of 0 in a row; `None` until one was above 0 in this fit

    def state_dict(self) -> dict[str, Any]:
        if self.scheduler is None:
            return {}
        own = {"batch": self._batch, "before": self._before, "began": self._began}
        return {"scheduler": self.scheduler.state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batch, self._before, self._began = state["batch"], state["before"], state["began"]
        self.scheduler.load_state_dict(_as(self.scheduler, state["scheduler"]))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._before, self._zeros = [], None
        self._attach(self.model.optimizer)
        state = self.model.trainer.state
        if state.is_fitting:
            epochs = self.params["epochs"] - state.epoch
            check_length(self.scheduler, self.interval, epochs, self.params["steps"])

    def _attach(self, optimizer: Any) -> None:
        """Make the scheduler, if it is a function that makes it, or check that it is over this optimizer."""
        now, first = rates(optimizer), began_at(optimizer)
        if self._make is None:
            if self.scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"Schedule: the {type(self.scheduler).__name__} is over another optimizer than the model's. "
                    "Pass a function that makes it, lambda optimizer: ..., or that optimizer to compile()."
                )
            return
        if self._left == now:
            set_rates(optimizer, self._began)
        else:
            self._began = now
        for group in optimizer.param_groups:
            group.pop("initial_lr", None)  # of a schedule before: this one begins with the rates as they are
        made = self._make(optimizer)
        if not isinstance(made, LRScheduler) or made.optimizer is not optimizer:
            raise TypeError(
                f"Schedule: the function must return a scheduler over the optimizer it is given, got {made!r}."
            )
        self.scheduler = made
        self._check_monitor()
        warn_of_low_rates(optimizer, now, first)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._batch = -1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.interval == "epoch":
            return
        value = None if self.monitor is None else monitored("Schedule", self.monitor, (logs or {})[self.monitor])
        for _ in range(batch - self._batch):  # several where steps are executed together
            self._step(value)
        self._batch = batch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        if self.interval == "epoch":
            value = None if self.monitor is None else read_monitor("Schedule", self.monitor, epoch, logs)
            self._before = rates(self.model.optimizer)
            if self.monitor is None or value is not None:
                self._step(value)
        found = self._before or rates(self.model.optimizer)
        same = len(set(found)) == 1
        logs.update({"learning_rate" if same else f"learning_rate_{at}": rate for at, rate in enumerate(found)})

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._left = rates(self.model.optimizer)
        note_end(self.model.optimizer)

    def _step(self, value: float | None) -> None:
        self._before = rates(self.model.optimizer)
        if any(self._before):
            self._zeros = 0
        elif self._zeros is not None:
            self._zeros += 1
        if self._zeros == 2:  # one may be the turning point of a cosine
            warn(
                f"Schedule: the {type(self.scheduler).__name__} has run out to a learning rate of 0 while the fit goes "
                "on: what comes now is not learned. Give it more steps, or train fewer epochs."
            )
        # torch warns until the optimizer has stepped; where batches are accumulated, that is yet to come
        mark_stepped(self.model.optimizer)
        if value is None:
            self.scheduler.step()
        else:
            self.scheduler.step(value)

    def _check_monitor(self) -> None:
        name = type(self.scheduler).__name__
        if isinstance(self.scheduler, ReduceLROnPlateau):
            if self.monitor is None:
                raise ValueError(f"Schedule: {name} needs a log to look at; pass monitor='val_loss' or another.")
        elif self.monitor is not None:
            raise ValueError(f"Schedule: {name} looks at no log; leave monitor={self.monitor!r} out.")


def _factory(scheduler: Any) -> Callable[[Any], Any]:
    expected = "a scheduler of torch.optim.lr_scheduler, or a function of the optimizer that makes one"
    if not callable(scheduler):
        raise TypeError(str(mismatch("scheduler", scheduler, expected)))
    try:
        inspect.signature(scheduler).bind(None)
    except TypeError as error:
        name = getattr(scheduler, "__name__", repr(scheduler))
        raise TypeError(
            f"scheduler: {name} cannot be called with the optimizer alone ({error}). "
            f"Give it the rest: functools.partial({name}, ...)."
        ) from None
    return scheduler  # type: ignore[no-any-return]


def _as(held: Any, value: Any) -> Any:
    """A counter, which is a plain dict once it was saved, as a counter again; in schedulers of schedulers, too."""
    if isinstance(held, Counter):
        return Counter(value)
    if isinstance(held, (LRScheduler, ReduceLROnPlateau)):
        return {name: _as(vars(held).get(name), one) for name, one in value.items()}
    if isinstance(held, (list, tuple)) and isinstance(value, (list, tuple)) and len(held) == len(value):
        return type(value)(_as(one, other) for one, other in zip(held, value, strict=True))
    return value
