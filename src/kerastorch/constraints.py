"""Constraints on weights under their Keras names, and their application after each step of the optimizer.

A constraint maps a weight to the weight that replaces it. By default a norm is taken over all values that lead to one
unit or channel: the axes after the first, because weights have torch's layout, `(out, in, *kernel)`. `dim=` chooses
other axes. The argument is not called `axis`: Keras' `axis=0` is in Keras' layout, `(*kernel, in, out)`, and would
mean something different here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.distributed_tensors import copy_values, full_tensor, is_distributed_tensor
from kerastorch.core.errors import check_float, check_int
from kerastorch.core.keras_names import CONSTRAINTS
from kerastorch.core.module_tree import modules
from kerastorch.core.name_lookup import resolve
from kerastorch.core.ownership import is_own
from kerastorch.core.serialization import Configurable

__all__ = [
    "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get", "max_norm", "min_max_norm", "non_neg", "unit_norm",
]  # fmt: skip

Constraint = Callable[[Tensor], Tensor]

_EPSILON = 1e-7  # that of Keras


class NonNeg(Configurable):
    """`max(w, 0)`: negative values become 0.

    >>> NonNeg()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.clamp(min=0)


class _NormConstraint(Configurable):
    """Base of the constraints on norms.

    Args:
        dim: Axes of the weight that the norm is taken over. Default: all but the first.
    """

    def __init__(self, dim: int | Sequence[int] | None = None) -> None:
        given = dim if isinstance(dim, (tuple, list)) or dim is None else (dim,)
        self.dim = None if given is None else tuple(check_int("dim", one, -16) for one in given)

    def _norm(self, weight: Tensor) -> Tensor:
        axes = tuple(range(1, weight.ndim)) or (0,) if self.dim is None else self.dim
        norm: Tensor = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
        return norm


class MaxNorm(_NormConstraint):
    """A norm of at most `max_value` for the weights of each unit.

    Srivastava et al. 2014, section 5.1.

    Args:
        max_value: The largest norm, >= 0.
        dim: Axes of the weight that the norm is taken over. Default: all but the first.

    >>> MaxNorm(1.0)(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """

    def __init__(self, max_value: float = 2, *, dim: int | Sequence[int] | None = None) -> None:
        super().__init__(dim)
        self.max_value = check_float("max_value", max_value, least=0)

    def __call__(self, weight: Tensor) -> Tensor:
        norm = self._norm(weight)
        return weight * (norm.clamp(max=self.max_value) / (norm + _EPSILON))


class UnitNorm(_NormConstraint):
    """A norm of 1 for the weights of each unit.

    Args:
        dim: Axes of the weight that the norm is taken over. Default: all but the first.
    """

    def __init__(self, *, dim: int | Sequence[int] | None = None) -> None:
        super().__init__(dim)

    def __call__(self, weight: Tensor) -> Tensor:
        return weight / (self._norm(weight) + _EPSILON)


class MinMaxNorm(_NormConstraint):
    """A norm in `[min_value, max_value]` for the weights of each unit.

    The norm becomes `rate * clip(norm, min_value, max_value) + (1 - rate) * norm`.

    Args:
        min_value: The smallest norm, >= 0.
        max_value: The largest norm, >= `min_value`.
        rate: How far the norm is moved, from 0 (not at all) to 1 (into the range).
        dim: Axes of the weight that the norm is taken over. Default: all but the first.
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
        new_norm = self.rate * norm.clamp(self.min_value, self.max_value) + (1 - self.rate) * norm
        return weight * (new_norm / (norm + _EPSILON))


# Keras' aliases
non_neg, max_norm, unit_norm, min_max_norm = NonNeg, MaxNorm, UnitNorm, MinMaxNorm

_CLASSES: dict[str, type] = {"non_neg": NonNeg, "max_norm": MaxNorm, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm}


def get(identifier: Any) -> Constraint | None:
    """Return the constraint for a name, class, instance or function; `None` stays `None`.

    A function maps a weight to the weight that replaces it.

    Raises:
        ValueError: The name is unknown.
        TypeError: The identifier is no name, class or callable.

    >>> get("non_neg")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if identifier is None:
        return None
    found: Constraint = resolve("constraint", identifier, _CLASSES, callable)
    return found


class ConstrainedWeight(NamedTuple):
    """A weight and its constraint."""

    weight: nn.Parameter
    constraint: Constraint


def collect_constraints(module: nn.Module) -> list[ConstrainedWeight]:
    """Return the constrained weights of a built module, without frozen ones.

    Each layer has its constraints in a dict `weight_constraints`, by weight name.
    """
    return [
        ConstrainedWeight(weight, constraint)
        for part in modules(module)
        for name, constraint in getattr(part, "weight_constraints", {}).items()
        if isinstance(weight := getattr(part, name, None), nn.Parameter) and weight.requires_grad
    ]


@torch.no_grad()
def apply_constraints(constrained_weights: Iterable[tuple[Tensor, Constraint]]) -> None:
    """Apply constraints to their weights, in place."""
    for weight, constraint in constrained_weights:
        if is_distributed_tensor(weight) and not is_own(constraint):  # it may combine the weight with plain tensors
            copy_values(weight, constraint(full_tensor(weight)))
        else:
            weight.copy_(constraint(weight))


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, CONSTRAINTS)
