"""Calls of losses by hand: tensors give a tensor, NumPy arrays and lists give NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.array_conversion import to_tensors

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    # targets, outputs and result of a call by hand
    Array = TypeVar("Array", Tensor, NDArray[Any], ArrayLike)
else:
    Array = Any


def call_on_arrays(function: Callable[..., Any], y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
    """Call a function of tensors on arrays; return NumPy if no argument is a tensor, else a tensor.

    Args:
        function: Takes `(y_true, y_pred, sample_weight)` and returns a tensor.
        y_true: A tensor, an array or a list.
        y_pred: As `y_true`; what is no tensor gets torch's default dtype.
        sample_weight: As `y_true`, or `None`.

    >>> call_on_arrays(lambda y, p, w: (y - p).abs(), [1, 2], [1.0, 4.0])
    array([0., 2.], dtype=float32)
    """
    found = function(*to_tensors(y_true, y_pred, sample_weight))
    return to_numpy_unless_tensors(found, y_true, y_pred, sample_weight)


def to_numpy_unless_tensors(found: Tensor, *arguments: Any) -> Any:
    """Return a tensor as NumPy if none of the arguments that it was computed from is a tensor."""
    return found if any(map(_is_tensor, arguments)) else _to_numpy(found)


def _is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor, or a symbol that stands for one."""
    return isinstance(value, Tensor) or hasattr(value, "__torch_function__")


def _to_numpy(value: Tensor) -> np.ndarray[Any, Any] | np.generic:
    """Return a tensor as an array, or as a NumPy scalar if it has no axes."""
    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:  # NumPy has no such dtype
        value = value.float()
    return value.numpy()[()]
