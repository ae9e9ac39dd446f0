"""Tracking which axis of a tensor holds the channels, from module to module in chains and graphs.

A layer whose default axis differs from that of its input raises an error. It does not adopt the axis: then it would
compute something else depending on the layers before it, and a saved layer would have to record where it stood.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, cast

import torch
from torch import fx, nn
from torch.nn.modules import activation, batchnorm, dropout, normalization

from kerastorch.core.errors import warn
from kerastorch.core.output_structure import NameTree, flatten, name_tree
from kerastorch.core.ownership import is_from, is_own
from kerastorch.core.torch_private import pytree


class Channels(NamedTuple):
    """The known channel axis of a tensor.

    Attributes:
        axis: 1 or -1.
        ndim: Number of axes of the tensor, including the batch axis.
        origin: Name of the layer that determines the axis, for messages.
    """

    axis: int
    ndim: int
    origin: str


Visit = Callable[[nn.Module, "Channels | None"], None]


def _ignore(module: nn.Module, given: Channels | None) -> None:
    """Ignore the module."""


def known_channel_axes(model: nn.Module) -> dict[str, int]:
    """Return the channel axis of each output of `model` for which it is known: 1 or -1.

    In chains and functional graphs, the axis follows from the last layer with a `data_format`, or from the last
    `nn.Conv2d` or similar module, if the layers after it keep the axes. It is unknown after a module with a `forward`
    of the user.

    Args:
        model: A module; a `Model` may be a view of one.

    Returns:
        A dict from names of outputs, as `compile` uses them, to axes; the name of a single output is `""`.

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
    """Return the nodes of a graph that compute the outputs of a model, by the names of the outputs.

    Args:
        model: The graph or a view of it.
        graph: The functional graph.
    """
    ends: Any = next(reversed(graph.graph.nodes)).args[0]
    names = output_structure(graph)[0] if getattr(model, "is_functional", False) else None
    return {name: node for name, node in flatten(ends, names).items() if isinstance(node, fx.Node)}


def output_structure(graph: fx.GraphModule) -> tuple[tuple[str, ...], NameTree]:
    """Return the names of the layers that return the outputs of a graph, and the names of the outputs.

    Args:
        graph: The functional graph.

    Returns:
        The names of layers in the order of the structure of the outputs, numbered if a layer returns several; and the
        structure with the names of the outputs in place of tensors.
    """
    ends: Any = next(reversed(graph.graph.nodes)).args[0]
    names = names_of_nodes(pytree.tree_leaves(ends))
    return names, name_tree(ends, names)


def names_of_nodes(nodes: Iterable[fx.Node]) -> tuple[str, ...]:
    """Return for each node the name of the layer or function that it calls, numbered if it is repeated."""
    found: dict[str, None] = {}
    for node in nodes:
        base = str(node.target) if node.op in ("call_module", "placeholder") else node.name
        name, number = base, 0
        while name in found:
            number += 1
            name = f"{base}_{number}"
        found[name] = None
    return tuple(found)


def channels_after(target: Any, given: Sequence[Channels | None], visit: Visit = _ignore) -> Channels | None:
    """Return the channel axis of the output of a call, or `None` if it is unknown.

    Args:
        target: A module, a function, or the name of a method of tensors.
        given: The channel axis of each input, `None` for unknown ones.
        visit: Called with each module within `target` that is no chain or graph, and the channel axis of its input.
    """
    before = _common_axis(given)
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
    """Raise if the default axis of a layer is not the channel axis of its input.

    Args:
        module: A module; only layers with a default channel axis are checked.
        given: The channel axis of its input, if known.

    Raises:
        ValueError: The axes differ; the message says which argument to pass.

    Warns:
        UserWarning: The layer always works along the last axis, and the channels are on axis 1.
    """
    if given is None or _checks_disabled.get() or not hasattr(module, "default_channel_axis"):
        return
    layer = cast(Any, module)
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


_checks_disabled: ContextVar[bool] = ContextVar("whether `check_axis` does nothing", default=False)


@contextmanager
def axis_checks_disabled() -> Iterator[None]:
    """Disable `check_axis` within the block.

    A model restored from a file must compute what it computed before, so that its axes are not questioned.
    """
    token = _checks_disabled.set(True)
    try:
        yield
    finally:
        _checks_disabled.reset(token)


def _common_axis(given: Sequence[Channels | None]) -> Channels | None:
    """Return the common channel axis of several tensors, if all known axes agree."""
    known = [channels for channels in given if channels is not None]
    return known[0] if len({channels[:2] for channels in known}) == 1 else None


def _chain_of(module: nn.Module) -> list[nn.Module] | None:
    """Return the children of a module that only calls one after the other, or `None` for others."""
    forward = getattr(type(module), "forward", None)  # a scripted module has none
    if forward is nn.Sequential.forward or (getattr(module, "is_chain", False) is True and is_own(forward)):
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
    """Return the channel axis of each node of a graph, `None` for unknown ones."""
    known: dict[fx.Node, Channels | None] = {}
    begins = iter(given)
    after: dict[Any, Channels | None] = {}  # a repeated call on the same axes is not analysed again
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


# --- while a module is built for a symbolic tensor --------------------------------------------------------------

_input: ContextVar[Channels | None] = ContextVar(
    "channel axis of the input of the module that is being built", default=None
)


@contextmanager
def building_for(given: Sequence[Channels | None]) -> Iterator[None]:
    """Make `known_input_channels` return the common channel axis of these inputs within the block."""
    token = _input.set(_common_axis(given))
    try:
        yield
    finally:
        _input.reset(token)


def known_input_channels() -> Channels | None:
    """Return the channel axis of the symbolic tensor that a module is being built for, if known."""
    return _input.get()


# --- single modules and functions ------------------------------------------------------------------------------

_CHANNELS_FIRST_KINDS = (
    "Conv", "ConvTranspose", "MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool", "LPPool", "InstanceNorm",
    "ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad",
)  # fmt: skip
# Modules of torch that take channels-first tensors -> the number of axes beside batch and channels.
_RANKS = {getattr(nn, f"{kind}{rank}d"): rank for kind in _CHANNELS_FIRST_KINDS for rank in (1, 2, 3)}
_RANKS |= {nn.BatchNorm2d: 2, nn.BatchNorm3d: 3, nn.PixelShuffle: 2, nn.PixelUnshuffle: 2}
# Files of torch whose modules keep the meaning of each axis.
_AXIS_KEEPING_FILES = {one.__name__ for one in (activation, batchnorm, dropout, normalization)}
_AXIS_KEEPING_CLASSES = (nn.Identity, nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d)
_AXIS_KEEPING_FUNCTIONS = frozenset((
    "add", "sub", "mul", "truediv", "div", "neg", "pow", "abs", "exp", "log", "sqrt", "square", "clamp", "clip",
    "where", "maximum", "minimum", "relu", "relu_", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "sigmoid",
    "tanh", "softplus", "hardtanh", "relu6", "softmax", "log_softmax", "dropout", "dropout2d", "dropout3d",
    "batch_norm", "group_norm", "layer_norm", "instance_norm", "cat", "concat", "concatenate", "float", "half",
    "to", "type", "contiguous", "clone",
))  # fmt: skip


def _after_module(module: nn.Module, before: Channels | None) -> Channels | None:
    """Return the channel axis of the output of a module that is neither a chain nor a graph."""
    own = getattr(module, "channels_after", None)
    if own is not None:
        return own(before) if _describes_its_forward(type(module)) else None
    rank = _rank(module)
    if rank:
        return Channels(1, rank + 2, type(module).__name__)
    kept = type(module).__module__ in _AXIS_KEEPING_FILES and not isinstance(module, nn.MultiheadAttention)
    return before if kept or isinstance(module, _AXIS_KEEPING_CLASSES) else None


def _rank(module: nn.Module) -> int:
    """Return how many axes beside batch and channels a module of torch takes; 0 if unknown."""
    kind: Any = next((kind for kind in type(module).__mro__ if kind in _RANKS), None)
    return _RANKS[kind] if kind is not None and type(module).forward is kind.forward else 0


def _describes_its_forward(kind: type) -> bool:
    """Return whether the axes that a class declares are those of its `forward`.

    They are not if a subclass of the user overrides `forward`.
    """
    for one in kind.__mro__:
        if "channels_after" in vars(one) or "keeps_axes" in vars(one):
            return True
        if "forward" in vars(one):
            return is_own(one)
    return False


def fixes_channels_first(module: nn.Module) -> bool:
    """Return whether the weights of a module of torch fix the channels of images.

    Such a module raises on channels-last images by itself.
    """
    rank = _rank(module)
    weights = [*module._parameters.values(), *module._buffers.values()]
    known = [weight for weight in weights if weight is not None and not nn.parameter.is_lazy(weight)]
    return rank > 1 and bool(known)


def _after_function(target: Any, before: Channels | None) -> Channels | None:
    """Return the channel axis after a function of torch, an operator or a method of tensors."""
    if isinstance(target, str):
        return before if target in _AXIS_KEEPING_FUNCTIONS else None
    from_torch = getattr(target, "__module__", None) is None or is_from(target, "torch", "_operator")
    if target is operator.getitem or target is torch.stack or not from_torch:
        return None
    return before if getattr(target, "__name__", "") in _AXIS_KEEPING_FUNCTIONS else None
