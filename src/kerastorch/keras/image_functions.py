"""Functions on images with the order of axes of `kerastorch.keras`, channels last unless a script changes it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from kerastorch.keras.door import with_defaults

NAMES = ("array_to_img", "img_to_array", "save_img", "image_dataset_from_directory")
MODULES = ("preprocessing", "preprocessing.image")


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the functions on images of a module of kerastorch, by name."""
    return {name: _with_door_format(getattr(module, name)) for name in NAMES if hasattr(module, name)}


def _with_door_format(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **with_defaults(function, args, kwargs))

    return called
