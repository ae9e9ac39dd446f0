"""Checks for images whose shape suggests a different channel axis than the one that a layer uses."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from torch import nn

from kerastorch.core.channel_tracking import fixes_channels_first, known_input_channels
from kerastorch.core.errors import warn
from kerastorch.core.module_tree import modules
from kerastorch.layers.base import Layer

_CHANNELS = (1, 3, 4)  # gray images, RGB, RGB with transparency
_MIN_SIZE = 5  # of height and width: after a few poolings, feature maps are as small as 1, 3 and 4
SPATIAL_AXES = {1: "steps", 2: "height, width", 3: "depth, height, width"}  # by their number


class ChannelsLastError(ValueError):
    """Error for images that look channels-last in a layer that takes images only, channels-first."""


def warn_if_channels_last(
    layer: Layer, shape: Sequence[int], argument: str, leading: tuple[str, ...] = ("batch",)
) -> None:
    """Warn if an input looks channels-last, unless it is known to come from a channels-first layer.

    Args:
        layer: Layer that takes the axis behind the leading ones as the channels by default.
        shape: Shape of the input, -1 for each size that varies.
        argument: Argument of the layer that sets the channel axis, `"data_format"` or `"axis"`.
        leading: Names of the axes in front of those of the images, for the message.
    """
    is_large = all(size == -1 or size >= _MIN_SIZE for size in shape[len(leading) : -1])
    if shape[-1] in _CHANNELS and is_large and not _follows_channels_first(layer):
        warn(_message(layer, shape, argument, leading))


def raise_if_channels_last(layer: Layer, shape: Sequence[int]) -> None:
    """Raise an error if an input of a layer that takes images only looks channels-last.

    Args:
        layer: Layer that takes axis 1 as the channels by default.
        shape: Shape of the input, expected as `(batch, channels, height, width)`; -1 or a symbol for each size that
            varies.

    Raises:
        ChannelsLastError: Axis 3 has size 1, 3 or 4, axis 1 has a different size, and axis 2 is not as large as axis 3,
            as it would be in a square channels-first image.
    """
    axis_1, axis_2, axis_3 = (size if type(size) is int else -1 for size in shape[1:])
    if axis_3 in _CHANNELS and axis_1 not in _CHANNELS and axis_2 != axis_3:
        raise ChannelsLastError(_message(layer, shape, "data_format", ("batch",)))


def warn_if_channels_first(layer: Layer, shape: Sequence[int]) -> None:
    """Warn if an input looks channels-first in a layer that works along the last axis by default.

    Args:
        layer: Layer whose `axis` was not given.
        shape: Shape of the input.
    """
    if len(shape) == 4 and shape[1] in _CHANNELS and min(shape[2:]) >= _MIN_SIZE:
        warn(
            f"{layer.display_name()} works along axis -1, because none was given, and that is the width of the images "
            f"{tuple(shape)}, if they are (batch, channels, height, width). Write axis=1 for the channels, or axis=-1 "
            "if the last axis is meant."
        )


def _message(layer: Layer, shape: Sequence[int], argument: str, leading: tuple[str, ...]) -> str:
    """Return the message for an input that looks channels-last: both orders, and how to fix it."""
    ndim, front = len(shape), ", ".join(leading)
    axes = SPATIAL_AXES[ndim - len(leading) - 1]
    last, first = ("'channels_last'", "'channels_first'") if argument == "data_format" else ("-1", "1")
    order = ", ".join(map(str, (*range(len(leading)), ndim - 1, *range(len(leading), ndim - 1))))
    sizes = ", ".join("None" if type(size) is int and size == -1 else str(size) for size in shape[1:])
    return (
        f"{layer.display_name()} takes ({front}, channels, {axes}), and its input, (batch, {sizes}), looks like "
        f"({front}, {axes}, channels). Give the layer {argument}={last}, or turn the data: x.transpose({order}) of an "
        f"array, x.permute({order}) of a tensor. If they are right as they are, say {argument}={first}."
    )


def _follows_channels_first(layer: Layer) -> bool:
    """Return whether a layer that is being built comes after one that takes axis 1 as the channels.

    In functional models and chains the channel axis of the input is known. Otherwise the call stack is searched for
    modules that are running and contain `layer`: if one of them also contains a built channels-first layer, that layer
    has accepted the images, or warned of them.
    """
    known = known_input_channels()
    if known is not None:
        return known.axis == 1
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        running = frame.f_locals.get("self")
        if isinstance(running, nn.Module) and running is not layer:
            submodules = modules(running)
            if layer in submodules and any(map(_is_built_channels_first, submodules)):
                return True
    return False


def _is_built_channels_first(module: nn.Module) -> bool:
    if isinstance(module, Layer):
        return module.built and module.takes_channels_first
    return fixes_channels_first(module)
