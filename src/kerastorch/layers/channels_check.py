"""Images that look channels-last in layers that take them channels-first, or the reverse: warned of, or refused."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from torch import nn

from kerastorch.core.channel_tracking import fixes_channels_first, known_input_channels
from kerastorch.core.errors import warn
from kerastorch.core.module_tree import modules
from kerastorch.layers.base import Layer

_CHANNELS = (1, 3, 4)  # of gray images, of colours, and of colours with transparency
_LEAST = 5  # height and width of an image: feature maps are as small as 1, 3 and 4 behind a few poolings
_NAMES = {4: "height, width", 5: "depth, height, width"}


class ChannelsLastError(ValueError):
    """Images look channels-last, in a layer for images alone that takes them channels-first."""


def warn_if_channels_last(layer: Layer, shape: Sequence[int], argument: str) -> None:
    """Warn if an input looks channels-last, and is not known to come out of channels-first layers.

    Args:
        layer: which takes axis 1 for the channels because nobody said which it is.
        shape: of its input, -1 where a size varies.
        argument: the one that says it, `"data_format"` or `"axis"`.
    """
    large = all(size == -1 or size >= _LEAST for size in shape[1:-1])
    if shape[-1] in _CHANNELS and large and not _follows_channels_first(layer):
        warn(_sentence(layer, shape, argument))


def raise_if_channels_last(layer: Layer, shape: Sequence[int]) -> None:
    """Raise if an input of a layer for images alone looks channels-last.

    Args:
        layer: as above.
        shape: `(batch, channels, height, width)`, -1 or a symbol where a size varies.

    Raises:
        ChannelsLastError: the last axis is 1, 3 or 4; axis 1 is not, and the axis between is of another size than the
            last, which it would have in square images.
    """
    first, between, last = (size if type(size) is int else -1 for size in shape[1:])
    if last in _CHANNELS and first not in _CHANNELS and between != last:
        raise ChannelsLastError(_sentence(layer, shape, "data_format"))


def warn_if_channels_first(layer: Layer, shape: Sequence[int]) -> None:
    """Warn if images that a layer along the last axis learns from look channels-first, and no axis was given."""
    if len(shape) == 4 and shape[1] in _CHANNELS and min(shape[2:]) >= _LEAST:
        warn(
            f"{layer.display_name()} works along axis -1, because none was given, and that is the width of the images "
            f"{tuple(shape)}, if they are (batch, channels, height, width). Write axis=1 for the channels, or axis=-1 "
            "if the last axis is meant."
        )


def _sentence(layer: Layer, shape: Sequence[int], argument: str) -> str:
    ndim, axes = len(shape), _NAMES[len(shape)]
    last, first = ("'channels_last'", "'channels_first'") if argument == "data_format" else ("-1", "1")
    order = ", ".join(map(str, (0, ndim - 1, *range(1, ndim - 1))))
    sizes = ", ".join("None" if type(size) is int and size == -1 else str(size) for size in shape[1:])
    return (
        f"{layer.display_name()} takes (batch, channels, {axes}), and its input, (batch, {sizes}), looks like "
        f"(batch, {axes}, channels). Give the layer {argument}={last}, or turn the data: x.transpose({order}) of an "
        f"array, x.permute({order}) of a tensor. If they are right as they are, say {argument}={first}."
    )


def _follows_channels_first(layer: Layer) -> bool:
    """Whether a layer that is being built is behind another that takes channels first.

    In a functional model the symbol says it. Else the modules that are running are looked for on the stack: a layer
    that has been built in one of them has taken its input, or warned of it.
    """
    known = known_input_channels()
    if known is not None:
        return known.axis == 1
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        running = frame.f_locals.get("self")
        if isinstance(running, nn.Module) and running is not layer:
            parts = modules(running)
            if layer in parts and any(_has_taken_channels_first(part) for part in parts if part is not layer):
                return True
    return False


def _has_taken_channels_first(part: nn.Module) -> bool:
    if isinstance(part, Layer):
        return part.built and part.takes_channels_first
    return fixes_channels_first(part)
