"""LRScheduler: any scheduler of `torch.optim.lr_scheduler`, stepped by `fit`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch.optim import Optimizer, lr_scheduler

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.callback_repr import constructor_call
from kerastorch.callbacks.learning_rate import check_not_scheduled, log_rates, rates, set_rates
from kerastorch.callbacks.log_values import monitored_value
from kerastorch.callbacks.monitor import read_monitor
from kerastorch.callbacks.scheduler_factory import SchedulerFactory
from kerastorch.callbacks.scheduler_limits import (
    check_length,
    counted_interval,
    initial_rates,
    record_final_rates,
    warn_of_low_rates,
)
from kerastorch.core.errors import check_choice, warn
from kerastorch.core.torch_optimizer_private import mark_stepped


class LRScheduler(Callback):
    """A scheduler of `torch.optim.lr_scheduler` that is stepped after each epoch or batch.

    The schedules of `kerastorch.optimizers.schedules` need no callback: they are the `learning_rate` of an optimizer.

    Lengths that the scheduler needs and that you leave out are those of the fit: `total_steps` of `OneCycleLR`, `T_max`
    of `CosineAnnealingLR`, `total_iters` of `PolynomialLR`, and of `LinearLR` if its rate falls; `epochs` and
    `steps_per_epoch`; and arguments of these names that a function of your own has without a default.

    The log `learning_rate` of an epoch is the rate of its last batch.

    Args:
        scheduler: Name of a class in `torch.optim.lr_scheduler`, such as `'one_cycle'`, `'OneCycleLR'` or
            `'cosine_annealing'`; such a class; a function that takes the optimizer and returns a scheduler; or a
            scheduler over the model's own optimizer. A name, class or function makes a scheduler when `fit` begins; in
            the next `fit` the schedule starts again, at the rates it started with before, or at rates set in between. A
            scheduler instance continues from its state.
        monitor: Name of the log that is passed to torch's `ReduceLROnPlateau`, and only for that scheduler.
            Default `None`.
        interval: `'epoch'` or `'batch'`: after what the scheduler steps. Default: what it counts. That is batches for
            `OneCycleLR` and `CyclicLR`, and for functions with an argument `total_steps` or `steps_per_epoch`; but
            epochs for a scheduler whose number of steps is the number of epochs, and for all others. Batches count, not
            optimizer steps: with `gradient_accumulation_steps=4` the scheduler steps four times as often as the
            optimizer.
        optimizer: Name of the optimizer whose rate is scheduled, if the model has several. Default: the only one.
        **arguments: Arguments of the class or function, such as `max_lr=0.1`.

    Raises:
        TypeError: `scheduler` is none of these; an argument is unknown or missing; or the function returns no
            scheduler.
        ValueError: The name is unknown; the scheduler is over another optimizer; `monitor` is missing or has no use;
            or, before the first batch, a scheduler with a fixed number of steps (`OneCycleLR`) has fewer steps than the
            fit, a length is left out that is not known, or the optimizer has a schedule of its own.

    Warns:
        UserWarning: A new schedule starts at a rate to which an earlier one had run out, or the rate stays at 0
            while training continues.

    >>> import torch
    >>> by_batch = LRScheduler("one_cycle", max_lr=0.1)
    >>> by_epoch = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=10, gamma=0.5)
    >>> by_function = LRScheduler(lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer))
    >>> by_batch
    LRScheduler(scheduler=OneCycleLR, max_lr=0.1)
    """

    every_rank = True

    def __init__(
        self,
        scheduler: str | type[lr_scheduler.LRScheduler] | lr_scheduler.LRScheduler | Callable[..., Any],
        monitor: str | None = None,
        interval: Literal["epoch", "batch"] | None = None,
        optimizer: str | None = None,
        **arguments: Any,
    ) -> None:
        self.monitor, self.optimizer = monitor, optimizer
        self.interval = None if interval is None else check_choice("interval", interval, ("epoch", "batch"))
        if self.interval == "batch" and monitor is not None and monitor.startswith("val_"):
            raise ValueError(f"batches have no {monitor!r}; with interval='batch' monitor a log of training.")
        self.scheduler: Any = None
        self._factory: SchedulerFactory | None = None
        if isinstance(scheduler, lr_scheduler.LRScheduler):
            if arguments:
                raise TypeError(
                    f"LRScheduler: the {type(scheduler).__name__} exists already; give its arguments "
                    f"({', '.join(arguments)}) where it is made, or pass its class."
                )
            self.scheduler = scheduler
            self._check_monitor(type(scheduler))
        else:
            self._factory = SchedulerFactory(scheduler, arguments)
            if self._factory.kind is not None:
                self._check_monitor(self._factory.kind)
        self._set_interval(self.interval or "epoch")
        self._last_rates: list[float] = []  # of the last batch
        self._first_rates: list[float] = []  # when the schedule of the function started
        self._final_rates: list[float] = []  # when the last fit ended
        self._n_zero_steps: int | None = None  # successive steps at rate 0; `None` before the first positive rate

    def _set_interval(self, interval: str) -> None:
        """Step after each epoch or after each batch from now on."""
        self._interval = interval
        self.modifies_training = interval == "batch"

    def __repr__(self) -> str:
        if self._factory is None:
            return constructor_call(self)
        call = constructor_call(self, scheduler=self._factory.make)
        arguments = [f"{name}={value!r}" for name, value in self._factory.arguments.items()]
        return f"{call[:-1]}{', ' if arguments else ''}{', '.join(arguments)})"

    def state_dict(self) -> dict[str, Any]:
        if self.scheduler is None:
            return {}
        own = {"batch": self._batch, "before": self._last_rates, "began": self._first_rates}
        return {"scheduler": self.scheduler.state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batch, self._last_rates, self._first_rates = state["batch"], state["before"], state["began"]
        if self._interval == "batch" and self._last_rates:
            self._record_last_rates()
        self.scheduler.load_state_dict(_restore_counters(self.scheduler, state["scheduler"]))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        check_not_scheduled("LRScheduler", self._optimizer)
        self._last_rates, self._n_zero_steps = [], None
        state = self.model.trainer.state
        epochs, batches = self.params.get("epochs", 1), self.params.get("steps")
        if state.is_fitting:
            epochs -= state.epoch
        self._attach(self._optimizer, epochs, batches)
        if self.interval is None:
            self._set_interval(self._counted_interval(epochs, batches))
        if state.is_fitting:
            check_length(self.scheduler, self._interval, epochs, batches)

    @property
    def _optimizer(self) -> Optimizer:
        """Return the optimizer whose rate is scheduled.

        Raises:
            ValueError: There are several, and none of this name.
        """
        made = self.model.optimizers
        name = next(iter(made)) if self.optimizer is None and len(made) == 1 else self.optimizer
        if name not in made:
            known = ", ".join(map(repr, made))
            raise ValueError(
                f"LRScheduler: the model has the optimizers {known}; name one, optimizer={next(iter(made))!r}."
            )
        return made[name]

    def _record_last_rates(self) -> None:
        name = "" if len(self.model.optimizers) == 1 else self.optimizer or ""
        self.model.trainer.state.record_rates(name, self._last_rates)

    def _counted_interval(self, epochs: int, batches: int | None) -> str:
        """Return what the scheduler counts, `'epoch'` or `'batch'`."""
        if self._factory is not None and self._factory.kind is None and self._factory.interval == "batch":
            return "batch"
        return counted_interval(self.scheduler, epochs, batches)

    def _attach(self, optimizer: Optimizer, epochs: int, batches: int | None) -> None:
        """Make the scheduler, or check that a given scheduler is over this optimizer.

        Args:
            optimizer: Optimizer of the model.
            epochs: Number of epochs that the fit trains.
            batches: Number of batches of an epoch, `None` if it is unknown.

        Raises:
            TypeError: The function does not return a scheduler over `optimizer`.
            ValueError: The given scheduler is over another optimizer.
        """
        rates_now, rates_at_start = rates(optimizer), initial_rates(optimizer)
        if self._factory is None:
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
        made = self._factory(optimizer, self.interval or self._factory.interval, epochs, batches)
        if not isinstance(made, lr_scheduler.LRScheduler) or made.optimizer is not optimizer:
            raise TypeError(
                f"LRScheduler: the function must return a scheduler over the optimizer it is given, got {made!r}."
            )
        self.scheduler = made
        self._check_monitor(type(made))
        warn_of_low_rates(optimizer, rates_now, rates_at_start)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._batch = -1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._interval == "epoch":
            return
        value = (
            None if self.monitor is None else monitored_value("LRScheduler", self.monitor, (logs or {})[self.monitor])
        )
        for _ in range(batch - self._batch):  # more than one if several batches are executed together
            self._step(value)
        self._batch = batch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        optimizer = self._optimizer
        if len(self.model.optimizers) == 1:
            log_rates(logs, optimizer, rates(optimizer) if self._interval == "epoch" else self._last_rates)
        if self._interval == "epoch":
            value = None if self.monitor is None else read_monitor("LRScheduler", self.monitor, epoch, logs)
            if self.monitor is None or value is not None:
                self._step(value)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._final_rates = rates(self._optimizer)
        record_final_rates(self._optimizer)

    def _step(self, value: float | None) -> None:
        """Step the scheduler, with the monitored value if there is one; warn when the rate stays at 0."""
        self._last_rates = rates(self._optimizer)
        if self._interval == "batch":
            self._record_last_rates()
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
        mark_stepped(self._optimizer)
        if value is None:
            self.scheduler.step()
        else:
            self.scheduler.step(value)

    def _check_monitor(self, kind: type) -> None:
        """Raise a ValueError if `monitor` is missing or has no use for a class of schedulers."""
        if issubclass(kind, lr_scheduler.ReduceLROnPlateau):
            if self.monitor is None:
                raise ValueError(
                    f"LRScheduler: {kind.__name__} needs a log to monitor; pass monitor='val_loss' or another."
                )
        elif self.monitor is not None:
            raise ValueError(f"LRScheduler: {kind.__name__} monitors no log; leave monitor={self.monitor!r} out.")


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
