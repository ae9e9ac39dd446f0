"""CriterionSignature: which parameters of a criterion take outputs of a model, targets and sample weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from kerastorch.core.signatures import parameters_of
from kerastorch.losses.argument_order import kind_of_name

_WEIGHTS = ("sample_weight", "sample_weights")
_INPUT = "x"  # what autoencoders compare their outputs with


class CriterionSignature(NamedTuple):
    """The parameters of a criterion that it cannot be called without.

    Attributes:
        names: Names of the parameters, without that for sample weights.
        target: Name of the parameter that takes the targets; `None` if the names do not show it.
        takes_optional_target: Whether one more parameter, with a default, takes the targets.
        weight: Name of the parameter for sample weights; `None` if there is none.
    """

    names: tuple[str, ...]
    target: str | None
    takes_optional_target: bool
    weight: str | None

    @classmethod
    def of(cls, function: Callable[..., Any]) -> CriterionSignature | None:
        """Return the signature of a criterion; `None` if it cannot be read, or takes any number of arguments.

        >>> CriterionSignature.of(lambda recon, mu, logvar, target: 0).target
        'target'
        >>> CriterionSignature.of(lambda outputs, target, beta=1.0: 0).names
        ('outputs', 'target')
        """
        parameters = _parameters(function)
        if parameters is None or any(one.kind is one.VAR_POSITIONAL for one in parameters):
            return None
        weight = next((one.name for one in parameters if one.name in _WEIGHTS), None)
        positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        names = tuple(one.name for one in positional if one.default is one.empty and one.name != weight)
        optional = [one.name for one in positional if one.default is not one.empty and one.name != weight]
        takes_target = bool(optional) and kind_of_name(optional[0]) in ("target", "weak")
        return cls(names, _target(names), takes_target, weight)

    @property
    def has_order(self) -> bool:
        """Return whether the criterion takes outputs and targets as its first two arguments, in one of two orders."""
        return len(self.names) in (0, 2) or (len(self.names) == 1 and self.takes_optional_target)

    @property
    def needs_targets(self) -> bool:
        """Return whether the criterion surely needs targets."""
        return self.target is not None

    def output_names(self) -> tuple[str, ...]:
        """Return the names of the parameters that take one output each."""
        return tuple(name for name in self.names if name != self.target)

    def arrange(self, parts: Mapping[Any, Any] | Sequence[Any] | None) -> list[Any] | None:
        """Return keys or positions of the parts that the parameters for outputs take, in their order; else `None`.

        The names of parts decide if they are those of the parameters; else the order, if parts have one.

        Args:
            parts: Outputs of the model, by name or in order.
        """
        wanted = self.output_names()
        keys = {str(key): key for key in parts} if isinstance(parts, Mapping) else {}
        if keys and set(wanted) <= keys.keys():
            return [keys[name] for name in wanted]
        if parts is None or type(parts) is dict or len(parts) != len(wanted):
            return None
        return list(parts) if isinstance(parts, Mapping) else list(range(len(parts)))

    def __str__(self) -> str:
        return f"({', '.join(self.names)})"


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    call = function.forward if isinstance(function, nn.Module) else function
    if isinstance(getattr(call, "schema", None), torch.FunctionSchema):  # a scripted function
        return None
    try:
        return list(parameters_of(call).values())
    except (TypeError, ValueError):  # some functions written in C have no signature
        return None


def _target(names: Sequence[str]) -> str | None:
    """Return the only name that means targets; of several kinds of names the clearest counts."""
    kinds = {name: kind_of_name(name) for name in names}
    for found in (
        [name for name in names if kinds[name] == "target"],
        [name for name in names if kinds[name] == "weak"],
        [name for name in names if name == _INPUT],
    ):
        if len(found) == 1:
            return found[0]
    return None
