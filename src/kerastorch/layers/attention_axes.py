"""Attention over any axes: the attended axes become one axis of time steps, and the others a part of the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from kerastorch.layers.axes import positive_axes
from kerastorch.layers.base import Layer


def attended_axes(layer: Layer, axes: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Return the axes that are attended over, counted from the front, in ascending order.

    Args:
        layer: The layer, for messages.
        axes: One axis or several; `None` for all between the batch axis and the features.
        ndim: Number of axes of the query, including the batch axis.

    Raises:
        ValueError: The input has no such axis, it is the batch axis or that of the features, or it is given twice.
    """
    found = tuple(range(1, ndim - 1)) if axes is None else positive_axes(layer, axes, ndim)
    if ndim - 1 in found:
        raise ValueError(
            f"{layer.display_name()}: attention_axes={axes} contains the last axis of the {ndim} axes of the input, "
            "which has the features."
        )
    return found


class FoldedAxes:
    """Conversion of tensors with any axes to `(batch, time, features)`, and back.

    Args:
        layer: The layer, for messages.
        query: `(batch, ..., features)`.
        value: `(batch, ..., features)`; its axes that are not attended have the sizes of those of the query.
        axes: The attended axes, from `attended_axes`.

    Raises:
        ValueError: The value has another number of axes, or other sizes on axes that are not attended.
    """

    def __init__(self, layer: Layer, query: Tensor, value: Tensor, axes: tuple[int, ...]) -> None:
        self.axes = axes
        self.others = tuple(axis for axis in range(1, query.ndim - 1) if axis not in axes)
        if query.ndim != value.ndim or any(query.shape[axis] != value.shape[axis] for axis in self.others):
            raise ValueError(
                f"{layer.display_name()} attends over the axes {axes}, and takes a query and a value with the same "
                f"sizes on all other axes but the last; got shapes {tuple(query.shape)} and {tuple(value.shape)}."
            )
        self.other_sizes = tuple(query.shape[axis] for axis in self.others)
        self.query_sizes = tuple(query.shape[axis] for axis in axes)
        self.value_sizes = tuple(value.shape[axis] for axis in axes)

    def fold(self, x: Tensor) -> Tensor:
        """Return `(batch, ..., features)` as `(batch * others, time, features)`."""
        moved = x.permute(0, *self.others, *self.axes, x.ndim - 1)
        return moved.flatten(0, len(self.others)).flatten(1, -2)

    def fold_step_mask(self, mask: Tensor | None) -> Tensor | None:
        """Return the mask of a query, a key or a value, as `(batch * others, time)`.

        Args:
            mask: `(batch, ...)` with all axes but that of the features, or with the attended axes alone.
        """
        if mask is None:
            return None
        if mask.ndim == 1 + len(self.axes):
            sizes = (mask.shape[0], *self.other_sizes, *mask.shape[1:])
            mask = mask.view(mask.shape[0], *[1] * len(self.others), *mask.shape[1:]).expand(sizes)
        else:
            mask = mask.permute(0, *self.others, *self.axes)
        return mask.flatten(0, len(self.others)).flatten(1)

    def fold_attention_mask(self, mask: Tensor | None, batch: int) -> Tensor | None:
        """Return an attention mask as `(batch * others, 1 or heads, queries, keys)`.

        Args:
            mask: It ends in the attended sizes of the query and of the value. In front of them are all of, or only the
                first of: the batch, the axes that are not attended, the heads.
            batch: Size of the batch.
        """
        if mask is None:
            return None
        ending = 2 * len(self.axes)
        leading, expected = mask.ndim - ending, 2 + len(self.others)
        front = tuple(mask.shape[:leading]) or (1,)
        front = (*front, *[1] * (expected - len(front)))
        steps = mask.reshape(*front, math.prod(self.query_sizes), math.prod(self.value_sizes))
        return steps.expand(batch, *self.other_sizes, *steps.shape[-3:]).flatten(0, len(self.others))

    def unfold(self, y: Tensor, batch: int) -> Tensor:
        """Return outputs `(batch * others, queries, features)` with the axes of the query."""
        y = y.reshape(batch, *self.other_sizes, *self.query_sizes, y.shape[-1])
        order = (0, *self.others, *self.axes, y.ndim - 1)
        return y.permute([order.index(axis) for axis in range(y.ndim)])

    def unfold_weights(self, weights: Tensor, batch: int) -> Tensor:
        """Return weights `(batch * others, heads, queries, keys)` as `(batch, others, heads, queries, keys)`."""
        return weights.reshape(batch, *self.other_sizes, weights.shape[1], *self.query_sizes, *self.value_sizes)
