"""Functions that make tensors: constants, ranges, grids and windows of signals."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.call_device import call_device
from kerastorch.ops.conversion import check_axis, floatx, result_type, to_dtype, to_tensor, to_tensors
from kerastorch.ops.recording import op

__all__ = [
    "arange", "array", "bartlett", "blackman", "empty", "empty_like", "eye", "full", "full_like", "geomspace",
    "hamming", "hanning", "identity", "kaiser", "linspace", "logspace", "meshgrid", "ones", "ones_like", "tri",
    "vander", "zeros", "zeros_like",
]  # fmt: skip


def _dtype_or_float(dtype: Any) -> torch.dtype:
    return floatx() if dtype is None else to_dtype(dtype)


def _sizes(shape: Any) -> tuple[int, ...]:
    """Return the sizes of a shape, which may be one integer."""
    return tuple(int(size) for size in shape) if hasattr(shape, "__len__") else (int(shape),)


@op
def array(x: Any, dtype: Any = None) -> Tensor:
    """Convert an array, a number or a nested list to a tensor.

    >>> array([1, 2])
    tensor([1, 2], dtype=torch.int32)
    """
    return to_tensor(x, None if dtype is None else to_dtype(dtype))


@op
def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """Return zeros; float32 by default."""
    return torch.zeros(_sizes(shape), dtype=_dtype_or_float(dtype), device=call_device())


@op
def ones(shape: Any, dtype: Any = None) -> Tensor:
    """Return ones; float32 by default."""
    return torch.ones(_sizes(shape), dtype=_dtype_or_float(dtype), device=call_device())


@op
def empty(shape: Any, dtype: Any = None) -> Tensor:
    """Return a tensor whose elements are not set; float32 by default."""
    return torch.empty(_sizes(shape), dtype=_dtype_or_float(dtype), device=call_device())


@op
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """Return a tensor of a shape, filled with a number, or with a tensor that is broadcast.

    Args:
        shape: The sizes of the axes.
        fill_value: A number or a tensor.
        dtype: The dtype. Default float32.
    """
    return to_tensor(fill_value, _dtype_or_float(dtype)).expand(_sizes(shape)).clone()


@op
def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Return zeros in the shape of a tensor, and in its dtype by default."""
    return torch.zeros_like(to_tensor(x), dtype=None if dtype is None else to_dtype(dtype))


@op
def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Return ones in the shape of a tensor, and in its dtype by default."""
    return torch.ones_like(to_tensor(x), dtype=None if dtype is None else to_dtype(dtype))


@op
def empty_like(x: Any, dtype: Any = None) -> Tensor:
    """Return elements that are not set in the shape of a tensor, and in its dtype by default."""
    return torch.empty_like(to_tensor(x), dtype=None if dtype is None else to_dtype(dtype))


@op
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """Return a number, or a tensor that is broadcast, in the shape of a tensor, and in its dtype by default."""
    x = to_tensor(x)
    dtype = x.dtype if dtype is None else to_dtype(dtype)
    return to_tensor(fill_value, dtype, x.device).expand(x.shape).clone()


@op
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Return a matrix with ones on a diagonal and zeros elsewhere.

    Args:
        N: Number of rows.
        M: Number of columns. Default `N`.
        k: The diagonal: 0 for the main one, positive above it, negative below it.
        dtype: The dtype. Default float32.
    """
    rows, columns = (torch.arange(n, device=call_device()) for n in (N, N if M is None else M))
    return (columns - rows[:, None] == (k or 0)).to(_dtype_or_float(dtype))


@op
def identity(n: int, dtype: Any = None) -> Tensor:
    """Return the identity matrix of `n` rows and columns; float32 by default."""
    return torch.eye(n, dtype=_dtype_or_float(dtype), device=call_device())


@op
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Return a matrix with ones on and below a diagonal and zeros above it; arguments as in `eye`."""
    return torch.ones(N, N if M is None else M, dtype=_dtype_or_float(dtype), device=call_device()).tril(k)


@op
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """Return the numbers from `start` to below `stop`, in steps; with one argument, from 0 to below it.

    >>> arange(3)
    tensor([0, 1, 2], dtype=torch.int32)
    """
    given = [value for value in (start, stop, step) if value is not None]
    found = result_type(*given) if dtype is None else to_dtype(dtype)
    start, stop = (0, start) if stop is None else (start, stop)
    numbers = [
        value.item() if hasattr(value, "item") else value for value in (start, stop, 1 if step is None else step)
    ]
    return torch.arange(*numbers, dtype=found, device=call_device())


@op
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """Return `num` evenly spaced numbers from `start` to `stop`.

    Args:
        start: The first number, or a tensor of them.
        stop: The last number, or a tensor of them.
        num: How many numbers.
        endpoint: Whether `stop` is one of them.
        retstep: Whether the distance of neighbours is returned, too.
        dtype: The dtype. Default: the float dtype to which `start` and `stop` promote.
        axis: The axis of the numbers in the result, if `start` and `stop` are tensors.
    """
    found = result_type(*_typed(start, stop), float) if dtype is None else to_dtype(dtype)
    line, step = _line(start, stop, num, endpoint, axis, found)
    line = line.to(found)
    return (line, step) if retstep else line


@op
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0
) -> Tensor:
    """Return `base` to the power of evenly spaced numbers; other arguments as in `linspace`."""
    found = result_type(*_typed(start, stop), float) if dtype is None else to_dtype(dtype)
    line, _ = _line(start, stop, num, endpoint, axis, found)
    return torch.pow(base, line).to(found)


@op
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Tensor:
    """Return numbers from `start` to `stop` with equal quotients of neighbours; arguments as in `linspace`."""
    found = result_type(*_typed(start, stop), float) if dtype is None else to_dtype(dtype)
    start, stop = (value.double() for value in to_tensors(start, stop))
    line, _ = _line(start.abs().log10(), stop.abs().log10(), num, endpoint, 0, found)
    powers = torch.sign(start) * torch.pow(10.0, line)
    return powers.movedim(0, check_axis(axis, powers.ndim)).to(found)


def _typed(*values: Any) -> list[Any]:
    return [value if isinstance(value, (int, float)) else to_tensor(value) for value in values]


def _line(start: Any, stop: Any, num: int, endpoint: bool, axis: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return evenly spaced numbers in at least the precision of `dtype`, and their distance."""
    computed = torch.promote_types(dtype, torch.float64)
    start, stop = (value.to(computed) for value in to_tensors(start, stop))
    start, stop = torch.broadcast_tensors(start, stop)
    pieces = num - 1 if endpoint else num
    step = (stop - start) / pieces if pieces > 0 else torch.full_like(start, torch.nan)
    counts = torch.arange(num, dtype=computed, device=start.device).reshape(-1, *[1] * start.ndim)
    line = start + counts * (step if pieces > 0 else 0)
    if endpoint and num > 1:
        line = torch.cat([line[:-1], stop[None]])
    return line.movedim(0, check_axis(axis, line.ndim)), step.to(dtype)


@op
def meshgrid(*x: Any, indexing: str = "xy") -> list[Tensor]:
    """Return the coordinates of all points of a grid, one tensor for each axis.

    Args:
        *x: The coordinates along each axis.
        indexing: `"xy"` for the first axis along columns, `"ij"` for it along rows.
    """
    return list(torch.meshgrid(*to_tensors(*x), indexing=indexing))


@op
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """Return the matrix whose columns are powers of `x`.

    Args:
        x: A vector.
        N: Number of columns. Default: the size of `x`.
        increasing: Whether the powers increase from column to column.
    """
    x = to_tensor(x)
    return torch.vander(x, N=N, increasing=increasing).to(result_type(x))


def _window(function: Any, x: Any, **options: Any) -> Tensor:
    found: Tensor = function(int(x), **options, device=call_device())
    return found


@op
def bartlett(x: Any) -> Tensor:
    """Return Bartlett's window of `x` steps, a triangle."""
    return _window(torch.signal.windows.bartlett, x)


@op
def blackman(x: Any) -> Tensor:
    """Return Blackman's window of `x` steps."""
    return _window(torch.signal.windows.blackman, x)


@op
def hamming(x: Any) -> Tensor:
    """Return Hamming's window of `x` steps."""
    return _window(torch.signal.windows.hamming, x)


@op
def hanning(x: Any) -> Tensor:
    """Return Hann's window of `x` steps."""
    return _window(torch.signal.windows.hann, x)


@op
def kaiser(x: Any, beta: float) -> Tensor:
    """Return Kaiser's window of `x` steps; `beta` is its shape."""
    return _window(torch.signal.windows.kaiser, x, beta=float(beta))
