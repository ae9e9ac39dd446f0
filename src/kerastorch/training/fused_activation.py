"""The softmax or sigmoid a model ends in: found, and listened to, so that a loss can work on what comes before it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from kerastorch import activations
from kerastorch.core.channel_tracking import graph_of, output_nodes
from kerastorch.core.serialization import Proxy
from kerastorch.layers.activation import Softmax
from kerastorch.layers.convolution import Convolutional
from kerastorch.layers.core import Activation, Dense
from kerastorch.layers.reshaping import Identity

Kind = Literal["softmax", "sigmoid", "log_softmax", "log_sigmoid"]

_MODULES: dict[type[nn.Module], Kind] = {
    nn.Softmax: "softmax", nn.Softmax2d: "softmax", nn.Sigmoid: "sigmoid", nn.LogSoftmax: "log_softmax",
    nn.LogSigmoid: "log_sigmoid",
}  # fmt: skip
_FUNCTIONS: dict[Any, Kind] = {
    activations.softmax: "softmax", activations.sigmoid: "sigmoid", activations.log_softmax: "log_softmax",
    activations.log_sigmoid: "log_sigmoid", torch.sigmoid: "sigmoid", F.sigmoid: "sigmoid", F.logsigmoid: "log_sigmoid",
}  # fmt: skip


class FinalActivation(NamedTuple):
    """The last activation of a model."""

    module: nn.Module
    kind: Kind
    axis: int | None  # of a softmax; `None` for one that goes by the shape


def find_final_activation(module: nn.Module) -> FinalActivation | None:
    """Return the activation that a chain of modules ends in; `None` if its end cannot be told or is no activation."""
    last = last_module(module)
    kind = _MODULES.get(type(last)) or _kind_of_layer(last)
    return None if kind is None else FinalActivation(last, kind, _axis(last))


def final_activations(model: nn.Module) -> dict[str, Kind]:
    """Return the activations that the outputs of a model end in, by output name; none for those that cannot be told."""
    graph = graph_of(model)
    if graph is None:
        tail = find_final_activation(model)
        return {} if tail is None else {"": tail.kind}
    found = {}
    for name, node in output_nodes(model, graph).items():
        tail = find_final_activation(graph.get_submodule(str(node.target))) if node.op == "call_module" else None
        if tail is not None:
            found[name] = tail.kind
    return found


def last_module(module: nn.Module) -> nn.Module:
    """Return the module that computes the output: of chains and graphs the last one, else the module itself."""
    inner = getattr(module, "module_viewed", None)
    if inner is not None:
        return last_module(inner)
    if isinstance(module, fx.GraphModule):
        last = next(reversed(module.graph.nodes)).args[0]
        if not isinstance(last, fx.Node) or last.op != "call_module":
            return module
        calls = [node for node in module.graph.nodes if node.op == "call_module" and node.target == last.target]
        return last_module(module.get_submodule(str(last.target))) if len(calls) == 1 else module
    if isinstance(module, nn.Sequential) or getattr(module, "is_chain", False):
        children = [child for child in module._modules.values() if not isinstance(child, (nn.Identity, Identity))]
        return last_module(children[-1]) if children and children[-1] is not None else module
    return module


def _kind_of_layer(module: nn.Module) -> Kind | None:
    if isinstance(module, Softmax):
        return "softmax" if isinstance(module.axis, int) else None
    if not isinstance(module, (Dense, Activation, Convolutional)):
        return None
    if isinstance(module, Convolutional) and module.activates_channels_last():
        return None  # what comes out is not what the activation returned, but a view of it
    try:
        return _FUNCTIONS.get(module.activation) or _MODULES.get(type(module.activation))  # type: ignore[arg-type]
    except TypeError:  # an unhashable callable
        return None


def _axis(module: nn.Module) -> int | None:
    if isinstance(module, Softmax):
        return module.axis  # type: ignore[return-value]  # one axis, or _kind_of_layer would not have it
    softmax = module.activation if isinstance(module, (Dense, Activation, Convolutional)) else module
    if isinstance(softmax, nn.Softmax2d):
        return -3
    return softmax.dim if isinstance(softmax, (nn.Softmax, nn.LogSoftmax)) else -1


class LogitsRecorder(Proxy):
    """Keeps the last input and output of an activation: `logits(output)` is what `output` was made from."""

    def __init__(self, function: Callable[[Tensor], Tensor] | None = None) -> None:
        self.function = self.original = function
        self.__name__ = getattr(function, "__name__", repr(function))  # what a layer shows
        self._input: Tensor | None = None
        self._output: Tensor | None = None
        self._thread = threading.get_ident()  # `predict` in another thread calls the model too

    def __call__(self, x: Tensor) -> Tensor:
        """In the place of an activation function."""
        assert self.function is not None
        output = self.function(x)
        self._keep(x, output)
        return output

    def hook(self, module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        """As the forward hook of an activation module."""
        mask = kwargs.get("mask")
        # what a mask leaves out of a softmax, its input does not tell; one of time steps leaves out none
        told = mask is None or (mask.ndim > 1 and mask.shape == output.shape[:-1])
        if told:
            self._keep(args[0], output)
        elif threading.get_ident() == self._thread:
            self._input = self._output = None

    def _keep(self, x: Tensor, output: Tensor) -> None:
        if threading.get_ident() != self._thread:
            return
        if not hasattr(output, "fake_mode"):  # a call of the model without numbers, to learn of its masks
            self._input, self._output = x, output

    def logits(self, output: Tensor) -> Tensor | None:
        """What `output` was made from, if it is the last one made."""
        found = self._input if output is self._output else None
        self._input = self._output = None
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        # a model saved or copied meanwhile has its own activation
        return (LogitsRecorder, ()) if self.function is None else (_itself, (self.function,))


def _itself(function: Any) -> Any:
    return function


@contextmanager
def record_logits(tail: FinalActivation | None) -> Iterator[LogitsRecorder | None]:
    """Listen to the tail; the model is as before afterwards."""
    if tail is None:
        yield None
        return
    owner = tail.module
    if isinstance(
        getattr(owner, "activation", None), LogitsRecorder
    ):  # evaluate() within fit(): one listener is enough
        yield owner.activation  # type: ignore[misc]
    elif callable(getattr(owner, "activation", None)) and not isinstance(owner.activation, nn.Module):
        own = owner.activation
        tap = LogitsRecorder(own)  # type: ignore[arg-type]
        owner.activation = tap  # type: ignore[assignment]
        try:
            yield tap
        finally:
            owner.activation = own
    else:
        tap = LogitsRecorder()
        listened = owner.activation if isinstance(getattr(owner, "activation", None), nn.Module) else owner
        handle = listened.register_forward_hook(tap.hook, with_kwargs=True)  # type: ignore[union-attr]
        try:
            yield tap
        finally:
            handle.remove()
