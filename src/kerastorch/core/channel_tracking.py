"""Which axis of a tensor holds the channels: how that is known from one module to the next in chains and graphs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import fx, nn
from torch.nn.modules import activation, batchnorm, dropout, normalization
from torch.utils import _pytree as pytree

from kerastorch.core.errors import warn


class Channels(NamedTuple):
    """The channel axis of a tensor, and how it is known.

    Attributes:
        axis: 1 or -1.
        ndim: how many axes the tensor has, the batch's among them.
        origin: the name of the layer that it is known from, for messages.
    """

    axis: int
    ndim: int
    origin: str


Visit = Callable[[nn.Module, "Channels | None"], None]


def _ignore(module: nn.Module, given: Channels | None) -> None:
    """Do nothing on the way."""


def known_channel_axes(model: nn.Module) -> dict[str, int]:
    """Return the channel axis of each output of `model` for which it is known: 1 or -1.

    It is known in chains and functional graphs, from the last layer with a `data_format`, or the last `nn.Conv2d` or
    the like, whose axes the layers behind it keep. Nothing is known of a module with a `forward` of its own.

    Args:
        model: any module; a `Model` may be a view of one.

    Returns:
        Name of the output -> axis, as `compile` names outputs: `""` for the only one.

    >>> known_channel_axes(nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU()))
    {'': 1}
    >>> known_channel_axes(nn.Sequential(nn.Conv2d(1, 3, 1), nn.Flatten()))
    {}
    """
    graph = graph_of(model)
    if graph is None:
        found = channels_after(model, [None])
        return {} if found is None else {"": found.axis}
    known = _through_graph(graph, [], _ignore)
    return {
        name: channels.axis
        for name, node in output_nodes(model, graph).items()
        if (channels := known[node]) is not None
    }


def output_nodes(model: nn.Module, graph: fx.GraphModule) -> dict[str, fx.Node]:
    """Return the nodes of a graph that compute the outputs of `model`, which is the graph or a view of it, by name."""
    ends: Any = next(reversed(graph.graph.nodes)).args[0]
    if isinstance(ends, Mapping):
        named: Iterable[tuple[Any, Any]] = ends.items()
    elif isinstance(ends, (list, tuple)):
        names = getattr(model, "_output_names", None)
        named = zip(names or (f"output_{index}" for index in range(len(ends))), ends, strict=True)
    else:
        named = [("", ends)]
    return {str(name): node for name, node in named if isinstance(node, fx.Node)}


def channels_after(target: Any, given: Sequence[Channels | None], visit: Visit = _ignore) -> Channels | None:
    """Return what is known of the channels of `target`'s output.

    Args:
        target: a module, a function, or the name of a method.
        given: what is known of each tensor that it is called on.
        visit: called with each module on the way that is no chain or graph, and what is known of its input.
    """
    before = _agreed(given)
    if not isinstance(target, nn.Module):
        return _after_function(target, before)
    chain = _chain_of(target)
    if chain is not None:
        for child in chain:
            before = channels_after(child, [before], visit)
        return before
    graph = graph_of(target)
    if graph is not None:
        end = next(reversed(graph.graph.nodes)).args[0]
        return _through_graph(graph, given, visit)[end] if isinstance(end, fx.Node) else None
    viewed = getattr(target, "module_viewed", None)
    if isinstance(viewed, nn.Module):
        return channels_after(viewed, given, visit)
    visit(target, before)
    return _after_module(target, before)


def check_axis(module: nn.Module, given: Channels | None) -> None:
    """Raise if a layer takes another axis than that of the channels only because none was given.

    Args:
        module: any.
        given: what is known of its input.

    Raises:
        ValueError: with what to write.

    Warns:
        UserWarning: the layer has no argument for the axis, and takes the last.
    """
    if given is None or _unchecked.get() or not hasattr(module, "default_channel_axis"):
        return
    layer: Any = module
    before = f"{layer.display_name()} is behind {given.origin}, whose channels are on axis {given.axis}"
    if layer.takes_channels_last and given.axis == 1:
        order = (*range(2, given.ndim), 1)
        warn(f"{before}, and takes the last axis for them. Put Permute({order}) in front of it, or Flatten().")
    axis = layer.default_channel_axis(given.ndim)
    if axis is not None and axis % given.ndim != given.axis % given.ndim:
        raise ValueError(
            f"{before}, and works along axis {axis}, because none was given. Write {layer.axis_advice(given.axis)} "
            f"for the channels, or {layer.axis_advice(axis)} if the other axis is meant."
        )


_unchecked: ContextVar[bool] = ContextVar("whether `check_axis` does nothing", default=False)


@contextmanager
def unchecked() -> Iterator[None]:
    """Let `check_axis` pass everything: a model that is made anew from a file computes what it computed."""
    token = _unchecked.set(True)
    try:
        yield
    finally:
        _unchecked.reset(token)


def _agreed(given: Sequence[Channels | None]) -> Channels | None:
    """Return what is known of joined tensors, if all that is known agrees."""
    known = [channels for channels in given if channels is not None]
    return known[0] if len({channels[:2] for channels in known}) == 1 else None


def _chain_of(module: nn.Module) -> list[nn.Module] | None:
    """The children of a module that calls one after the other, and does nothing else."""
    forward = getattr(type(module), "forward", None)  # a scripted module shows none
    own = str(getattr(forward, "__module__", "")).startswith("kerastorch.")
    if forward is nn.Sequential.forward or (getattr(module, "is_chain", False) is True and own):
        return [child for child in module._modules.values() if child is not None]
    return None


def graph_of(module: nn.Module) -> fx.GraphModule | None:
    """Return the graph that a module is or views, if there is one."""
    if isinstance(module, fx.GraphModule):
        return module
    viewed = getattr(module, "module_viewed", None)
    return viewed if isinstance(viewed, fx.GraphModule) else None


def _through_graph(
    module: fx.GraphModule, given: Sequence[Channels | None], visit: Visit
) -> dict[fx.Node, Channels | None]:
    """Return what is known of each node of a graph."""
    known: dict[fx.Node, Channels | None] = {}
    begins = iter(given)
    after: dict[Any, Channels | None] = {}  # a part that is called again is not walked through again
    for node in module.graph.nodes:
        if node.op == "placeholder":
            known[node] = next(begins, None)
            continue
        inputs = [known[one] for one in pytree.tree_leaves((node.args, node.kwargs)) if isinstance(one, fx.Node)]
        called = node.op in ("call_module", "call_function", "call_method")
        target = module.get_submodule(str(node.target)) if node.op == "call_module" else node.target
        key = target, tuple(inputs)
        if called and key not in after:
            after[key] = channels_after(target, inputs, visit)
        known[node] = after[key] if called else None
    return known


# --- while a module is built for a symbol ----------------------------------------------------------------------

_input: ContextVar[Channels | None] = ContextVar("what is known of the input of the module that is built", default=None)


@contextmanager
def building_for(given: Sequence[Channels | None]) -> Iterator[None]:
    """Let `known_of_input` tell what is known of the input, while a module is built for it."""
    token = _input.set(_agreed(given))
    try:
        yield
    finally:
        _input.reset(token)


def known_input_channels() -> Channels | None:
    """Return what is known of the channels of the symbol that a module is being built for."""
    return _input.get()


# --- single modules and functions ------------------------------------------------------------------------------

_KINDS = (
    "Conv", "ConvTranspose", "MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool", "LPPool", "InstanceNorm",
    "ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad",
)  # fmt: skip
# torch's modules on channels-first tensors of one number of axes -> how many there are beside the batch and channels
_RANKS = {getattr(nn, f"{kind}{rank}d"): rank for kind in _KINDS for rank in (1, 2, 3)}
_RANKS |= {nn.BatchNorm2d: 2, nn.BatchNorm3d: 3, nn.PixelShuffle: 2, nn.PixelUnshuffle: 2}
# files of torch whose modules give every axis the meaning that it has in the input
_KEEP_AXES = {one.__name__ for one in (activation, batchnorm, dropout, normalization)}
_KEEP_AXES_TOO = (nn.Identity, nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d)
_FUNCTIONS = frozenset((
    "add", "sub", "mul", "truediv", "div", "neg", "pow", "abs", "exp", "log", "sqrt", "square", "clamp", "clip",
    "where", "maximum", "minimum", "relu", "relu_", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "sigmoid",
    "tanh", "softplus", "hardtanh", "relu6", "softmax", "log_softmax", "dropout", "dropout2d", "dropout3d",
    "batch_norm", "group_norm", "layer_norm", "instance_norm", "cat", "concat", "concatenate", "float", "half",
    "to", "type", "contiguous", "clone",
))  # fmt: skip


def _after_module(module: nn.Module, before: Channels | None) -> Channels | None:
    own = getattr(module, "channels_after", None)
    if own is not None:
        return own(before) if _describes_its_forward(type(module)) else None
    rank = _rank(module)
    if rank:
        return Channels(1, rank + 2, type(module).__name__)
    kept = type(module).__module__ in _KEEP_AXES and not isinstance(module, nn.MultiheadAttention)
    return before if kept or isinstance(module, _KEEP_AXES_TOO) else None


def _rank(module: nn.Module) -> int:
    """Return how many axes a module of torch takes beside batch and channels; 0 if that is not known."""
    kind: Any = next((kind for kind in type(module).__mro__ if kind in _RANKS), None)
    return _RANKS[kind] if kind is not None and type(module).forward is kind.forward else 0


def _describes_its_forward(kind: type) -> bool:
    """Return whether a class declares its axes for the `forward` that it runs, not for one that it overrides."""
    for one in kind.__mro__:
        if "channels_after" in vars(one) or "keeps_axes" in vars(one):
            return True
        if "forward" in vars(one):
            return one.__module__.startswith("kerastorch.")
    return False


def fixes_channels_first(module: nn.Module) -> bool:
    """Return whether the weights of a module of torch fix the channels, so that it raises on channels-last images."""
    rank = _rank(module)
    weights = [*module._parameters.values(), *module._buffers.values()]
    known = [weight for weight in weights if weight is not None and not nn.parameter.is_lazy(weight)]
    return rank > 1 and bool(known)


def _after_function(target: Any, before: Channels | None) -> Channels | None:
    """Return what is known behind a function of torch, an operator, or the name of a method."""
    if isinstance(target, str):
        return before if target in _FUNCTIONS else None
    from_torch = str(getattr(target, "__module__", "torch")).partition(".")[0] in ("torch", "_operator", "None")
    if target is operator.getitem or target is torch.stack or not from_torch:
        return None
    return before if getattr(target, "__name__", "") in _FUNCTIONS else None
