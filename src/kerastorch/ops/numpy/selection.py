"""Functions that select, sort, search and count elements."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice
from kerastorch.ops.conversion import check_axis, result_type, to_tensor, to_tensors
from kerastorch.ops.recording import op

__all__ = [
    "argpartition", "argsort", "bincount", "diag", "diagflat", "diagonal", "diff", "digitize", "get_item", "histogram",
    "isin", "nonzero", "searchsorted", "select", "sort", "take", "take_along_axis", "tril", "triu", "unique",
    "unravel_index", "where",
]  # fmt: skip


@op
def where(condition: Any, x1: Any = None, x2: Any = None) -> Tensor:
    """Return elements of `x1` where a condition holds, else of `x2`; shapes broadcast.

    Without `x1` and `x2`, return the indices of the elements that are `True`, one row for each axis.
    """
    if x1 is None or x2 is None:
        return torch.stack(torch.where(to_tensor(condition).bool()))
    condition, x1, x2 = to_tensors(condition, x1, x2)
    return torch.where(condition.bool(), x1, x2)


@op
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Tensor:
    """Return for each element that of the first choice whose condition holds, else the default.

    Args:
        condlist: Boolean tensors.
        choicelist: As many tensors.
        default: A number or a tensor.
    """
    n = len(condlist)
    *rest, found = to_tensors(*condlist, *choicelist, default)
    for condition, choice in zip(reversed(rest[:n]), reversed(rest[n:]), strict=True):
        found = torch.where(condition.bool(), choice, found)
    return found


@op
def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Return the elements at some indices along an axis.

    Args:
        x: A tensor.
        indices: Integers of any shape, which is that of the axis in the result; negative ones count from the end.
        axis: The axis. Default: the tensor is flattened first.

    >>> take([[1, 2], [3, 4]], 1, axis=0)
    tensor([3, 4], dtype=torch.int32)
    """
    x, indices = to_tensors(x, indices)
    x = x.flatten() if axis is None else x
    axis = check_axis(axis or 0, x.ndim)
    indices = _from_front(indices, x.shape[axis])
    if axis == 0 and x.ndim == 2 and x.is_floating_point():
        return F.embedding(indices, x)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return x.index_select(axis, indices.flatten()).reshape(shape)


def _from_front(indices: Tensor, n: int) -> Tensor:
    indices = indices.long()
    return torch.where(indices < 0, indices + n, indices)


@op
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Return the elements at indices that have the number of axes of `x`, as those that `argsort` returns."""
    x, indices = to_tensors(x, indices)
    return torch.take_along_dim(x, _from_front(indices, x.numel() if axis is None else x.shape[axis]), dim=axis)


@op
def get_item(x: Any, key: Any) -> Tensor:
    """Return `x[key]`."""
    return to_tensor(x)[key]


@op
def sort(x: Any, axis: int | None = -1) -> Tensor:
    """Return the elements in ascending order along an axis; `None` is the flattened tensor."""
    x = to_tensor(x)
    return torch.sort(x.flatten() if axis is None else x, dim=0 if axis is None else axis, stable=True).values


@op
def argsort(x: Any, axis: int | None = -1) -> Tensor:
    """Return the indices of the elements in ascending order along an axis; `None` is the flattened tensor."""
    x = to_tensor(x)
    x = x.to(torch.uint8) if x.dtype == torch.bool else x
    x = x.flatten() if axis is None else x
    return torch.argsort(x, dim=-1 if axis is None else axis, stable=True).to(torch.int32)


@op
def argpartition(x: Any, kth: int, axis: int | None = -1) -> Tensor:
    """Return indices with that of element `kth` in ascending order at its place, smaller before it, larger behind.

    The indices of all elements are sorted, which is one of the orders that this allows.
    """
    x = to_tensor(x)
    check_axis(kth, x.numel() if axis is None else x.shape[axis])
    return argsort(x, axis)


@op
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Tensor:
    """Return the indices at which values keep a sorted vector sorted.

    Args:
        sorted_sequence: A vector in ascending order.
        values: A tensor.
        side: `"left"` for the index before equal elements, `"right"` for that behind them.
    """
    line, values = to_tensors(sorted_sequence, values)
    if line.ndim != 1:
        raise ValueError(f"searchsorted takes a sorted vector, got a tensor of shape {tuple(line.shape)}.")
    side = check_choice("side", side, ("left", "right"))
    dtype = torch.promote_types(line.dtype, values.dtype)
    return torch.searchsorted(line.to(dtype), values.to(dtype).contiguous(), side=side, out_int32=True)


@op
def digitize(x: Any, bins: Any) -> Tensor:
    """Return the index of the interval of each element, int32; `bins` are the bounds, in ascending order."""
    x, bins = to_tensors(x, bins)
    x = x.to(torch.uint8) if x.dtype == torch.bool else x
    return torch.bucketize(x, bins, right=True, out_int32=True)


@op
def nonzero(x: Any) -> Tensor:
    """Return the indices of the elements that are not 0, one row for each axis."""
    return torch.nonzero(to_tensor(x)).T.to(torch.int32)


@op
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Return whether each element of `x1` is one of `x2`.

    Args:
        x1: A tensor.
        x2: A tensor.
        assume_unique: Whether no element of `x1` or `x2` occurs twice, which makes it faster.
        invert: Whether the result is inverted.
    """
    x1, x2 = to_tensors(x1, x2)
    dtype = result_type(x1, x2)
    if torch.bool in (x1.dtype, x2.dtype):
        x1, x2 = (x.to(torch.int32 if dtype == torch.bool else dtype) for x in (x1, x2))
    return torch.isin(x1, x2, assume_unique=assume_unique, invert=invert)


@op
def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """Count how often each integer from 0 occurs in a vector, or in each row of a matrix.

    Args:
        x: Integers >= 0.
        weights: What each element counts, in the shape of `x`. Default 1.
        minlength: The least size of the result.
        sparse: Only `False`; torch's sparse tensors have few operations.
    """
    if sparse:
        raise ValueError("bincount: sparse=True is not supported.")
    x = to_tensor(x)
    weights = None if weights is None else to_tensor(weights, device=x.device)
    dtype = torch.int32 if weights is None else result_type(x, weights)
    if x.ndim == 1:
        return torch.bincount(x, weights, minlength).to(dtype)
    length = max(int(x.max()) + 1 if x.numel() else 0, minlength)
    rows = [torch.bincount(row, None if weights is None else weights[at], length) for at, row in enumerate(x)]
    return torch.stack(rows).to(dtype)


@op
def histogram(x: Any, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Tensor, Tensor]:
    """Count the elements in intervals of equal width.

    Args:
        x: A tensor.
        bins: The number of intervals.
        range: The lowest and the highest bound. Default: the minimum and maximum of `x`.

    Returns:
        The counts `(bins,)` and the bounds `(bins + 1,)`.
    """
    x = to_tensor(x)
    x = x if x.is_floating_point() else x.float()
    low, high = (float(x.min()), float(x.max())) if range is None else range
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    edges = torch.linspace(low, high, bins + 1, dtype=x.dtype, device=x.device)
    inside = x[(x >= low) & (x <= high)]
    at = torch.clamp(torch.searchsorted(edges, inside, side="right") - 1, max=bins - 1)
    return torch.bincount(at, minlength=bins).to(x.dtype), edges


@op
def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """Return the different elements, in ascending order, or the different slices along an axis.

    Args:
        x: A tensor.
        sorted: Whether the elements are sorted.
        return_index: Whether the indices of their first occurrences are returned.
        return_inverse: Whether the index of each element of `x` among them is returned.
        return_counts: Whether the number of their occurrences is returned.
        axis: The axis. Default: the flattened tensor.
        size: How many are returned: the first ones, or all and `fill_value`.
        fill_value: What fills them up to `size`. Default 0.
    """
    x = to_tensor(x)
    values, inverse, counts = torch.unique(x, sorted=sorted, return_inverse=True, return_counts=True, dim=axis)
    at = 0 if axis is None else axis
    found = values.shape[at]
    order = torch.arange(inverse.numel(), device=x.device)
    first = order.new_full((found,), inverse.numel()).scatter_reduce(0, inverse.flatten(), order, "amin")
    if size is not None:
        values = _resized(values, at, size, 0 if fill_value is None else fill_value)
        counts, first = _resized(counts, 0, size, 0), _resized(first, 0, size, 1)
    flags = ((return_index, first), (return_inverse, inverse), (return_counts, counts))
    results = [values, *(one for wanted, one in flags if wanted)]
    return results[0] if len(results) == 1 else tuple(results)


def _resized(x: Tensor, axis: int, size: int, fill_value: Any) -> Tensor:
    """Return a tensor cut or filled up to a size along an axis."""
    n = x.shape[axis]
    if n >= size:
        return x.narrow(axis, 0, size)
    shape = list(x.shape)
    shape[axis] = size - n
    return torch.cat([x, x.new_full(shape, fill_value)], dim=axis)


@op
def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """Return the index along each axis of elements of a tensor of some shape, for indices of the flattened tensor."""
    indices = to_tensor(indices)
    return tuple(one.to(result_type(indices)) for one in torch.unravel_index(indices, tuple(shape)))


@op
def diff(a: Any, n: int = 1, axis: int = -1) -> Tensor:
    """Return the differences of neighbours along an axis, `n` times."""
    return torch.diff(to_tensor(a), n=n, dim=axis)


@op
def diag(x: Any, k: int = 0) -> Tensor:
    """Return a diagonal of a matrix, or the matrix with a vector on a diagonal."""
    return torch.diag(to_tensor(x), k)


@op
def diagflat(x: Any, k: int = 0) -> Tensor:
    """Return the matrix with the elements of a tensor on a diagonal."""
    return torch.diagflat(to_tensor(x), k)


@op
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return a diagonal of the matrices along two axes, as the last axis."""
    return torch.diagonal(to_tensor(x), offset, axis1, axis2)


@op
def tril(x: Any, k: int = 0) -> Tensor:
    """Return matrices with zeros above a diagonal."""
    return torch.tril(to_tensor(x), k)


@op
def triu(x: Any, k: int = 0) -> Tensor:
    """Return matrices with zeros below a diagonal."""
    return torch.triu(to_tensor(x), k)
