"""Copies of a model that return its logits, or its probabilities at another temperature."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from torch import Tensor, fx, nn

from kerastorch import activations
from kerastorch.core.serialization import find_class
from kerastorch.layers.rescaling import Rescaling
from kerastorch.layers.reshaping import Identity
from kerastorch.module.evaluation_weights import evaluation_weights
from kerastorch.training.fused_activation import FinalActivation, Kind, find_final_activation


class LogitsModel(NamedTuple):
    """A copy of a model without its last activation.

    Attributes:
        module: Module that returns logits.
        last: The activation that was taken off; `None` if the model returns logits itself.
    """

    module: nn.Module
    last: FinalActivation | None


def without_activation(model: nn.Module) -> LogitsModel:
    """Return a copy of a model, with the weights that it is evaluated with, without a last softmax or sigmoid."""
    with evaluation_weights(model):
        copied = copy.deepcopy(model)
    last = find_final_activation(copied)
    if last is not None:
        if not callable(getattr(last.module, "activation", None)):
            _replace_last(copied, Identity())
        elif isinstance(last.module.activation, nn.Module):
            last.module.activation = nn.Identity()
        else:
            last.module.activation = activations.linear  # type: ignore[assignment]
    return LogitsModel(copied, last)


def at_temperature(logits: LogitsModel, temperature: float, axis: int, example: Tensor) -> Any:
    """Return a model whose logits are divided by a temperature before the last activation.

    Args:
        logits: Copy of the original model.
        temperature: The temperature.
        axis: Axis of the classes.
        example: Logits of a row, for which the new layer is built.
    """
    scaling = Rescaling(1 / temperature, name="temperature")
    scaling(example)
    layers: list[nn.Module] = [logits.module, scaling]
    if logits.last is not None:
        layers.append(_activation(logits.last.kind, axis))
    return chain(layers)


def chain(layers: list[nn.Module]) -> Any:
    """Return a `Sequential`, which stands above this file."""
    return find_class("kerastorch.Sequential")(layers)


def _activation(kind: Kind, axis: int) -> nn.Module:
    if kind == "softmax":
        return nn.Softmax(axis)
    if kind == "log_softmax":
        return nn.LogSoftmax(axis)
    return nn.Sigmoid() if kind == "sigmoid" else nn.LogSigmoid()


def _replace_last(module: nn.Module, replacement: nn.Module) -> None:
    """Put a module in place of the last module of a chain or graph, where `last_module` finds it."""
    viewed = getattr(module, "module_viewed", None)
    if viewed is not None:
        _replace_last(viewed, replacement)
        return
    if isinstance(module, fx.GraphModule):
        path = str(next(reversed(module.graph.nodes)).args[0].target)
        parent, _, name = path.rpartition(".")
        owner = module.get_submodule(parent)
    else:
        owner = module
        name = [n for n, child in module._modules.items() if not isinstance(child, (nn.Identity, Identity))][-1]
    child = owner._modules[name]
    assert child is not None
    if _is_chain(child):
        _replace_last(child, replacement)
    else:
        owner._modules[name] = replacement


def _is_chain(module: nn.Module) -> bool:
    """Return whether `last_module` looks into a module."""
    is_graph = isinstance(module, (nn.Sequential, fx.GraphModule))
    return is_graph or getattr(module, "is_chain", False) or getattr(module, "module_viewed", None) is not None
