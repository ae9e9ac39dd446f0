"""Aggregation: the variables of several metrics, each of which has seen a part of the rows, as those of all rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

AGGREGATIONS = ("sum", "mean", "only_first_replica")


def aggregate(values: Sequence[Tensor], aggregation: str | None) -> Tensor:
    """Return one value for those of several metrics.

    Args:
        values: Values of one variable, by part.
        aggregation: One of `AGGREGATIONS`.

    >>> aggregate([torch.tensor(1.0), torch.tensor(2.0)], "sum")
    tensor(3.)
    """
    device = values[0].device
    parts = torch.stack([value.detach().to(device) for value in values])
    if aggregation == "sum":
        return parts.sum(0)
    if aggregation == "mean":
        return parts.mean(0) if parts.is_floating_point() else parts.double().mean(0)
    return parts[0]


def different_attributes(holders: Sequence[Any], exclude: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of attributes with numbers, text or tensors that are not equal in all of several objects.

    Args:
        holders: The objects.
        exclude: Names of attributes that are left out.
    """
    first = vars(holders[0])
    for name, value in first.items():
        if name not in exclude and any(_is_different(value, vars(one).get(name, value)) for one in holders[1:]):
            yield name


def _is_different(one: Any, other: Any) -> bool:
    """Return whether two values are numbers, text or tensors, or lists of them, and not equal."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        both = isinstance(one, Tensor) and isinstance(other, Tensor)
        return not (both and one.shape == other.shape and torch.equal(one.cpu(), other.cpu()))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) != len(other) or any(_is_different(*pair) for pair in zip(one, other, strict=True))
    plain = (bool, int, float, str, type(None))
    is_nan = one != one and other != other
    return isinstance(one, plain) and isinstance(other, plain) and one != other and not is_nan
