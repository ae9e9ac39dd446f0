"""LRScheduler: any scheduler of `torch.optim.lr_scheduler`, stepped by `fit`."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch.optim import Optimizer, lr_scheduler

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.callback_repr import constructor_call
from kerastorch.callbacks.learning_rate import rates, set_rates
from kerastorch.callbacks.log_values import monitored_value
from kerastorch.callbacks.monitor import read_monitor
from kerastorch.callbacks.scheduler_limits import check_length, initial_rates, record_final_rates, warn_of_low_rates
from kerastorch.core.errors import check_choice, mismatch, warn
from kerastorch.core.torch_private import mark_stepped


class LRScheduler(Callback):
    """A scheduler of `torch.optim.lr_scheduler` that is stepped after each epoch or batch.

    The logs get `learning_rate`, the rate of the last batch of the epoch. If the parameter groups of the optimizer
    have different rates, the logs get `learning_rate_0`, `learning_rate_1`, ... instead.

    Args:
        scheduler: Function that takes the optimizer and returns a scheduler, or a scheduler over the model's own
            optimizer. A function is called when `fit` begins; in the next `fit` the schedule starts again, at the
            rates it started with before, or at rates set in between. A scheduler instance continues from its state.
        monitor: Name of the log that is passed to torch's `ReduceLROnPlateau`, and only for that scheduler.
            Default `None`.
        interval: `'epoch'` (default), or `'batch'`, as for `OneCycleLR`. Batches count, not optimizer steps: with
            `gradient_accumulation_steps=4` the scheduler steps four times as often as the optimizer.

    Raises:
        TypeError: `scheduler` is neither a scheduler nor a function of one argument, or the function returns no
            scheduler.
        ValueError: The scheduler is over another optimizer; `monitor` is missing or has no use; or, before the first
            batch, a scheduler with a fixed number of steps (`OneCycleLR`) has fewer steps than the fit.

    Warns:
        UserWarning: A new schedule starts at a rate to which an earlier one had run out, or the rate stays at 0
            while training continues.

    >>> from functools import partial
    >>> from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR
    >>> by_epoch = LRScheduler(lambda optimizer: CosineAnnealingLR(optimizer, 10))
    >>> by_batch = LRScheduler(partial(OneCycleLR, max_lr=0.1, total_steps=500), interval="batch")
    """

    logs_added = ("learning_rate",)

    def __init__(
        self,
        scheduler: lr_scheduler.LRScheduler | Callable[[Any], Any],
        monitor: str | None = None,
        interval: Literal["epoch", "batch"] = "epoch",
    ) -> None:
        self.monitor = monitor
        self.interval = check_choice("interval", interval, ("epoch", "batch"))
        self.modifies_training = self.interval == "batch"
        if self.modifies_training and monitor is not None and monitor.startswith("val_"):
            raise ValueError(f"batches have no {monitor!r}; with interval='batch' monitor a log of training.")
        self.scheduler: Any = None
        self._make_scheduler: Callable[[Any], Any] | None = None
        if isinstance(scheduler, lr_scheduler.LRScheduler):
            self.scheduler = scheduler
            self._check_monitor()
        else:
            self._make_scheduler = _check_factory(scheduler)
        self._last_rates: list[float] = []  # of the last batch
        self._first_rates: list[float] = []  # when the schedule of the function started
        self._final_rates: list[float] = []  # when the last fit ended
        self._n_zero_steps: int | None = None  # successive steps at rate 0; `None` before the first positive rate

    def __repr__(self) -> str:
        return constructor_call(self, scheduler=self._make_scheduler or self.scheduler)

    def state_dict(self) -> dict[str, Any]:
        if self.scheduler is None:
            return {}
        own = {"batch": self._batch, "before": self._last_rates, "began": self._first_rates}
        return {"scheduler": self.scheduler.state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batch, self._last_rates, self._first_rates = state["batch"], state["before"], state["began"]
        self.scheduler.load_state_dict(_restore_counters(self.scheduler, state["scheduler"]))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._last_rates, self._n_zero_steps = [], None
        self._attach(self.model.optimizer)
        state = self.model.trainer.state
        if state.is_fitting:
            epochs = self.params["epochs"] - state.epoch
            check_length(self.scheduler, self.interval, epochs, self.params["steps"])

    def _attach(self, optimizer: Optimizer) -> None:
        """Make the scheduler, or check that a given scheduler is over this optimizer.

        Raises:
            TypeError: The function does not return a scheduler over `optimizer`.
            ValueError: The given scheduler is over another optimizer.
        """
        rates_now, rates_at_start = rates(optimizer), initial_rates(optimizer)
        if self._make_scheduler is None:
            if self.scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"LRScheduler: the {type(self.scheduler).__name__} is over another optimizer than the model's. "
                    "Pass a function that makes it, lambda optimizer: ..., or that optimizer to compile()."
                )
            return
        if self._final_rates == rates_now:
            set_rates(optimizer, self._first_rates)
        else:
            self._first_rates = rates_now
        for group in optimizer.param_groups:
            group.pop("initial_lr", None)  # left by an earlier schedule; the new one starts at the current rates
        made = self._make_scheduler(optimizer)
        if not isinstance(made, lr_scheduler.LRScheduler) or made.optimizer is not optimizer:
            raise TypeError(
                f"LRScheduler: the function must return a scheduler over the optimizer it is given, got {made!r}."
            )
        self.scheduler = made
        self._check_monitor()
        warn_of_low_rates(optimizer, rates_now, rates_at_start)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._batch = -1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.interval == "epoch":
            return
        value = (
            None if self.monitor is None else monitored_value("LRScheduler", self.monitor, (logs or {})[self.monitor])
        )
        for _ in range(batch - self._batch):  # more than one if several batches are executed together
            self._step(value)
        self._batch = batch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        if self.interval == "epoch":
            value = None if self.monitor is None else read_monitor("LRScheduler", self.monitor, epoch, logs)
            self._last_rates = rates(self.model.optimizer)
            if self.monitor is None or value is not None:
                self._step(value)
        logged = self._last_rates or rates(self.model.optimizer)
        is_one_rate = len(set(logged)) == 1
        logs.update({"learning_rate" if is_one_rate else f"learning_rate_{at}": rate for at, rate in enumerate(logged)})

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._final_rates = rates(self.model.optimizer)
        record_final_rates(self.model.optimizer)

    def _step(self, value: float | None) -> None:
        """Step the scheduler, with the monitored value if there is one; warn when the rate stays at 0."""
        self._last_rates = rates(self.model.optimizer)
        if any(self._last_rates):
            self._n_zero_steps = 0
        elif self._n_zero_steps is not None:
            self._n_zero_steps += 1
        if self._n_zero_steps == 2:  # a single step at 0 may be the turning point of a cosine
            warn(
                f"LRScheduler: the {type(self.scheduler).__name__} has run out to a learning rate of 0 before the fit "
                "ends, so the model does not learn any more. Give it more steps, or train fewer epochs."
            )
        # while gradients accumulate, the optimizer has not stepped yet, and torch would warn of a wrong order
        mark_stepped(self.model.optimizer)
        if value is None:
            self.scheduler.step()
        else:
            self.scheduler.step(value)

    def _check_monitor(self) -> None:
        """Raise a ValueError if `monitor` is missing or has no use."""
        name = type(self.scheduler).__name__
        if isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau):
            if self.monitor is None:
                raise ValueError(f"LRScheduler: {name} needs a log to monitor; pass monitor='val_loss' or another.")
        elif self.monitor is not None:
            raise ValueError(f"LRScheduler: {name} monitors no log; leave monitor={self.monitor!r} out.")


def _check_factory(scheduler: Any) -> Callable[[Any], Any]:
    """Return `scheduler`, checked to be a function of one argument.

    Raises:
        TypeError: It cannot be called, or needs other arguments than the optimizer.
    """
    expected = "a scheduler of torch.optim.lr_scheduler, or a function of the optimizer that makes one"
    if not callable(scheduler):
        raise TypeError(str(mismatch("scheduler", scheduler, expected)))
    try:
        inspect.signature(scheduler).bind(None)
    except TypeError as error:
        name = getattr(scheduler, "__name__", repr(scheduler))
        raise TypeError(
            f"scheduler: {name} cannot be called with the optimizer alone ({error}). "
            f"Pass the other arguments, too: functools.partial({name}, ...)."
        ) from None
    return scheduler  # type: ignore[no-any-return]


def _restore_counters(current: Any, saved: Any) -> Any:
    """Return a saved state of a scheduler in which dicts are `Counter`s again where the scheduler has them.

    Args:
        current: Scheduler, or the value of one of its attributes.
        saved: Its saved state; files store a `Counter` as a plain dict.
    """
    if isinstance(current, Counter):
        return Counter(saved)
    if isinstance(current, (lr_scheduler.LRScheduler, lr_scheduler.ReduceLROnPlateau)):
        return {name: _restore_counters(vars(current).get(name), value) for name, value in saved.items()}
    if isinstance(current, (list, tuple)) and isinstance(saved, (list, tuple)) and len(current) == len(saved):
        return type(saved)(_restore_counters(one, other) for one, other in zip(current, saved, strict=True))
    return saved
