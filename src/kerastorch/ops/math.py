"""Special functions, segments, distances, and the largest elements."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.ops.conversion import axes_of, to_tensor, to_tensors
from kerastorch.ops.linalg import logdet
from kerastorch.ops.makers import unary
from kerastorch.ops.recording import op

__all__ = [
    "cdist", "erf", "erfc", "erfinv", "extract_sequences", "in_top_k", "logdet", "logsumexp", "rsqrt", "segment_max",
    "segment_min", "segment_prod", "segment_sum", "top_k", "view_as_complex", "view_as_real",
]  # fmt: skip

erf = unary("erf", torch.erf, "Return the error function.")
erfc = unary("erfc", torch.erfc, "Return 1 minus the error function.")
erfinv = unary("erfinv", torch.erfinv, "Return the inverse of the error function.")
rsqrt = unary("rsqrt", torch.rsqrt, "Return `1 / sqrt(x)`.")
view_as_complex = unary(
    "view_as_complex", torch.view_as_complex, "Return complex numbers for the pairs along the last axis, of size 2."
)
view_as_real = unary(
    "view_as_real", torch.view_as_real, "Return the real and imaginary parts of complex numbers, as a last axis."
)


@op
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return `log(sum(exp(x)))` over axes, without overflow."""
    x = to_tensor(x)
    return torch.logsumexp(x, axes_of(x, axis), keepdim=keepdims)


@op
def top_k(x: Any, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """Return the `k` largest elements along the last axis, in descending order, and their indices.

    Returns:
        A tuple with the attributes `values` and `indices`.
    """
    return torch.topk(to_tensor(x), k, sorted=sorted)


@op
def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """Return whether the score of the target of each row is one of the `k` largest.

    Args:
        targets: `(batch,)`, the number of a class for each row.
        predictions: `(batch, classes)`, scores.
        k: How many scores count.
    """
    targets, predictions = to_tensors(targets, predictions)
    score = predictions.gather(-1, targets.long()[:, None])
    return (score >= torch.topk(predictions, k).values[:, -1:])[:, 0]


@op
def cdist(x: Any, y: Any) -> Tensor:
    """Return the distances of each row of `x` to each row of `y`; axes before the last two broadcast."""
    x, y = to_tensors(x, y)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ValueError(
            f"cdist takes matrices whose rows have one size, got shapes {tuple(x.shape)} and {tuple(y.shape)}."
        )
    return (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1).sqrt()


@op
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Tensor:
    """Return windows along the last axis: `(..., n)` -> `(..., windows, sequence_length)`.

    Args:
        x: A tensor.
        sequence_length: The size of a window.
        sequence_stride: The distance of the first elements of windows.
    """
    return to_tensor(x).unfold(-1, sequence_length, sequence_stride).clone()


@op
def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the sums of the rows of each segment; 0 for a segment without rows.

    Args:
        data: A tensor.
        segment_ids: The number of the segment of each row, from 0; rows of other numbers do not count.
        num_segments: The number of segments. Default: the largest number plus 1.
        sorted: Whether `segment_ids` are sorted; no effect.
    """
    return _segments("sum", data, segment_ids, num_segments)


@op
def segment_prod(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the products of the rows of each segment, 1 for one without rows; arguments as in `segment_sum`."""
    return _segments("prod", data, segment_ids, num_segments)


@op
def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the maximum of the rows of each segment; arguments as in `segment_sum`.

    A segment without rows has minus infinity, or the smallest integer.
    """
    return _segments("amax", data, segment_ids, num_segments)


@op
def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the minimum of the rows of each segment; arguments as in `segment_sum`.

    A segment without rows has infinity, or the largest integer.
    """
    return _segments("amin", data, segment_ids, num_segments)


def _segments(kind: str, data: Any, segment_ids: Any, num_segments: int | None) -> Tensor:
    data, ids = to_tensors(data, segment_ids)
    ids = ids.long()
    n = int(ids.max()) + 1 if num_segments is None else num_segments
    ids = torch.where((ids < 0) | (ids >= n), n, ids)  # a last segment, which is dropped
    start = data.new_full((n + 1, *data.shape[1:]), _start(kind, data.dtype))
    return start.scatter_reduce(0, ids.reshape(-1, *[1] * (data.ndim - 1)).expand_as(data), data, kind)[:-1]


def _start(kind: str, dtype: torch.dtype) -> float:
    """Return what a reduction of no elements is."""
    if kind in ("sum", "prod"):
        return 0 if kind == "sum" else 1
    if dtype.is_floating_point:
        return -torch.inf if kind == "amax" else torch.inf
    limits = torch.iinfo(dtype)
    return limits.min if kind == "amax" else limits.max
