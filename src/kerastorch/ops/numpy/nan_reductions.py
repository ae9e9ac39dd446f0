"""Reductions that leave out NaN; arguments as in the reductions of the same names without `nan`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.ops.conversion import as_float, axes_of, device_of, floatx, result_type, to_tensor
from kerastorch.ops.makers import reduction
from kerastorch.ops.numpy import reductions
from kerastorch.ops.recording import op

__all__ = [
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile",
    "nanprod", "nanquantile", "nanstd", "nansum", "nanvar",
]  # fmt: skip


def _filled(x: Tensor, value: float) -> Tensor:
    """Return a tensor with a number in the place of NaN; infinity stays."""
    return torch.where(torch.isnan(x), value, x) if x.is_floating_point() else x


def _all_nan(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return torch.isnan(x).all(dim=axes_of(x, axis), keepdim=keepdims)


def _extreme(name: str, filling: float) -> Any:
    """Return the reduction by `amax` or `amin`, with NaN only if all elements are."""
    function = getattr(reductions, name)

    def reduced(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        if axis == () or not x.is_floating_point():
            return function(x, axis, keepdims)
        return torch.where(_all_nan(x, axis, keepdims), torch.nan, function(_filled(x, filling), axis, keepdims))

    return reduced


def _index(name: str, filling: float) -> Any:
    """Return the reduction by `argmax` or `argmin`, with -1 if all elements are NaN."""
    function = getattr(reductions, name)

    def reduced(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        found: Tensor = function(_filled(x, filling), axis, keepdims)
        return torch.where(_all_nan(x, axis, keepdims), -1, found) if x.is_floating_point() else found

    return reduced


def _product(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return reductions.prod(_filled(x, 1.0), axis, keepdims)


def _mean(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    if axis == ():
        return x
    return torch.nanmean(x.to(result_type(x, float)), dim=axes_of(x, axis), keepdim=keepdims)


def _variance(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    x = as_float(x).to(result_type(x, float))
    if axis == ():
        return torch.where(torch.isnan(x), x, 0)
    axes = axes_of(x, axis)
    is_number = ~torch.isnan(x)
    distance = torch.where(is_number, x - torch.nanmean(x, dim=axes, keepdim=True), 0)
    return distance.square().sum(axes, keepdim=keepdims) / is_number.sum(axes, keepdim=keepdims)


def _sum(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return reductions.sum(_filled(x, 0.0), axis, keepdims)


nansum = reduction("nansum", _sum, "Return the sum over axes, without NaN.")
nanmean = reduction("nanmean", _mean, "Return the mean over axes, without NaN.")
nanprod = reduction("nanprod", _product, "Return the product over axes, without NaN.")
nanvar = reduction("nanvar", _variance, "Return the variance over axes, without NaN.")
nanstd = reduction(
    "nanstd", lambda *given: torch.sqrt(_variance(*given)), "Return the deviation over axes, without NaN."
)
nanmax = reduction("nanmax", _extreme("amax", -torch.inf), "Return the maximum over axes, without NaN.")
nanmin = reduction("nanmin", _extreme("amin", torch.inf), "Return the minimum over axes, without NaN.")
nanargmax = reduction("nanargmax", _index("argmax", -torch.inf), "Return the index of the maximum, -1 if all are NaN.")
nanargmin = reduction("nanargmin", _index("argmin", torch.inf), "Return the index of the minimum, -1 if all are NaN.")


@op
def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the sums of the elements up to each along an axis; NaN counts 0."""
    return reductions.cumsum(_filled(to_tensor(x), 0.0), axis, dtype)


@op
def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the products of the elements up to each along an axis; NaN counts 1."""
    return reductions.cumprod(_filled(to_tensor(x), 1.0), axis, dtype)


@op
def nanquantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return quantiles over axes, without NaN."""
    return reductions.quantiles(torch.nanquantile, x, q, axis, method, keepdims)


@op
def nanpercentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return percentiles over axes, without NaN."""
    return reductions.quantiles(
        torch.nanquantile, x, to_tensor(q, floatx(), device_of(x, q)) / 100, axis, method, keepdims
    )


@op
def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the median over axes, without NaN."""
    return reductions.quantiles(torch.nanquantile, x, 0.5, axis, "linear", keepdims)
