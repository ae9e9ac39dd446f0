"""What weights must satisfy, under Keras' names: functions of a weight, applied after each step of the optimizer.

A norm is that of all the weights that lead to one unit or channel. A weight is laid out as torch does it,
`(out, in, *kernel)`, so those are the axes after the first; `dim=` names others. It is not called `axis`, because
Keras' `axis=0` counts in Keras' layout, `(*kernel, in, out)`, and would mean something else here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_float, check_int
from kerastorch.core.module_tree import modules
from kerastorch.core.name_lookup import resolve
from kerastorch.core.serialization import Configurable

__all__ = [
    "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get", "max_norm", "min_max_norm", "non_neg", "unit_norm",
]  # fmt: skip

Constraint = Callable[[Tensor], Tensor]

_TINY = 1e-7  # Keras' epsilon


class NonNeg(Configurable):
    """`max(w, 0)`.

    >>> NonNeg()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.clamp(min=0)


class _Norm(Configurable):
    def __init__(self, dim: int | Sequence[int] | None = None) -> None:
        given = dim if isinstance(dim, (tuple, list)) or dim is None else (dim,)
        self.dim = None if given is None else tuple(check_int("dim", one, -16) for one in given)

    def _norm(self, weight: Tensor) -> Tensor:
        axes = tuple(range(1, weight.ndim)) or (0,) if self.dim is None else self.dim
        norm: Tensor = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
        return norm


class MaxNorm(_Norm):
    """The norm of the weights of each unit is at most `max_value` (Srivastava et al. 2014, section 5.1).

    Args:
        max_value: the largest norm.
        dim: axes of the weight that the norm is taken over; `None`: all but the first.

    >>> MaxNorm(1.0)(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """

    def __init__(self, max_value: float = 2, *, dim: int | Sequence[int] | None = None) -> None:
        super().__init__(dim)
        self.max_value = check_float("max_value", max_value, least=0)

    def __call__(self, weight: Tensor) -> Tensor:
        norm = self._norm(weight)
        return weight * (norm.clamp(max=self.max_value) / (norm + _TINY))


class UnitNorm(_Norm):
    """The norm of the weights of each unit is 1.

    Args:
        dim: as for `MaxNorm`.
    """

    def __init__(self, *, dim: int | Sequence[int] | None = None) -> None:
        super().__init__(dim)

    def __call__(self, weight: Tensor) -> Tensor:
        return weight / (self._norm(weight) + _TINY)


class MinMaxNorm(_Norm):
    """The norm of the weights of each unit is pulled into `[min_value, max_value]`.

    Args:
        min_value: the smallest norm.
        max_value: the largest norm.
        rate: how far it is pulled: 1 all the way.
        dim: as for `MaxNorm`.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        *,
        dim: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(dim)
        self.min_value = check_float("min_value", min_value, least=0)
        self.max_value = check_float("max_value", max_value, least=self.min_value)
        self.rate = check_float("rate", rate, least=0, most=1)

    def __call__(self, weight: Tensor) -> Tensor:
        norm = self._norm(weight)
        wanted = self.rate * norm.clamp(self.min_value, self.max_value) + (1 - self.rate) * norm
        return weight * (wanted / (norm + _TINY))


# Keras' other names for the same
non_neg, max_norm, unit_norm, min_max_norm = NonNeg, MaxNorm, UnitNorm, MinMaxNorm

_CLASSES: dict[str, type] = {"non_neg": NonNeg, "max_norm": MaxNorm, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm}


def get(identifier: Any) -> Constraint | None:
    """A name, class, instance or function `weight -> weight`; `None` stays `None`.

    >>> get("non_neg")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if identifier is None:
        return None
    found: Constraint = resolve("constraint", identifier, _CLASSES, callable)
    return found


class Constrained(NamedTuple):
    """A weight and what it must satisfy."""

    weight: nn.Parameter
    constraint: Constraint


def constrained(module: nn.Module) -> list[Constrained]:
    """What the layers of a built module ask for, in dicts `weight_constraints`; frozen weights are left alone."""
    return [
        Constrained(weight, constraint)
        for part in modules(module)
        for name, constraint in getattr(part, "weight_constraints", {}).items()
        if isinstance(weight := getattr(part, name, None), nn.Parameter) and weight.requires_grad
    ]


@torch.no_grad()
def constrain(some: Iterable[tuple[Tensor, Constraint]]) -> None:
    """Make weights satisfy what they must."""
    for weight, constraint in some:
        weight.copy_(constraint(weight))


def __dir__() -> list[str]:
    return __all__
