"""Penalties on weights under their Keras names, and the collecting of them from a module."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_float, suggest
from kerastorch.core.module_tree import named_modules
from kerastorch.core.name_lookup import resolve
from kerastorch.core.representation import represent
from kerastorch.core.serialization import Configurable

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "get", "l1", "l1_l2", "l2", "orthogonal_regularizer"]

Regularizer = Callable[[Tensor], Tensor]


class L1L2(Configurable):
    """`l1 * sum(|w|) + l2 * sum(w^2)`, a scalar. No half: the gradient of the second part is `2 * l2 * w`.

    Args:
        l1: factor of the absolute values, >= 0.
        l2: factor of the squares, >= 0. Under plain SGD `L2(a)` is torch's `weight_decay=2 * a`.

    >>> L1L2(l1=0.1, l2=1.0)(torch.tensor([3.0, -4.0]))
    tensor(25.7000)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = check_float("l1", l1, least=0)
        self.l2 = check_float("l2", l2, least=0)

    def __call__(self, weight: Tensor) -> Tensor:
        if not self.l1:
            # what weight_decay computes too, one multiplication of the gradient
            return self.l2 * weight.square().sum()
        total = self.l1 * weight.abs().sum()
        return total + self.l2 * weight.square().sum() if self.l2 else total

    def __repr__(self) -> str:
        return represent(self, always=("l1", "l2"))


class L1(L1L2):
    """`l1 * sum(|w|)`.

    >>> L1(0.5)(torch.tensor([1.0, -2.0]))
    tensor(1.5000)
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """`l2 * sum(w^2)`, as in Keras: twice what `l2 / 2 * |w|^2` textbooks have.

    >>> L2(0.5)(torch.tensor([1.0, -2.0]))
    tensor(2.5000)
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


class OrthogonalRegularizer(Configurable):
    """`factor * mean(|cosine|)` between the rows (or columns) of a matrix: small when they are orthogonal."""

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = check_float("factor", factor, least=0)
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode must be 'rows' or 'columns', got {mode!r}.")
        self.mode = mode

    def __call__(self, weight: Tensor) -> Tensor:
        if weight.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer takes a matrix, got shape {tuple(weight.shape)}.")
        rows = nn.functional.normalize(weight if self.mode == "rows" else weight.T, dim=1)
        pairs = rows.shape[0] * (rows.shape[0] - 1) / 2
        return self.factor * torch.triu(rows @ rows.T, 1).abs().sum() / max(pairs, 1)


# Keras' other names for the same
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_NAMES: dict[str, Any] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2(0.01, 0.01),
    "orthogonal_regularizer": OrthogonalRegularizer,
}


def get(identifier: Any) -> Regularizer | None:
    """A name, class, instance or function `weight -> scalar`; `None` stays `None`.

    >>> get("l2")
    L2(l2=0.01)
    """
    if identifier is None:
        return None
    found: Regularizer = resolve("regularizer", identifier, _NAMES, callable)
    return found


class Penalty(NamedTuple):
    """A weight, by its name in the model, and what is charged for it."""

    name: str
    weight: nn.Parameter
    regularizer: Regularizer


def penalties(module: nn.Module, patterns: Mapping[str, Regularizer] | None = None) -> list[Penalty]:
    """What the layers of `module`, and `patterns` on its parameter names, ask for; frozen weights are left out.

    Args:
        module: a built module; layers name theirs in a dict `weight_regularizers`.
        patterns: `{"*.weight": L2(1e-4)}`, matched as file names are (`fnmatch`).

    Raises:
        ValueError: a pattern that matches no parameter.
    """
    found = []
    for prefix, child in named_modules(module):
        for local, regularizer in getattr(child, "weight_regularizers", {}).items():
            weight = getattr(child, local, None)
            if isinstance(weight, nn.Parameter):
                found.append(Penalty(f"{prefix}.{local}".lstrip("."), weight, regularizer))
    named = dict(module.named_parameters())
    for pattern, regularizer in (patterns or {}).items():
        matched = fnmatch.filter(named, pattern)
        if not matched:
            raise ValueError(
                f"regularizers: {pattern!r} matches no parameter.{suggest(pattern, named)} "
                f"The model has: {', '.join(named)}."
            )
        found += [Penalty(name, named[name], regularizer) for name in matched]
    return [penalty for penalty in found if penalty.weight.requires_grad]


def __dir__() -> list[str]:
    return __all__
