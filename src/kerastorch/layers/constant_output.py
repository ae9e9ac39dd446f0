"""Checks for a softmax over a single value, whose output is always 1."""

from __future__ import annotations

from collections.abc import Sequence

from kerastorch.core.errors import warn
from kerastorch.core.serialization import current_codec
from kerastorch.layers.base import Layer

_ADVICE = "For one output, a probability, take a sigmoid; for two classes also two outputs and a softmax."


def raise_if_constant(layer: Layer, axis: int | None, size: int, units_axis: int, ndim: int) -> None:
    """Raise an error if the activation of a layer runs along the axis of its units and there is one unit.

    A layer that is made from a file or a config is exempt, so that old models still load and predict.

    Args:
        layer: The layer with the activation, for the message.
        axis: Axis along which the activation is constant for one value; `None` if it is never constant.
        size: Number of units or filters.
        units_axis: Axis of the units in the output.
        ndim: Number of axes of the output.

    Raises:
        ValueError: The output would be constant. The message advises a sigmoid.
    """
    if current_codec() is not None:
        return
    if axis is not None and size == 1 and axis % ndim == units_axis % ndim:
        raise ValueError(
            f"{layer.display_name()} has a softmax over one unit, which is constant and learns nothing. {_ADVICE}"
        )


def warn_if_constant(layer: Layer, axis: int, shape: Sequence[int]) -> None:
    """Warn if a softmax layer runs along an axis of size 1.

    It is a warning and not an error because the size of an input may be 1 by chance.

    Args:
        layer: The softmax layer, for the message.
        axis: Axis along which the layer runs.
        shape: Shape of the input, -1 for each size that varies.
    """
    if -len(shape) <= axis < len(shape) and shape[axis] == 1:
        sizes = ", ".join("None" if size == -1 else str(size) for size in shape[1:])
        warn(
            f"{layer.display_name()} runs along axis {axis} of an input (batch, {sizes}), which has one value: what "
            f"comes out is constant and learns nothing. {_ADVICE}"
        )
