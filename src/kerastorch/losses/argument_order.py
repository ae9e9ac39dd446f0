"""Detection of the order in which a function takes targets and outputs, from the names of its parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from kerastorch.core.errors import warn

Order = Literal["keras", "torch"]  # (y_true, y_pred) or (input, target)

# words of parameter names
_TARGETS = frozenset({
    "true", "truth", "target", "targets", "label", "labels", "actual", "actuals", "expected", "gold", "gt", "ytrue",
})  # fmt: skip
_OUTPUTS = frozenset({
    "input", "inputs", "pred", "preds", "predicted", "prediction", "predictions", "output", "outputs", "logit",
    "logits", "score", "scores", "prob", "probs", "probability", "probabilities", "hat", "yhat", "ypred", "estimate",
    "estimates", "estimated", "recon", "reconstruction", "forecast",
})  # fmt: skip
_WEAK_TARGETS = frozenset(("y", "t", "ys"))  # names of targets, unless the other name is clearly one


def argument_order(function: Callable[..., Any]) -> Order | None:
    """Return the order in which a function takes targets and outputs; `None` if unknown.

    `'keras'` is `(y_true, y_pred)`, `'torch'` is `(input, target)`. The order is unknown if the names of the first two
    parameters do not show which of them the targets are.

    >>> argument_order(lambda y_true, y_pred: 0)
    'keras'
    >>> argument_order(lambda logits, labels: 0)
    'torch'
    >>> argument_order(lambda a, b: 0)
    """
    names = _positional_names(function)
    kinds = [kind_of_name(name) for name in names[:2]]
    if len(kinds) < 2 or kinds[0] == kinds[1]:
        return None
    first, second = kinds
    if first == "weak":
        return "torch" if second == "target" else "keras"
    if second == "weak":
        return "keras" if first == "target" else "torch"
    return "keras" if first == "target" or second == "output" else "torch"


def resolve_order(function: Callable[..., Any], name: str, kind: str) -> Order:
    """Return the order in which to call a function; if it is unknown, warn and use torch's.

    Args:
        function: Takes targets and outputs as its first two arguments.
        name: Name of the function, for the warning.
        kind: `'loss'` or `'metric'`, for the warning.
    """
    order = argument_order(function)
    if order is None:
        warn(
            f"{kind} {name!r} is called in torch's order, (outputs, targets): the names of its parameters do not say "
            "which order they have. To choose, name them: (y_true, y_pred) is Keras' order, (input, target) torch's."
        )
        return "torch"
    return order


def _positional_names(function: Callable[..., Any]) -> list[str]:
    """Return the names of the positional parameters of a function, without `*args`."""
    call = function.forward if isinstance(function, nn.Module) else function
    schema = getattr(call, "schema", None)
    if isinstance(schema, torch.FunctionSchema):  # a scripted function
        return [one.name for one in schema.arguments if one.name != "self"]
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # some functions written in C have no signature
        return []
    return [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]


def kind_of_name(name: str) -> Literal["target", "output", "weak"] | None:
    """Return whether a parameter name means targets or outputs; `None` if it is unclear."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip("_")
    if name in _WEAK_TARGETS:
        return "weak"
    words = set(name.split("_"))
    if words & _TARGETS and not words & _OUTPUTS:
        return "target"
    return "output" if words & _OUTPUTS and not words & _TARGETS else None
