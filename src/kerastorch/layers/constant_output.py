"""A softmax over one value, which is 1 whatever the value: refused where it always is one, else warned of."""

from __future__ import annotations

from collections.abc import Sequence

from kerastorch.core.errors import warn
from kerastorch.core.serialization import current_codec
from kerastorch.layers.base import Layer

_CURE = "For one output, a probability, take a sigmoid; for two classes also two outputs and a softmax."


def refuse_constant(layer: Layer, axis: int | None, size: int, of: int, ndim: int) -> None:
    """Raise if the activation of a layer runs along the axis of its units, and there is one unit.

    Args:
        layer: which has the activation.
        axis: along which it gives a constant for one value; `None` if it has none.
        size: number of units or filters.
        of: their axis.
        ndim: how many axes the output has.

    Raises:
        ValueError: names the sigmoid.
    """
    if current_codec() is not None:
        return  # it is made anew from a file, to predict what it predicted
    if axis is not None and size == 1 and axis % ndim == of % ndim:
        raise ValueError(f"{layer.named()} has a softmax over one unit, which is constant and learns nothing. {_CURE}")


def warn_of_constant(layer: Layer, axis: int, shape: Sequence[int]) -> None:
    """Warn if a softmax runs along an axis of size 1, which may be of that size by chance.

    Args:
        layer: the softmax.
        axis: along which it runs.
        shape: of its input, -1 where a size varies.
    """
    if -len(shape) <= axis < len(shape) and shape[axis] == 1:
        sizes = ", ".join("None" if size == -1 else str(size) for size in shape[1:])
        warn(
            f"{layer.named()} runs along axis {axis} of an input (batch, {sizes}), which has one value: what comes out "
            f"is constant and learns nothing. {_CURE}"
        )
