"""Functions on images with the order of axes of `kerastorch.keras`, channels last unless a script changes it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from kerastorch.keras.image_format import image_data_format

MODULES = ("ops", "ops.image", "ops.nn", "preprocessing", "preprocessing.image")


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the functions of a module of kerastorch whose `data_format` may be left out, by name."""
    functions = {name: getattr(module, name) for name in dir(module)}
    return {name: _with_door_format(function) for name, function in functions.items() if _has_open_format(function)}


def _has_open_format(function: Any) -> bool:
    if not isinstance(function, FunctionType):
        return False
    parameter = inspect.signature(function).parameters.get("data_format")
    return parameter is not None and parameter.default is None


@functools.cache  # `ops.conv` is `ops.nn.conv`
def _with_door_format(function: Callable[..., Any]) -> Callable[..., Any]:
    position = list(inspect.signature(function).parameters).index("data_format")

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if len(args) <= position:
            if kwargs.get("data_format") is None:
                kwargs["data_format"] = image_data_format()
        elif args[position] is None:
            args = (*args[:position], image_data_format(), *args[position + 1 :])
        return function(*args, **kwargs)

    return called
