"""TensorStats: the range of a tensor, and the share of its elements that are finite."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.nested import leaves
from kerastorch.core.torch_private import sparse_values


@dataclass(frozen=True)
class TensorStats:
    """Statistics of the elements of one or several tensors.

    Attributes:
        minimum: Smallest finite element; NaN if there is none.
        maximum: Largest finite element; NaN if there is none.
        finite_share: Number of finite elements divided by the number of elements; 1 if there are no elements.
        worst: `'nan'`, `'inf'` or `'-inf'` if there is such an element, in this order; else an empty string.
    """

    minimum: float
    maximum: float
    finite_share: float
    worst: str

    @classmethod
    def of(cls, tensors: Iterable[Tensor]) -> TensorStats | None:
        """Return the statistics of all floating-point and complex tensors together, or `None` if there are none."""
        parts = [flat for tensor in tensors if (flat := _values(tensor)) is not None]
        if not parts:
            return None
        total = sum(part.numel() for part in parts)
        finite = [part[part.isfinite()] for part in parts]
        lowest = [one.min().item() for one in finite if one.numel()]
        highest = [one.max().item() for one in finite if one.numel()]
        share = sum(one.numel() for one in finite) / total if total else 1.0
        return cls(min(lowest, default=math.nan), max(highest, default=math.nan), share, _worst(parts))

    @property
    def is_finite(self) -> bool:
        """Return whether all elements are finite."""
        return not self.worst

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as values of JSON, in which NaN is `None`."""
        bounds = {"min": self.minimum, "max": self.maximum}
        return {
            **{name: number if math.isfinite(number) else None for name, number in bounds.items()},
            "finite_share": self.finite_share,
            "worst": self.worst,
        }


def tensors_of(structure: Any) -> list[Tensor]:
    """Return the tensors of nested tuples, lists and dicts; objects of other kinds are left out."""
    return [leaf for _, leaf in leaves(structure) if isinstance(leaf, Tensor)]


def worst_value(tensor: Any) -> str:
    """Return `'nan'`, `'inf'` or `'-inf'` if a tensor has such an element, in this order; else an empty string."""
    flat = _values(tensor) if isinstance(tensor, Tensor) else None
    return "" if flat is None else _worst([flat])


def _values(tensor: Tensor) -> Tensor | None:
    """Return the real elements of a tensor as a vector; `None` if it cannot hold NaN."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.is_meta or tensor.is_nested:
        return None
    with torch.no_grad():
        dense = sparse_values(tensor) if tensor.layout == torch.sparse_coo else tensor
        if dense.layout != torch.strided:
            return None
        dense = torch.view_as_real(dense.detach()) if dense.is_complex() else dense.detach()
        return dense.reshape(-1)


def _worst(parts: list[Tensor]) -> str:
    if any(bool(part.isnan().any()) for part in parts):
        return "nan"
    if any(bool((part == math.inf).any()) for part in parts):
        return "inf"
    return "-inf" if any(bool((part == -math.inf).any()) for part in parts) else ""
