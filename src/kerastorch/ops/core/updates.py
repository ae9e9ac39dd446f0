"""Writing into tensors, and reading slices of them; the results are new tensors."""

from __future__ import annotations

import builtins
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice
from kerastorch.ops.conversion import to_tensor, to_tensors
from kerastorch.ops.recording import op

__all__ = ["scatter", "scatter_update", "slice", "slice_update"]

_REDUCTIONS = {"max": "amax", "min": "amin", "mul": "prod"}


@op
def slice(inputs: Any, start_indices: Any, shape: Any) -> Tensor:
    """Return the part of a tensor that begins at some indices and has a shape.

    Args:
        inputs: A tensor.
        start_indices: The index along each axis.
        shape: The sizes of the part.
    """
    x = to_tensor(inputs)
    for axis, (start, size) in enumerate(zip(start_indices, shape, strict=True)):
        start = int(start) if not isinstance(start, Tensor) else start
        x = x.narrow(axis, start, int(size))
    return x


@op
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """Return a tensor with a part replaced, that begins at some indices.

    Args:
        inputs: A tensor.
        start_indices: The index along each axis.
        updates: The values of the part, with the axes of `inputs`.
    """
    x, updates = to_tensors(inputs, updates)
    part = tuple(
        builtins.slice(int(start), int(start) + size) for start, size in zip(start_indices, updates.shape, strict=True)
    )
    found = x.clone()
    found[part] = updates.to(x.dtype)
    return found


@op
def scatter(indices: Any, values: Any, shape: Any) -> Tensor:
    """Return zeros of a shape, with values added at indices.

    Args:
        indices: `(..., n)`, the indices of the first `n` axes of the result.
        values: `(..., *shape[n:])`; values at the same index are added up.
        shape: The shape of the result.
    """
    indices, values = to_tensors(indices, values)
    shape = tuple(map(int, shape))
    n = indices.shape[-1]
    at = tuple(indices.reshape(-1, n).long().T)
    return values.new_zeros(shape).index_put(at, values.reshape(-1, *shape[n:]), accumulate=True)


@op
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Tensor:
    """Return a tensor with values written at indices.

    Args:
        inputs: A tensor.
        indices: `(k, n)`, `k` indices of the first `n` axes.
        updates: `(k, ...)`, the values at these indices.
        reduction: How they are combined with those of `inputs`: `"add"`, `"max"`, `"min"` or `"mul"`. Default: they
            replace them.
    """
    x, indices = to_tensors(inputs, indices)
    updates = to_tensor(updates, x.dtype, x.device)
    at = tuple(indices.long().T)
    if reduction is None or reduction == "add":
        return x.index_put(at, updates, accumulate=reduction == "add")
    reduction = check_choice("reduction", reduction, ("add", "max", "min", "mul"))
    n = indices.shape[1]
    rows = x.reshape(-1, *x.shape[n:])
    row = torch.zeros(len(indices), dtype=torch.long, device=x.device)
    for axis, index in enumerate(at):
        row = row * x.shape[axis] + torch.where(index < 0, index + x.shape[axis], index)
    spread = row.reshape(-1, *[1] * (rows.ndim - 1)).expand(-1, *rows.shape[1:])
    updates = updates.expand(spread.shape)
    return rows.scatter_reduce(0, spread, updates, _REDUCTIONS[reduction]).reshape(x.shape)
