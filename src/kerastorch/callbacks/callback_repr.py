"""The text that represents a callback: its class and the arguments that differ from their defaults."""

from __future__ import annotations

import functools
import inspect
import os
from typing import Any


def constructor_call(callback: object, **arguments: Any) -> str:
    """Return the call that makes an object, with the arguments that differ from their defaults.

    Args:
        callback: Object to represent.
        arguments: Values of arguments. Others are read from instance attributes of the same name; arguments without
            such an attribute are left out.

    >>> class Stop:
    ...     def __init__(self, monitor="val_loss", patience=0):
    ...         self.monitor, self.patience = monitor, patience
    >>> constructor_call(Stop(patience=3))
    'Stop(patience=3)'
    """
    values = {**vars(callback), **arguments}
    parameters = inspect.signature(type(callback)).parameters.values()
    shown = [
        f"{one.name}={_short(values[one.name])}"
        for one in parameters
        if one.name in values and not _equal(values[one.name], one.default)
    ]
    return f"{type(callback).__name__}({', '.join(shown)})"


def _equal(value: Any, default: Any) -> bool:
    """Return whether a value is the default, or equal to it."""
    try:
        return value is default or bool(value == default)
    except (TypeError, ValueError, RuntimeError):  # arrays and tensors of several elements
        return False


def _short(value: Any) -> str:
    """Return a value as it is written in code: functions by name, paths as text."""
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, functools.partial):
        options = [f"{name}={_short(one)}" for name, one in value.keywords.items()]
        return f"partial({', '.join([*map(_short, (value.func, *value.args)), *options])})"
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    if vars(object)["__repr__"] is getattr(type(value), "__repr__", None):
        return f"<{type(value).__name__}>"
    return repr(value)
