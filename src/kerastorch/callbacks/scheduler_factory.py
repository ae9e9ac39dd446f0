"""SchedulerFactory: makes a scheduler of torch for a fit, from its name, its class or a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch.optim import Optimizer, lr_scheduler

from kerastorch.callbacks.scheduler_limits import SCHEDULERS_OF_BATCHES
from kerastorch.core.errors import mismatch, suggest
from kerastorch.core.name_lookup import look_up, public_name, snake_case
from kerastorch.optimizers.schedules.base import LearningRateSchedule

_LENGTHS = ("total_steps", "T_max", "total_iters")
_FILLED = (*_LENGTHS, "epochs", "steps_per_epoch")
_OF_OTHERS = ("ChainedScheduler", "SequentialLR", "LRScheduler")  # made of other schedulers, or abstract
_ADVICE = dict.fromkeys(
    ("sequential", "sequential_lr", "sequentiallr", "chained", "chained_scheduler", "chainedscheduler"),
    "It is made of other schedulers: pass a function that makes it, LRScheduler(lambda optimizer: ...).",
) | dict.fromkeys(
    ("cosine", "cosine_decay", "cosine_lr"),
    "Its name is 'cosine_annealing', or it is optimizers.schedules.CosineDecay, a learning_rate of the optimizer.",
)


def _table() -> dict[str, type[lr_scheduler.LRScheduler]]:
    """Return torch's schedulers by the spellings of their names, with and without `LR`."""
    found: dict[str, type[lr_scheduler.LRScheduler]] = {}
    for name, kind in inspect.getmembers(lr_scheduler, inspect.isclass):
        if issubclass(kind, lr_scheduler.LRScheduler) and not name.startswith("_") and name not in _OF_OTHERS:
            for spelling in (name.removesuffix("LR"), name):
                found[snake_case(spelling)] = found[spelling.lower()] = kind
    return found


_NAMES = _table()


class SchedulerFactory:
    """Make a scheduler of torch over an optimizer; lengths that are left out are those of the fit.

    Args:
        scheduler: Name of a class in `torch.optim.lr_scheduler`, such a class, a `functools.partial` of it, or a
            function of the optimizer.
        arguments: Keyword arguments for it.

    Attributes:
        make: The class, partial or function.
        kind: The class, `None` for a function.

    Raises:
        TypeError: `scheduler` is none of these, or it has no argument of a name, or needs one that is missing.
        ValueError: The name is unknown.
    """

    def __init__(self, scheduler: Any, arguments: Mapping[str, Any]) -> None:
        if isinstance(scheduler, str):
            scheduler = look_up("scheduler", scheduler, _NAMES, _ADVICE)
        _check_kind(scheduler)
        self.make: Callable[..., Any] = scheduler
        self.arguments = dict(arguments)
        inner = scheduler
        while isinstance(inner, functools.partial):
            inner = inner.func
        is_class = isinstance(inner, type) and issubclass(inner, lr_scheduler.LRScheduler)
        self.kind: type[lr_scheduler.LRScheduler] | None = inner if is_class else None
        self._parameters = _parameters_of(scheduler)
        self._left_out = self._find_left_out()
        self._check_arguments()

    @property
    def interval(self) -> Literal["epoch", "batch"]:
        """Return what the lengths of the scheduler count, as far as its class or its arguments tell."""
        if self.kind is not None:
            return "batch" if issubclass(self.kind, SCHEDULERS_OF_BATCHES) else "epoch"
        return "batch" if {"total_steps", "steps_per_epoch"} & set(self._left_out) else "epoch"

    def __call__(self, optimizer: Optimizer, interval: str, epochs: int, batches: int | None) -> Any:
        """Return the scheduler.

        Args:
            optimizer: Optimizer of the model.
            interval: `'epoch'` or `'batch'`: when the scheduler will step.
            epochs: Number of epochs that the fit trains.
            batches: Number of batches of an epoch, `None` if it is unknown.

        Raises:
            ValueError: A length in batches is left out, and the number of batches is unknown.
        """
        filled = {name: self._length(name, interval, epochs, batches) for name in self._left_out}
        return self.make(optimizer, **self.arguments, **filled)

    def _length(self, name: str, interval: str, epochs: int, batches: int | None) -> int:
        if name == "epochs" or (name in _LENGTHS and interval == "epoch"):
            return epochs
        if batches is None:
            raise ValueError(
                f"LRScheduler: {public_name(self.make)} needs {name}, and the number of batches of an epoch is not "
                f"known before training. Give {name}=..., or fit(steps_per_epoch=...)."
            )
        return batches if name == "steps_per_epoch" else epochs * batches

    def _find_left_out(self) -> list[str]:
        """Return the names of lengths that the scheduler needs and that are not given."""
        given = {
            name for name, one in self._parameters.items() if one.kind is one.KEYWORD_ONLY and one.default is not None
        } if isinstance(self.make, functools.partial) else set()  # fmt: skip
        given |= {name for name, value in self.arguments.items() if value is not None}
        left_out = [
            name
            for name, one in self._parameters.items()
            if name in _FILLED and one.default is one.empty and name not in self.arguments
        ]
        if self.kind is None:
            return left_out
        if issubclass(self.kind, lr_scheduler.OneCycleLR) and "total_steps" not in given:
            pair = {"epochs", "steps_per_epoch"}
            left_out += sorted(pair - given) if given & pair else ["total_steps"]
        decays = issubclass(self.kind, lr_scheduler.PolynomialLR) or (
            issubclass(self.kind, lr_scheduler.LinearLR) and self._value("start_factor") > self._value("end_factor")
        )
        if decays and "total_iters" not in given:
            left_out.append("total_iters")
        return left_out

    def _value(self, name: str) -> Any:
        """Return the value of an argument, as given or by default."""
        return self.arguments.get(name, self._parameters[name].default)

    def _check_arguments(self) -> None:
        """Raise a TypeError for an argument that is unknown or missing."""
        name, known = public_name(self.make), dict(list(self._parameters.items())[1:])  # without the optimizer
        takes_any = any(one.kind is one.VAR_KEYWORD for one in known.values())
        for argument in self.arguments:
            if argument not in known and not takes_any:
                raise TypeError(
                    f"scheduler: {name} has no argument {argument!r}.{suggest(argument, known)} It takes: "
                    f"{', '.join(known) or 'none'}."
                )
        if not self._parameters:
            raise TypeError(f"scheduler: {name} takes no optimizer. Pass a function of the optimizer.")
        missing = [
            argument
            for argument, one in known.items()
            if one.default is one.empty
            and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
            and argument not in {*self.arguments, *self._left_out}
        ]
        if missing:
            values = ", ".join(f"{argument}=..." for argument in missing)
            raise TypeError(
                f"scheduler: {name} cannot be called with the optimizer alone, it needs {', '.join(missing)}, too. "
                f"Give the values to LRScheduler: LRScheduler({self._shown()}, {values})."
            )

    def _shown(self) -> str:
        return repr(snake_case(self.kind.__name__)) if self.kind in _NAMES.values() and self.kind else "..."


def _check_kind(scheduler: Any) -> None:
    """Check that something makes a scheduler.

    Raises:
        TypeError: It does not.
    """
    if isinstance(scheduler, LearningRateSchedule):
        name = type(scheduler).__name__
        raise TypeError(
            f"scheduler: {name} is no scheduler of torch. Give it to the optimizer: "
            f"optimizers.Adam(learning_rate={name}(...))."
        )
    if not callable(scheduler):
        expected = "a name or class in torch.optim.lr_scheduler, a scheduler, or a function of the optimizer"
        raise TypeError(str(mismatch("scheduler", scheduler, expected)))


def _parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function by name; one optimizer if they are unknown."""
    try:
        return dict(inspect.signature(function).parameters)
    except ValueError:  # a builtin without a signature
        return {"optimizer": inspect.Parameter("optimizer", inspect.Parameter.POSITIONAL_ONLY)}
