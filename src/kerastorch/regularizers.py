"""Regularizers under their Keras names: penalties on weights, and their collection from a module."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Hashable, Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.distributed_tensors import (
    average_gradient,
    device_mesh,
    full_tensor,
    group_by_mesh,
    is_distributed_tensor,
)
from kerastorch.core.errors import check_float, suggest
from kerastorch.core.keras_names import REGULARIZERS
from kerastorch.core.module_tree import named_modules
from kerastorch.core.name_lookup import resolve
from kerastorch.core.representation import represent
from kerastorch.core.serialization import Configurable

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "get", "l1", "l1_l2", "l2", "orthogonal_regularizer"]

Regularizer = Callable[[Tensor], Tensor]


def _as_tensor(weight: Any) -> Tensor:
    """Return an array or list of numbers as a tensor of torch's default dtype; tensors as they are."""
    return weight if isinstance(weight, Tensor) else torch.as_tensor(weight, dtype=torch.get_default_dtype())


class L1L2(Configurable):
    """`l1 * sum(|w|) + l2 * sum(w^2)`, a scalar.

    As in Keras there is no factor of one half: the gradient of the second term is `2 * l2 * w`.

    Args:
        l1: Factor of the absolute values, >= 0.
        l2: Factor of the squares, >= 0. Under plain SGD `L2(a)` equals torch's `weight_decay=2 * a`.

    >>> L1L2(l1=0.1, l2=1.0)(torch.tensor([3.0, -4.0]))
    tensor(25.7000)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = check_float("l1", l1, least=0)
        self.l2 = check_float("l2", l2, least=0)

    def __call__(self, weight: Any) -> Tensor:
        values = _as_tensor(weight)
        if not self.l1:
            # without the L1 term the gradient is one multiplication, as that of weight_decay
            return self.l2 * values.square().sum()
        total = self.l1 * values.abs().sum()
        return total + self.l2 * values.square().sum() if self.l2 else total

    def __repr__(self) -> str:
        return represent(self, always=("l1", "l2"))


class L1(L1L2):
    """`l1 * sum(|w|)`, a scalar.

    >>> L1(0.5)(torch.tensor([1.0, -2.0]))
    tensor(1.5000)
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """`l2 * sum(w^2)`, a scalar, as in Keras: twice the `l2 / 2 * |w|^2` of textbooks.

    >>> L2(0.5)(torch.tensor([1.0, -2.0]))
    tensor(2.5000)
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


class OrthogonalRegularizer(Configurable):
    """`factor * mean(|cosine|)` over all pairs of rows (or columns) of a matrix.

    It is 0 if they are orthogonal.

    Args:
        factor: Factor of the mean, >= 0.
        mode: `'rows'` or `'columns'`, the vectors that are compared.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = check_float("factor", factor, least=0)
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode must be 'rows' or 'columns', got {mode!r}.")
        self.mode = mode

    def __call__(self, weight: Any) -> Tensor:
        weight = _as_tensor(weight)
        if weight.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer takes a matrix, got shape {tuple(weight.shape)}.")
        rows = nn.functional.normalize(weight if self.mode == "rows" else weight.T, dim=1)
        pairs = rows.shape[0] * (rows.shape[0] - 1) / 2
        return self.factor * torch.triu(rows @ rows.T, 1).abs().sum() / max(pairs, 1)


# Keras' aliases
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_NAMES: dict[str, Any] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2(0.01, 0.01),
    "orthogonal_regularizer": OrthogonalRegularizer,
}


def get(identifier: Any) -> Regularizer | None:
    """Return the regularizer for a name, class, instance or function; `None` stays `None`.

    A function maps a weight to a scalar.

    Raises:
        ValueError: The name is unknown.
        TypeError: The identifier is no name, class or callable.

    >>> get("l2")
    L2(l2=0.01)
    """
    if identifier is None:
        return None
    if not isinstance(identifier, bool) and isinstance(identifier, Real):
        raise TypeError(
            f"A regularizer is a name, a class, an instance or a callable, got {identifier!r}. Write "
            f"regularizers.L2({identifier!r}) for the squares of the weights, L1({identifier!r}) for absolute values."
        )
    found: Regularizer = resolve("regularizer", identifier, _NAMES, callable)
    return found


class Penalty(NamedTuple):
    """A weight and its regularizer.

    Attributes:
        name: Name of the weight in the model, such as `"0.weight"`.
        weight: The parameter.
        regularizer: Function that maps the weight to its penalty, a scalar.
    """

    name: str
    weight: nn.Parameter
    regularizer: Regularizer

    def compute(self) -> Tensor:
        """Return the penalty, a plain scalar; that of a weight of several processes is equal in all of them."""
        return _plain(self._compute_on_mesh(), self.weight)

    def _compute_on_mesh(self) -> Tensor:
        """Return the penalty, as a tensor of the weight's mesh if the regularizer is a sum over elements."""
        # a regularizer may combine the weight with plain tensors, which torch refuses beside one of several processes
        takes_parts = not is_distributed_tensor(self.weight) or isinstance(self.regularizer, L1L2)
        return self.regularizer(self.weight if takes_parts else full_tensor(self.weight))


def add_penalties(total: Tensor, penalties: Iterable[Penalty]) -> Tensor:
    """Return a loss plus penalties on weights; those of weights on the same mesh are exchanged at once.

    Args:
        total: The loss, a plain scalar.
        penalties: Weights and their regularizers.
    """
    by_mesh: dict[Hashable, list[Penalty]] = {}
    for penalty in penalties:
        if is_distributed_tensor(penalty.weight):
            by_mesh.setdefault(device_mesh(penalty.weight), []).append(penalty)
        else:
            total = total + penalty.regularizer(penalty.weight)
    for some in by_mesh.values():
        for values in group_by_mesh(one._compute_on_mesh() for one in some):
            total = total + _plain(functools.reduce(torch.add, values), some[0].weight)
    return total


def _plain(value: Tensor, weight: Tensor) -> Tensor:
    """Return a penalty as a plain scalar.

    Its gradient does not go through the mean over processes that `fully_shard` computes for those of the data, so the
    factors by which processes scale their losses, which are 1 on average, are averaged here.

    Args:
        value: The penalty, plain or on the mesh of its weight.
        weight: The weight, plain or on a mesh.
    """
    return average_gradient(full_tensor(value), weight)


def collect_penalties(module: nn.Module, patterns: Mapping[str, Regularizer] | None = None) -> list[Penalty]:
    """Return the penalties of a module, from its layers and from patterns of parameter names.

    Frozen weights have no penalty.

    Args:
        module: A built module; each layer has its regularizers in a dict `weight_regularizers`, by weight name.
        patterns: Regularizers by pattern of parameter names, such as `{"*.weight": L2(1e-4)}`, matched as file names
            are (`fnmatch`). Default: none.

    Raises:
        ValueError: A pattern matches no parameter.
    """
    found = []
    for prefix, child in named_modules(module):
        for weight_name, regularizer in getattr(child, "weight_regularizers", {}).items():
            weight = getattr(child, weight_name, None)
            if isinstance(weight, nn.Parameter):
                found.append(Penalty(f"{prefix}.{weight_name}".lstrip("."), weight, regularizer))
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


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, REGULARIZERS)
