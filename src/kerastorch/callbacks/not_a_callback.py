"""The error for an element of `callbacks=` that is no callback, with what to write."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from kerastorch.core.errors import shown
from kerastorch.core.name_lookup import snake_case
from kerastorch.core.ownership import is_own

_EXAMPLE = "callbacks=[kerastorch.callbacks.EarlyStopping(patience=3)]"
_CALLBACK_NAMES = (
    "BackupAndRestore", "CSVLogger", "EarlyStopping", "GradientNorm", "LearningRateScheduler", "ModelCheckpoint",
    "ReduceLROnPlateau", "TensorBoard", "TerminateOnNaN", "Timer",
)  # fmt: skip


def not_a_callback(given: Any) -> TypeError:
    """Return the error for an object that is no instance of `Callback`."""
    return TypeError(f"callbacks: {_sentence(given)}")


def _sentence(given: Any) -> str:
    kind = given if inspect.isclass(given) else type(given)
    name = kind.__name__
    if issubclass(kind, torch.optim.lr_scheduler.LRScheduler):
        return (
            f"got a {name} of torch. Give callbacks.LRScheduler a function that makes it: "
            f"LRScheduler(lambda optimizer: torch.optim.lr_scheduler.{name}(optimizer, ...))."
        )
    if is_own(kind, "optimizers.schedules"):
        return f"{name} is a schedule, which the optimizer takes: compile(optimizers.Adam({name}(...)), ...)."
    if is_own(kind, "metrics"):
        return f"{name} is a metric: compile(metrics=[{name}(...)])."
    if is_own(kind, "optimizers") or issubclass(kind, torch.optim.Optimizer):
        return f"{name} is an optimizer: compile({name}(...), ...)."
    if inspect.isclass(given):
        return f"pass {name}(), not the class {name}."
    if isinstance(given, str):
        words = snake_case(given).replace("_", "").lower()
        meant = next((one for one in _CALLBACK_NAMES if one.lower() == words), None)
        return f"{given!r} is text. Pass instances, as in " + (
            f"callbacks=[kerastorch.callbacks.{meant}(...)]." if meant else f"{_EXAMPLE}."
        )
    if inspect.isfunction(given) or inspect.ismethod(given) or inspect.isbuiltin(given):
        return (
            f"{getattr(given, '__name__', given)!r} is a function. Name the moment at which it is called: "
            "callbacks=[kerastorch.callbacks.LambdaCallback(on_epoch_end=function)]."
        )
    return f"{shown(given)} is not a kerastorch.callbacks.Callback. Pass instances, as in {_EXAMPLE}."
