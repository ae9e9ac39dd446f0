"""Axes that layers are told: looked at when they are given, and counted from the front when there is an input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.layers.base import Layer


class _Default(int):
    """An integer as the default of an argument, by which it is known that the argument was not given."""


LAST = _Default(-1)


def check_axis(axis: int) -> int:
    """`axis`, if it is one that a layer may work along.

    Raises:
        ValueError: no integer, or the batch's.
    """
    if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
        raise mismatch("axis", axis, "an integer that is not 0 (the batch), as -1 for the last")
    return int(axis)


def check_axes(axis: int | Sequence[int]) -> int | tuple[int, ...]:
    """The same for one axis or several."""
    if isinstance(axis, (tuple, list)) and axis:
        return tuple(map(check_axis, axis))
    return check_axis(axis)  # type: ignore[arg-type]


def positive_axis(layer: Layer, axis: int, ndim: int) -> int:
    """`axis` of an input with `ndim` axes, counted from the front.

    >>> axis_of(Layer(), -1, 3)
    2
    """
    found = axis + ndim if axis < 0 else axis
    if not 0 < found < ndim:
        raise ValueError(
            f"{type(layer).__name__}: the input has {ndim} axes, the batch's among them, and no axis {axis}."
        )
    return found


def positive_channel_axis(layer: Layer, axis: int | None, ndim: int) -> int:
    """`axis` counted from the front; where it is `None`, that of the channels: of images and volumes 1, else the last.

    >>> [channels_of(Layer(), None, ndim) for ndim in (2, 3, 4, 5)]
    [1, 2, 1, 1]
    """
    if axis is None:
        axis = 1 if ndim in (4, 5) else -1
    return positive_axis(layer, axis, ndim)


def positive_axes(layer: Layer, axes: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Count several axes from the front, in ascending order.

    >>> axes_of(Layer(), (-1, 1), 4)
    (1, 3)
    """
    given = (axes,) if isinstance(axes, int) else axes
    found = tuple(sorted(positive_axis(layer, axis, ndim) for axis in given))
    if len(set(found)) < len(found):
        raise ValueError(f"{type(layer).__name__}: axis={axes} names one axis twice.")
    return found


def apply_along_axes(x: Tensor, axes: tuple[int, ...], function: Callable[[Tensor, list[int]], Tensor]) -> Tensor:
    """`function(x, sizes)` that works on last axes, on these instead."""
    last = tuple(range(x.ndim - len(axes), x.ndim))
    sizes = [x.shape[axis] for axis in axes]
    if axes == last:
        return function(x, sizes)
    return function(x.movedim(axes, last), sizes).movedim(last, axes)
