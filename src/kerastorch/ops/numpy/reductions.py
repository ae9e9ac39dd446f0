"""Functions that reduce axes of a tensor, and cumulative sums and products.

`axis` is one axis, several, or `None` for all. With `keepdims`, the reduced axes stay, with size 1.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from kerastorch.ops.conversion import (
    as_float,
    axes_of,
    device_of,
    floatx,
    result_type,
    sum_dtype,
    to_dtype,
    to_tensor,
    to_tensors,
)
from kerastorch.ops.makers import reduction
from kerastorch.ops.recording import op

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumprod", "cumsum", "max", "mean",
    "median", "min", "percentile", "prod", "ptp", "quantile", "std", "sum", "var",
]  # fmt: skip


def _sum(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    if axis == ():
        return x
    return torch.sum(x, dim=axis, keepdim=keepdims, dtype=sum_dtype(x))


def _mean(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    if axis == ():
        return x
    dtype = x.dtype if x.is_floating_point() or x.is_complex() else floatx()
    return torch.mean(x.to(dtype), dim=axis, keepdim=keepdims)


def _variance(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    if axis == ():
        return torch.zeros_like(x, dtype=result_type(x, float))
    found = torch.var(x.to(result_type(x, torch.float32)), dim=axis, keepdim=keepdims, correction=0)
    return found.to(result_type(x, float))


def _deviation(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return torch.std(as_float(x), dim=axis, keepdim=keepdims, correction=0)


def _extreme(function: Any) -> Any:
    """Return a reduction by `torch.amax` or `torch.amin`."""

    def reduced(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        if axis == ():
            return x
        found: Tensor = function(x, dim=axes_of(x, axis), keepdim=keepdims)
        return found

    return reduced


def _logical(function: Any) -> Any:
    """Return a reduction by `torch.all` or `torch.any`."""

    def reduced(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        if axis == ():
            return x.bool()
        found: Tensor = function(x.bool(), dim=axes_of(x, axis), keepdim=keepdims)
        return found

    return reduced


def _index(function: Any) -> Any:
    """Return a reduction by `torch.argmax` or `torch.argmin`."""

    def reduced(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        x = x.to(torch.uint8) if x.dtype == torch.bool else x
        found: Tensor = function(x, dim=axis, keepdim=keepdims)
        return found.to(torch.int32)

    return reduced


_amax, _amin = _extreme(torch.amax), _extreme(torch.amin)


def _range(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    if axis == ():
        return torch.zeros_like(x)
    found: Tensor = _amax(x, axis, keepdims) - _amin(x, axis, keepdims)
    return found


sum = reduction("sum", _sum, "Return the sum over axes; that of booleans and small integers is int32.")
mean = reduction("mean", _mean, "Return the mean over axes; that of integers is a float.")
var = reduction("var", _variance, "Return the variance over axes, of the population.")
std = reduction("std", _deviation, "Return the standard deviation over axes, of the population.")
all = reduction("all", _logical(torch.all), "Return whether all elements along axes are `True`, or not 0.")
any = reduction("any", _logical(torch.any), "Return whether an element along axes is `True`, or not 0.")
amax = reduction("amax", _amax, "Return the maximum over axes.")
amin = reduction("amin", _amin, "Return the minimum over axes.")
ptp = reduction("ptp", _range, "Return the maximum minus the minimum over axes.")
argmax = reduction("argmax", _index(torch.argmax), "Return the index of the maximum along an axis, int32.")
argmin = reduction("argmin", _index(torch.argmin), "Return the index of the minimum along an axis, int32.")


@op
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """Return the maximum over axes.

    Args:
        x: A tensor.
        axis: One axis, several, or `None` for all.
        keepdims: Whether reduced axes stay, with size 1.
        initial: The least value of the result; needed for a tensor without elements.
    """
    x = to_tensor(x)
    return _with_initial("max", x, axis, keepdims, initial)


@op
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """Return the minimum over axes.

    Args:
        x: A tensor.
        axis: One axis, several, or `None` for all.
        keepdims: Whether reduced axes stay, with size 1.
        initial: The largest value of the result; needed for a tensor without elements.
    """
    x = to_tensor(x)
    return _with_initial("min", x, axis, keepdims, initial)


def _with_initial(name: str, x: Tensor, axis: Any, keepdims: bool, initial: float | None) -> Tensor:
    axes = axes_of(x, axis)
    is_empty = math.prod(x.shape[one] for one in axes) == 0
    if not is_empty:
        found: Tensor = (_amax if name == "max" else _amin)(x, axis, keepdims)
        if initial is None:
            return found
        return found.clamp(min=initial) if name == "max" else found.clamp(max=initial)
    if initial is None:
        raise ValueError(f"{name}: a tensor of shape {tuple(x.shape)} has no elements; pass initial=.")
    shape = [1 if one in axes else size for one, size in enumerate(x.shape) if one not in axes or keepdims]
    return x.new_full(shape, initial)


@op
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """Return the product over axes.

    Args:
        x: A tensor.
        axis: One axis, several, or `None` for all.
        keepdims: Whether reduced axes stay, with size 1.
        dtype: The dtype of the result. Default: that of `x`; int32 for booleans and small integers.
    """
    x = to_tensor(x)
    found = to_dtype(dtype) if dtype is not None else result_type(sum_dtype(x))
    for one in sorted(axes_of(x, axis), reverse=True):
        x = torch.prod(x, dim=one, keepdim=keepdims, dtype=found)
    return x.to(found)


@op
def average(x: Any, axis: Any = None, weights: Any = None) -> Tensor:
    """Return the mean over axes, in which elements may have weights.

    Args:
        x: A tensor.
        axis: One axis, several, or `None` for all.
        weights: Of the shape of `x`, or of one axis, the size of `axis`. Default: equal weights.
    """
    if weights is None:
        return _mean(to_tensor(x).to(result_type(to_tensor(x), float)), axis, False)
    x, weights = to_tensors(x, weights)
    dtype = result_type(x, weights, float)
    x, weights = x.to(dtype), weights.to(dtype)
    if weights.ndim == 1 and x.ndim > 1 and isinstance(axis, int):
        weights = weights.reshape([-1 if one == axis % x.ndim else 1 for one in range(x.ndim)])
    axes = axes_of(x, axis)
    return torch.sum(x * weights, axes) / torch.sum(weights.expand_as(x), axes) if axes else x


@op
def count_nonzero(x: Any, axis: Any = None) -> Tensor:
    """Return how many elements along axes are not 0, int32."""
    x = to_tensor(x) != 0
    return x.to(torch.int32) if axis in ((), []) else torch.sum(x, axes_of(x, axis), dtype=torch.int32)


@op
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the sums of the elements up to each along an axis; `None` is the flattened tensor."""
    return _cumulative(torch.cumsum, x, axis, dtype)


@op
def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the products of the elements up to each along an axis; `None` is the flattened tensor."""
    return _cumulative(torch.cumprod, x, axis, dtype)


def _cumulative(function: Any, x: Any, axis: int | None, dtype: Any) -> Tensor:
    x = to_tensor(x)
    found = result_type(x if dtype is None else to_dtype(dtype))
    found = torch.int32 if found == torch.bool else found
    x = x.flatten() if axis is None else x
    result: Tensor = function(x, dim=axis or 0, dtype=torch.float32 if found == torch.float16 else found)
    return result.to(found)


@op
def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return quantiles over axes.

    Args:
        x: A tensor.
        q: Numbers from 0 to 1; the axis of several is the first of the result.
        axis: One axis, several, or `None` for all.
        method: `"linear"`, `"lower"`, `"higher"`, `"midpoint"` or `"nearest"`.
        keepdims: Whether reduced axes stay, with size 1.
    """
    return quantiles(torch.quantile, x, q, axis, method, keepdims)


@op
def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return percentiles over axes: quantiles of `q / 100`; arguments as in `quantile`."""
    return quantiles(torch.quantile, x, to_tensor(q, floatx(), device_of(x, q)) / 100, axis, method, keepdims)


@op
def median(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the median over axes: the mean of the two middle elements if their number is even."""
    return quantiles(torch.quantile, x, 0.5, axis, "linear", keepdims)


def quantiles(function: Any, x: Any, q: Any, axis: Any, method: str, keepdims: bool) -> Tensor:
    """Return quantiles by `torch.quantile` or `torch.nanquantile`, over any axes."""
    x = to_tensor(x)
    computed = x.to(result_type(x, torch.float32))
    q = to_tensor(q, computed.dtype, x.device)
    axes = axes_of(x, axis)
    rest = [one for one in range(x.ndim) if one not in axes]
    sizes = [x.shape[one] for one in rest]
    lines = computed.permute((*rest, *axes)).reshape(*sizes, math.prod(x.shape[one] for one in axes))
    found = function(lines, q, dim=-1, interpolation=method)
    if keepdims:
        for one in sorted(axes):
            found = found.unsqueeze(one + q.ndim)
    result: Tensor = found.to(result_type(x, float))
    return result
