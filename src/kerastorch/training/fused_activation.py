"""The softmax or sigmoid that a model ends in, whose input a loss can use for accuracy (log-sum-exp)."""

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
    """The activation that a model ends in.

    Attributes:
        module: Module that applies it.
        kind: Which activation it is.
        axis: Axis of a softmax; `None` if torch chooses it by the number of axes.
    """

    module: nn.Module
    kind: Kind
    axis: int | None


def find_final_activation(module: nn.Module) -> FinalActivation | None:
    """Return the activation that a chain of modules ends in, if the last module is known and is one."""
    last = last_module(module)
    kind = _MODULES.get(type(last)) or _kind_of_layer(last)
    return None if kind is None else FinalActivation(last, kind, _axis(last))


def final_activations(model: nn.Module) -> dict[str, Kind]:
    """Return the known activations that the outputs of a model end in, by output name."""
    found = {}
    for name, module in last_modules(model).items():
        last = None if module is None else find_final_activation(module)
        if last is not None:
            found[name] = last.kind
    return found


def last_modules(model: nn.Module) -> dict[str, nn.Module | None]:
    """Return the last module before each output of a model, by output name; `None` if it is not a module.

    The only output has the name `''`.
    """
    graph = graph_of(model)
    if graph is None:
        return {"": last_module(model)}
    return {
        name: last_module(graph.get_submodule(str(node.target))) if node.op == "call_module" else None
        for name, node in output_nodes(model, graph).items()
    }


def last_module(module: nn.Module) -> nn.Module:
    """Return the last module of a chain or graph, or the module itself."""
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
        return None  # its output is a permuted view of what the activation returned
    activation = module.activation
    if isinstance(activation, LogitsRecorder):  # validation within fit() looks at a model whose logits are recorded
        activation = activation.original
    try:
        return _FUNCTIONS.get(activation) or _MODULES.get(type(activation))  # type: ignore[arg-type]
    except TypeError:  # an unhashable callable
        return None


def _axis(module: nn.Module) -> int | None:
    if isinstance(module, Softmax):
        return module.axis  # type: ignore[return-value]  # _kind_of_layer has checked that it is one axis
    softmax = module.activation if isinstance(module, (Dense, Activation, Convolutional)) else module
    if isinstance(softmax, nn.Softmax2d):
        return -3
    return softmax.dim if isinstance(softmax, (nn.Softmax, nn.LogSoftmax)) else -1


class LogitsRecorder(Proxy):
    """Records the last input and output of an activation function, in whose place it is called."""

    def __init__(self, function: Callable[[Tensor], Tensor] | None = None) -> None:
        self.function = self.original = function
        self.__name__ = getattr(function, "__name__", repr(function))  # what a layer shows
        # the last call on real tensors (False), and that on fake ones (True): a graph is captured with fake tensors,
        # and shape inference, which uses them too, may come between a call and its loss
        self._calls: dict[bool, tuple[Tensor, Tensor]] = {}
        self._thread = threading.get_ident()  # `predict` in another thread calls the model too

    def __call__(self, x: Tensor) -> Tensor:
        """Call the activation function, and record its input and output."""
        assert self.function is not None
        output = self.function(x)
        self._record(x, output)
        return output

    def hook(self, module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        """Record the input and output of an activation module, as its forward hook."""
        mask = kwargs.get("mask")
        # a mask over classes changes the softmax, so that its input alone does not determine it; one over time does not
        is_determined = mask is None or (mask.ndim > 1 and mask.shape == output.shape[:-1])
        if is_determined:
            self._record(args[0], output)
        elif threading.get_ident() == self._thread:
            self.clear()

    def _record(self, x: Tensor, output: Tensor) -> None:
        if threading.get_ident() == self._thread:
            self._calls[hasattr(output, "fake_mode")] = (x, output)

    def logits(self, output: Tensor) -> Tensor | None:
        """Return the input that `output` was computed from, if it is the last recorded output."""
        x, recorded = self._calls.get(hasattr(output, "fake_mode"), (None, None))
        self.clear()
        return x if output is recorded else None

    def clear(self) -> None:
        """Forget the recorded tensors."""
        self._calls.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        # a copy of the model gets the original activation
        return (LogitsRecorder, ()) if self.function is None else (_itself, (self.function,))


def _itself(function: Any) -> Any:
    return function


@contextmanager
def record_logits(last: FinalActivation | None) -> Iterator[LogitsRecorder | None]:
    """Record the input of a final activation; afterwards the model is as before.

    Args:
        last: The activation; `None` records nothing.
    """
    if last is None:
        yield None
        return
    owner = last.module
    if isinstance(getattr(owner, "activation", None), LogitsRecorder):  # evaluate() within fit() shares the recorder
        yield owner.activation  # type: ignore[misc]
    elif callable(getattr(owner, "activation", None)) and not isinstance(owner.activation, nn.Module):
        own = owner.activation
        recorder = LogitsRecorder(own)  # type: ignore[arg-type]
        owner.activation = recorder  # type: ignore[assignment]
        try:
            yield recorder
        finally:
            owner.activation = own
    else:
        recorder = LogitsRecorder()
        hooked = owner.activation if isinstance(getattr(owner, "activation", None), nn.Module) else owner
        handle = hooked.register_forward_hook(recorder.hook, with_kwargs=True)  # type: ignore[union-attr]
        try:
            yield recorder
        finally:
            handle.remove()
