"""Axis arguments of layers: checks, conversion to non-negative axes, and functions along any axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.layers.base import Layer


class _Default(int):
    """Integer default of an argument; its identity shows that the argument was not given."""


LAST = _Default(-1)


def check_axis(axis: int) -> int:
    """Return `axis` if a layer can work along it.

    Raises:
        ValueError: It is not an integer, or it is 0, the batch axis.
    """
    if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
        raise mismatch("axis", axis, "an integer that is not 0 (the batch), as -1 for the last")
    return int(axis)


def check_axes(axis: int | Sequence[int]) -> int | tuple[int, ...]:
    """Return one axis, or several as a tuple, if a layer can work along all of them.

    Raises:
        ValueError: One of them is not an integer, or is 0, the batch axis.
    """
    if isinstance(axis, (tuple, list)) and axis:
        return tuple(map(check_axis, axis))
    return check_axis(axis)  # type: ignore[arg-type]


def positive_axis(layer: Layer, axis: int, ndim: int) -> int:
    """Return `axis` of an input with `ndim` axes, counted from the front.

    Args:
        layer: The layer, for messages.
        axis: The axis, negative if it is counted from the end.
        ndim: Number of axes of the input, including the batch axis.

    Raises:
        ValueError: The input has no such axis, or it is the batch axis.

    >>> positive_axis(Layer(), -1, 3)
    2
    """
    from_front = axis + ndim if axis < 0 else axis
    if not 0 < from_front < ndim:
        raise ValueError(
            f"{type(layer).__name__}: the input has {ndim} axes, the batch's among them, and no axis {axis}."
        )
    return from_front


def positive_channel_axis(layer: Layer, axis: int | None, ndim: int) -> int:
    """Return the channel axis of an input with `ndim` axes, counted from the front.

    Args:
        layer: The layer, for messages.
        axis: The axis; `None` for axis 1 of images and volumes, and the last axis of other inputs.
        ndim: Number of axes of the input, including the batch axis.

    Raises:
        ValueError: The input has no such axis, or it is the batch axis.

    >>> [positive_channel_axis(Layer(), None, ndim) for ndim in (2, 3, 4, 5)]
    [1, 2, 1, 1]
    """
    if axis is None:
        axis = 1 if ndim in (4, 5) else -1
    return positive_axis(layer, axis, ndim)


def positive_axes(layer: Layer, axes: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Return axes of an input with `ndim` axes, counted from the front, in ascending order.

    Args:
        layer: The layer, for messages.
        axes: One axis or several, negative if they are counted from the end.
        ndim: Number of axes of the input, including the batch axis.

    Raises:
        ValueError: The input has no such axis, it is the batch axis, or an axis is given twice.

    >>> positive_axes(Layer(), (-1, 1), 4)
    (1, 3)
    """
    from_front = tuple(
        sorted(positive_axis(layer, axis, ndim) for axis in ((axes,) if isinstance(axes, int) else axes))
    )
    if len(set(from_front)) < len(from_front):
        raise ValueError(f"{type(layer).__name__}: axis={axes} names one axis twice.")
    return from_front


def last_sizes(layer: Layer, axes: int | Sequence[int]) -> tuple[int, ...] | None:
    """Return the sizes of `axes` in the input that a layer was built for, if they are the last axes.

    Args:
        layer: The layer.
        axes: One axis or several, negative if they are counted from the end.

    Returns:
        The sizes; `None` if the input is unknown, if a size varies, or if `axes` are not the last axes.
    """
    if not layer.built_on:
        return None
    shape = layer.built_on[0]
    from_front = positive_axes(layer, axes, len(shape))
    sizes = tuple(shape[axis] for axis in from_front)
    is_last = from_front == tuple(range(len(shape) - len(sizes), len(shape)))
    return sizes if is_last and min(sizes) >= 0 else None


def apply_along_axes(x: Tensor, axes: tuple[int, ...], function: Callable[[Tensor, list[int]], Tensor]) -> Tensor:
    """Apply a function that works on the last axes of a tensor to any axes.

    Args:
        x: The tensor.
        axes: The axes, counted from the front, in ascending order.
        function: Function of the tensor with `axes` moved to the end, and of their sizes; it returns the same shape.
    """
    last = tuple(range(x.ndim - len(axes), x.ndim))
    sizes = [x.shape[axis] for axis in axes]
    if axes == last:
        return function(x, sizes)
    return function(x.movedim(axes, last), sizes).movedim(last, axes)
