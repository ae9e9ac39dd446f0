"""Conversion of tensors: dtypes, shapes, NumPy arrays, and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.ops.conversion import check_axis, to_dtype, to_tensor
from kerastorch.ops.recording import op
from kerastorch.symbolic.recording_errors import needs_values
from kerastorch.symbolic.symbolic_tensor import Symbol

__all__ = [
    "cast", "convert_to_numpy", "convert_to_tensor", "dtype", "is_tensor", "saturate_cast", "shape", "stop_gradient",
    "unstack",
]  # fmt: skip


def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Tensor:
    """Convert an array, a number or a nested list to a tensor; a tensor is returned as it is.

    Args:
        x: The values. Integers of Python become int32, floats float32.
        dtype: The dtype of the result. Default: that of `x`.
        sparse: Only `None` or `False`.
        ragged: Only `None` or `False`.

    >>> convert_to_tensor([1.0, 2.0])
    tensor([1., 2.])
    """
    if sparse or ragged:
        raise ValueError("convert_to_tensor: sparse and ragged tensors are not supported; tensors are dense.")
    if isinstance(x, Symbol):
        return x if dtype is None else cast(x, dtype)  # type: ignore[return-value]
    found = to_tensor(x, None if dtype is None else to_dtype(dtype))
    return found.clone() if isinstance(x, np.ndarray) else found  # which would share its memory


def convert_to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """Convert a tensor on any device, or a list of these, to a NumPy array; bfloat16 becomes float32."""
    if isinstance(x, Symbol):
        raise needs_values("convert_to_numpy", x)
    if isinstance(x, (list, tuple)):
        return np.array([convert_to_numpy(item) for item in x])
    if not isinstance(x, Tensor):
        return np.array(x)
    x = x.detach().cpu().resolve_conj().resolve_neg()
    return np.array((x.float() if x.dtype == torch.bfloat16 else x).numpy())


def is_tensor(x: Any) -> bool:
    """Return whether an object is a tensor with values, which a symbolic tensor is not."""
    return isinstance(x, Tensor)


def dtype(x: Any) -> str:
    """Return the name of the dtype of a tensor, as `"float32"`."""
    found = x.dtype if isinstance(x, (Tensor, Symbol)) else to_tensor(x).dtype
    return str(found).removeprefix("torch.")


def shape(x: Any) -> tuple[Any, ...]:
    """Return the shape of a tensor as a tuple; in that of a symbolic tensor, sizes that vary are symbols.

    >>> shape([[1, 2, 3]])
    (1, 3)
    """
    return tuple(x.shape) if isinstance(x, (Tensor, Symbol)) else tuple(to_tensor(x).shape)


@op
def cast(x: Any, dtype: Any) -> Tensor:
    """Return a tensor in another dtype.

    >>> cast([1, 2], "float16")
    tensor([1., 2.], dtype=torch.float16)
    """
    return to_tensor(x, to_dtype(dtype))


@op
def saturate_cast(x: Any, dtype: Any) -> Tensor:
    """Return a tensor in another dtype, with numbers beyond its range at the end of the range."""
    x, found = to_tensor(x), to_dtype(dtype)
    if found == torch.bool or found.is_complex or x.dtype == torch.bool:
        return x.to(found)
    limits = torch.finfo(found) if found.is_floating_point else torch.iinfo(found)
    own = torch.finfo(x.dtype) if x.is_floating_point() else torch.iinfo(x.dtype)
    low, high = max(limits.min, own.min), min(limits.max, own.max)
    if not found.is_floating_point and x.is_floating_point():
        inside = x.clamp(low, high).to(found)  # a float next to the limit may be rounded beyond it
        return torch.where(x >= high, limits.max if high == limits.max else inside, inside).to(found)
    return x.clamp(low, high).to(found)


def stop_gradient(variable: Any) -> Tensor:
    """Return a tensor through which no gradient flows."""
    return variable.detach() if isinstance(variable, (Tensor, Symbol)) else to_tensor(variable)


@op
def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """Return the slices of a tensor along an axis, without this axis.

    Args:
        x: A tensor.
        num: The size of the axis, which is checked. Default: not checked.
        axis: The axis.
    """
    x = to_tensor(x)
    found = x.shape[check_axis(axis, x.ndim)]
    if num is not None and num != found:
        raise ValueError(f"unstack: axis {axis} has size {found}, and num={num} was given.")
    return list(x.unbind(axis))
