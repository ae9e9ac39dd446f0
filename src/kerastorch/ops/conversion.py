"""Conversion of the arguments of operations to tensors, and Keras' rules for the dtype of their results.

Python numbers are weak: they take the dtype of the tensors beside them. Alone, integers are int32 and floats are of
torch's default dtype. Results of functions that promote have at most 32 bits, as in Keras, unless torch's default dtype
is float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.array_conversion import from_array
from kerastorch.core.call_device import call_device
from kerastorch.core.errors import mismatch

_SCALARS = (bool, int, float, complex)
_NARROWED = {torch.int64: torch.int32, torch.float64: torch.float32, torch.complex128: torch.complex64}
_INT32 = torch.iinfo(torch.int32)


def floatx() -> torch.dtype:
    """Return the dtype of floats that have no other, torch's default dtype."""
    return torch.get_default_dtype()


def to_dtype(dtype: Any) -> torch.dtype:
    """Return the torch dtype for a dtype of torch or NumPy, a name as `"float32"`, or a Python type.

    Raises:
        ValueError: It is unknown.

    >>> to_dtype("int8"), to_dtype(float), to_dtype(int)
    (torch.int8, torch.float32, torch.int32)
    """
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype in _PYTHON_TYPES:
        return weak_dtype(dtype)
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", getattr(dtype, "__name__", ""))
    found = getattr(torch, str(name).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise mismatch("dtype", dtype, "a dtype of torch or its name, as 'float32'")
    return found


def weak_dtype(kind: type) -> torch.dtype:
    """Return the dtype of a Python number that no tensor stands beside."""
    return floatx() if kind is float else _PYTHON_TYPES[kind]


_PYTHON_TYPES: dict[Any, torch.dtype] = {
    bool: torch.bool, int: torch.int32, float: torch.float32, complex: torch.complex64,
}  # fmt: skip


def to_tensor(x: Any, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """Return a tensor as it is, or a number, array or nested list as a new tensor.

    Args:
        x: A tensor, a NumPy array, a number, or a nested list of these.
        dtype: The dtype of the result. Default: that of `x`; int32 and torch's default dtype for Python numbers.
        device: The device of a new tensor. Default: that of a tensor within a list, or that of the layer that runs.
    """
    if isinstance(x, Tensor):
        return x if dtype is None or x.dtype is dtype else x.to(dtype)
    if isinstance(x, _SCALARS):
        return torch.full((), x, dtype=dtype or _scalar_dtype(x), device=device or call_device())
    if isinstance(x, (list, tuple)):
        leaves = list(_leaves(x))
        if any(isinstance(leaf, Tensor) for leaf in leaves):
            return _stack(x, dtype, device)
        if dtype is None and all(type(leaf) in _PYTHON_TYPES for leaf in leaves):
            dtype = _dtype_of_numbers(leaves)
    found = from_array(x, "x").to(device or call_device() or torch.get_default_device())
    return found if dtype is None else found.to(dtype)


def _stack(x: Any, dtype: torch.dtype | None, device: torch.device | None) -> Tensor:
    device = device or device_of(*_leaves(x))
    parts = [to_tensor(part, dtype, device) for part in x]
    common = dtype or result_type(*parts)
    same = all(part.dtype == parts[0].dtype for part in parts)
    return torch.stack(parts if same else [part.to(common) for part in parts])


def _scalar_dtype(x: complex) -> torch.dtype:
    if type(x) is int and not _INT32.min <= x <= _INT32.max:
        return torch.int64
    return next(weak_dtype(kind) for kind in _PYTHON_TYPES if isinstance(x, kind))


def _dtype_of_numbers(leaves: list[Any]) -> torch.dtype:
    if not leaves:
        return floatx()
    fits = all(_INT32.min <= leaf <= _INT32.max for leaf in leaves if type(leaf) is int)
    found = result_type(*map(type, leaves))
    return torch.int64 if found == torch.int32 and not fits else found


def _leaves(x: Any) -> Iterator[Any]:
    for part in x:
        if isinstance(part, (list, tuple)):
            yield from _leaves(part)
        else:
            yield part


def device_of(*values: Any) -> torch.device | None:
    """Return the device of the first tensor among some values; without one, that of the layer that runs, or `None`."""
    return next((value.device for value in values if isinstance(value, Tensor)), None) or call_device()


def to_tensors(*values: Any) -> list[Tensor]:
    """Return several arguments as tensors; new tensors are made on the device of the first that is one."""
    device = device_of(*values)
    return [to_tensor(value, device=device) for value in values]


def result_type(*values: Any) -> torch.dtype:
    """Return the dtype of the result of an operation that promotes, as `keras.backend.result_type`.

    Args:
        *values: Tensors, dtypes, and Python numbers or their types, which are weak.

    >>> result_type(torch.float16, 2.0), result_type(torch.int8, float), result_type(torch.bool, int)
    (torch.float16, torch.float32, torch.int32)
    """
    strong: torch.dtype | None = None
    weak: list[type] = []
    for value in values:
        kind = value if value in _PYTHON_TYPES else type(value) if type(value) in _PYTHON_TYPES else None
        if kind is not None and kind is not bool:
            weak.append(kind)
            continue
        dtype = torch.bool if kind is bool else to_dtype(getattr(value, "dtype", value))
        strong = dtype if strong is None else torch.promote_types(strong, dtype)
    for kind in weak:
        strong = _with_weak(strong, kind)
    found = floatx() if strong is None else strong
    return found if floatx() == torch.float64 else _NARROWED.get(found, found)


def _with_weak(dtype: torch.dtype | None, kind: type) -> torch.dtype:
    """Return the dtype of a tensor of `dtype` beside a Python number of the type `kind`."""
    if dtype is None:
        return weak_dtype(kind)
    if kind is complex:
        return dtype if dtype.is_complex else torch.complex64
    if kind is float:
        return dtype if dtype.is_floating_point or dtype.is_complex else floatx()
    return torch.int32 if dtype == torch.bool else dtype


def common_tensors(*values: Any) -> list[Tensor]:
    """Return several arguments as tensors of the dtype to which they promote."""
    dtype = result_type(*(value if type(value) in _PYTHON_TYPES else to_tensor(value) for value in values))
    device = device_of(*values)
    return [to_tensor(value, dtype, device) for value in values]


def is_inexact(x: Tensor) -> bool:
    """Return whether a tensor holds real or complex floats."""
    return x.is_floating_point() or x.is_complex()


def as_float(x: Tensor) -> Tensor:
    """Return integers and booleans as floats of torch's default dtype, other tensors as they are."""
    return x if is_inexact(x) else x.to(floatx())


def bool_as_int(x: Tensor) -> Tensor:
    """Return booleans as int32, other tensors as they are."""
    return x.to(torch.int32) if x.dtype == torch.bool else x


def sum_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of the sum of the elements of a tensor: int32 for booleans and integers of less than 32 bits."""
    return torch.int32 if x.dtype in (torch.bool, torch.uint8, torch.int8, torch.int16) else x.dtype


def axes_of(x: Tensor, axis: Any) -> tuple[int, ...]:
    """Return the axes that `axis` means, from the front: one axis, several, or all for `None`.

    A tensor without axes is reduced along axis 0 or -1 as in torch and NumPy: there is nothing to do.
    """
    if axis is None:
        return tuple(range(x.ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(check_axis(one, max(x.ndim, 1)) for one in given)
    return axes if x.ndim else ()


def check_axis(axis: int, ndim: int) -> int:
    """Return an axis counted from the front.

    Raises:
        ValueError: A tensor of `ndim` axes does not have it.
    """
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis {axis} is out of bounds for a tensor with {ndim} axes.")
    return axis % ndim
