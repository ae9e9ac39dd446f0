"""Parameter groups from patterns of parameter names: other learning rates and weight decays for parts of a model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from kerastorch.core.errors import check_float, suggest
from kerastorch.core.serialization import Configurable

MAX_NAMES = 8  # that a message lists


@dataclass(frozen=True)
class ExceptBiasAndNorm(Configurable):
    """Weight decay of all parameters but biases and those of normalization layers, for `weight_decay=`.

    Parameters with at most one axis do not decay: biases, and the scales of normalization layers. So do Loshchilov &
    Hutter's AdamW in most trainings of transformers.

    Args:
        weight_decay: Decay of the other parameters, >= 0; or pattern of parameter names -> decay.

    >>> from kerastorch.optimizers import AdamW
    >>> net = nn.Linear(3, 2)
    >>> optimizer = AdamW(1e-3, weight_decay=ExceptBiasAndNorm(0.01))(net.named_parameters())
    >>> [group["weight_decay"] for group in optimizer.param_groups]
    [0.01, 0.0]
    """

    weight_decay: float | Mapping[str, float]


@dataclass
class ParameterGroup:
    """Parameters that are trained alike.

    Attributes:
        name: Pattern that their names match; `''` if there are no patterns of learning rates.
        rate: Their learning rate: a number or a schedule.
        decay: Their weight decay.
        params: The parameters.
        options: Further entries of the group in the optimizer of torch.
    """

    name: str
    rate: Any
    decay: float
    params: list[Tensor]
    options: dict[str, Any] = field(default_factory=dict)


class ParameterName(str):
    """Name of a parameter in `named_parameters()`, which also has its path by the names of layers.

    In a `Sequential` torch names layers by their numbers: `0.weight`. A layer that the user has named `hidden` has the
    path `hidden.weight`.
    """

    path: str

    @classmethod
    def of(cls, name: str, modules: Mapping[str, nn.Module]) -> ParameterName:
        """Return the name of a parameter of a model.

        Args:
            name: Its name in the model.
            modules: The modules of the model by name.
        """
        found = cls(name)
        *parts, last = name.split(".")
        given = [getattr(modules.get(".".join(parts[: depth + 1])), "name", None) for depth in range(len(parts))]
        path = [one if isinstance(one, str) else part for one, part in zip(given, parts, strict=True)]
        found.path = ".".join([*path, last])
        return found


def matches(name: str, pattern: str) -> bool:
    """Return whether a pattern covers a parameter: its name, or that of a module around it, matches.

    The names of layers count, too, if the name is a `ParameterName`.

    >>> matches("backbone.0.weight", "backbone"), matches("backbone.0.weight", "*.bias")
    (True, False)
    """
    return any(
        fnmatchcase(one, pattern) or fnmatchcase(one, f"{pattern}.*") for one in (name, getattr(name, "path", name))
    )


def first_matches(patterns: Iterable[str], names: Iterable[str], argument: str) -> dict[str, str]:
    """Return the first pattern that covers each name; names that none covers are left out.

    Args:
        patterns: Wildcards of file names (`fnmatch`), or names of modules.
        names: Names of parameters.
        argument: Name of the argument, for the message.

    Raises:
        ValueError: A pattern covers no parameter, or none that an earlier one does not cover. For settings `'*'` may be
            left without any; an optimizer may not.
    """
    names, patterns = list(names), list(patterns)
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            paths = [getattr(name, "path", name) for name in names]
            around = [path.rsplit(".", depth)[0] for path in paths for depth in range(1, path.count(".") + 1)]
            raise ValueError(
                f"{argument}: {pattern!r} matches no parameter.{suggest(pattern, dict.fromkeys([*around, *paths]))} "
                f"The model has: {', '.join(paths[:MAX_NAMES])}{', ...' if len(paths) > MAX_NAMES else ''}."
            )
    found = {name: next((one for one in patterns if matches(name, one)), None) for name in names}
    for pattern in patterns:
        if pattern not in found.values() and (pattern != "*" or argument == "optimizer"):
            raise ValueError(
                f"{argument}: no parameter is left for {pattern!r}, because the patterns before it match all that it "
                "matches. The first pattern that matches counts: write general ones, such as '*', last."
            )
    return {name: pattern for name, pattern in found.items() if pattern is not None}


def group_parameters(
    named: Mapping[str, Tensor], rates: Any, decays: Any, undecayed: Collection[str] = ()
) -> list[ParameterGroup]:
    """Divide parameters into groups, in the order in which their first parameters come.

    Args:
        named: Parameters by name.
        rates: Learning rate, or pattern -> learning rate; the first pattern that covers a parameter counts.
        decays: Weight decay, `None` for none, or pattern -> weight decay; what no pattern covers does not decay. Either
            may be within `ExceptBiasAndNorm`.
        undecayed: Names of parameters that do not decay in any case.

    Raises:
        ValueError: A pattern covers no parameter, or no pattern of `rates` covers a parameter.
    """
    if isinstance(decays, ExceptBiasAndNorm):
        undecayed = {*undecayed, *(name for name, one in named.items() if one.ndim <= 1)}
        decays = decays.weight_decay
    rate_patterns = first_matches(rates, named, "learning_rate") if isinstance(rates, Mapping) else {}
    decay_patterns = first_matches(decays, named, "weight_decay") if isinstance(decays, Mapping) else {}
    groups: dict[tuple[str, float], ParameterGroup] = {}
    for name, parameter in named.items():
        pattern = rate_patterns.get(name, "")
        if isinstance(rates, Mapping) and not pattern:
            raise ValueError(f"learning_rate: no pattern matches {name!r}. Add one for all others, '*': 1e-3.")
        decay = decays.get(decay_patterns.get(name), 0.0) if isinstance(decays, Mapping) else decays or 0.0
        if name in undecayed:
            decay = 0.0
        rate = rates[pattern] if pattern else rates
        group = groups.setdefault((pattern, decay), ParameterGroup(pattern, rate, decay, []))
        group.params.append(parameter)
    return list(groups.values())


def check_patterns(argument: str, patterns: Mapping[Any, Any]) -> None:
    """Check that a dict maps patterns to values.

    Raises:
        ValueError: It is empty, or a key is no text.
    """
    if not patterns:
        raise ValueError(f"{argument} is an empty dict; give a value for each pattern, as {{'*': 1e-3}}.")
    for pattern in patterns:
        if not isinstance(pattern, str) or not pattern:
            raise ValueError(f"{argument}: a pattern is text such as 'backbone.*', got {pattern!r}.")


def layerwise_rates(
    layers: nn.Module | Sequence[str], learning_rate: float = 1e-3, factor: float = 0.75
) -> dict[str, float]:
    """Return a learning rate for each layer: the last layer has `learning_rate`, each earlier one `factor` times less.

    It is the layer-wise rate decay of Howard & Ruder (2018, "discriminative fine-tuning"), for the argument
    `learning_rate` of an optimizer.

    Args:
        layers: A model, whose children are the layers in their order; or patterns from the first layer to the last.
        learning_rate: Rate of the last layer, > 0. Default 1e-3.
        factor: Rate of a layer divided by that of the next one, > 0. Default 0.75.

    Raises:
        ValueError: There is no layer, or a number is out of its bounds.

    >>> layerwise_rates(["embedding", "blocks.0", "blocks.1", "head"], 1e-2, 0.1)
    {'head': 0.01, 'blocks.1': 0.001, 'blocks.0': 0.0001, 'embedding': 1e-05}
    """
    check_float("learning_rate", learning_rate, above=0)
    check_float("factor", factor, above=0)
    if isinstance(layers, nn.Module):
        patterns = [name for name, child in layers.named_children() if any(True for _ in child.parameters())]
    else:
        patterns = list(layers)
    check_patterns("layers", dict.fromkeys(patterns))
    rates = {}
    for depth, pattern in enumerate(reversed(patterns)):
        rates[pattern] = float(f"{learning_rate * factor**depth:.12g}")  # 1e-05, not 1.0000000000000003e-05
    return rates
