"""The functions of `keras.backend` that scripts still use."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch

from kerastorch.core.absent_names import absent_name
from kerastorch.core.auto_names import reset_auto_names
from kerastorch.core.keras_names import BACKEND
from kerastorch.keras.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from kerastorch.ops.conversion import result_type as common_dtype
from kerastorch.ops.conversion import to_dtype
from kerastorch.symbolic.symbolic_tensor import Symbol

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format", "is_float_dtype", "is_int_dtype",
    "is_keras_tensor", "result_type", "set_epsilon", "set_floatx", "set_image_data_format", "standardize_dtype",
]  # fmt: skip

_counters: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))


def clear_session() -> None:
    """Let `get_uid` and the names of new layers count from the beginning.

    There is no global graph; models are freed when nothing refers to them.
    """
    _counters.clear()
    reset_auto_names()


def get_uid(prefix: str = "") -> int:
    """Return how often the function was called with a prefix, this time included.

    Args:
        prefix: Any text. Default: an empty one.
    """
    return next(_counters[prefix])


def standardize_dtype(dtype: Any) -> str:
    """Return the name of a dtype.

    Args:
        dtype: A dtype of torch, NumPy or Python, or its name; `None` for that of `floatx()`.

    >>> standardize_dtype(torch.float16), standardize_dtype(int), standardize_dtype(None)
    ('float16', 'int32', 'float32')
    """
    return floatx() if dtype is None else _name(to_dtype(dtype))


def is_float_dtype(dtype: Any) -> bool:
    """Return whether a dtype or its name is one of floating-point numbers."""
    return to_dtype(dtype).is_floating_point


def is_int_dtype(dtype: Any) -> bool:
    """Return whether a dtype or its name is one of integers."""
    found = to_dtype(dtype)
    return not (found.is_floating_point or found.is_complex or found is torch.bool)


def result_type(*dtypes: Any) -> str:
    """Return the name of the dtype of an operation on values of these dtypes, by Keras' rules.

    >>> result_type("int32", "float16")
    'float16'
    """
    return _name(common_dtype(*dtypes))


def is_keras_tensor(x: Any) -> bool:
    """Return whether a value is symbolic: an `Input`, or what a call on one returned."""
    return isinstance(x, Symbol)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise absent_name(__name__, name, __all__, BACKEND)
