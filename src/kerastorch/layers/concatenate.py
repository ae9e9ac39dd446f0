"""Concatenate and Dot: concatenation and dot product of tensors along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import mismatch
from kerastorch.layers.axes import LAST, positive_axis
from kerastorch.layers.base import Layer
from kerastorch.layers.merging import check_tensor_list, shapes_differ_error


class Concatenate(Layer):
    """Concatenation of the inputs along `axis`, as `torch.cat`.

    Masks are concatenated too if `axis` is the time axis. For other axes, a step counts if it counts in one of the
    inputs.

    Args:
        axis: The axis. Default -1, the last, as in Keras. The channels of images, `(batch, channels, height, width)`,
            are `axis=1`. After layers whose channels are known to be on axis 1, it must be given.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    Raises:
        ValueError: When called: shapes that differ on other axes, or no `axis` after channels-first layers.

    >>> Concatenate()([torch.zeros(1, 2), torch.ones(1, 1)])
    tensor([[0., 0., 1.]])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(self, axis: int = LAST, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise mismatch("axis", axis, "an integer, as -1 for the last")
        self.axis, self.axis_given = int(axis), axis is not LAST

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        tensors = check_tensor_list(self, inputs)
        ndim = tensors[0].ndim
        axis = self.axis + ndim if self.axis < 0 else self.axis
        for x in tensors:
            is_wrong_ndim = x.ndim != ndim or not 0 <= axis < ndim
            if is_wrong_ndim or any(x.shape[i] != tensors[0].shape[i] for i in range(ndim) if i != axis):
                raise shapes_differ_error(self, inputs, f"shapes that are the same on all axes but {self.axis}")
        return torch.cat(tensors, axis)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        if mask is None or all(tensor_mask is None for tensor_mask in mask):
            return None
        full_masks = [_full_mask(tensor, tensor_mask) for tensor, tensor_mask in zip(x, mask, strict=True)]
        return torch.cat(full_masks, self.axis).any(-1)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Dot(Layer):
    """Dot product of two inputs along an axis of each, sample by sample.

    Args:
        axes: Axis of both inputs, or a pair with an axis of each; not 0, the batch.
        normalize: Whether each input is first divided by its norm along its axis, so that the output is a cosine
            similarity. Default `False`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    Shape: the remaining axes of the first input, then those of the second input without its batch axis; `(batch, 1)` if
    none remains. `(batch, n, features)` and `(batch, m, features)` with `axes=-1` -> `(batch, n, m)`.

    The output has no mask.

    >>> Dot(axes=-1)([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])])
    tensor([[11.]])
    """

    supports_masking = True

    def __init__(
        self,
        axes: int | Sequence[int],
        normalize: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        is_pair = isinstance(axes, (tuple, list)) and len(axes) == 2
        for axis in axes if is_pair else (axes,):  # type: ignore[union-attr]
            if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
                raise mismatch("axes", axes, "an axis or two, none of them 0 (the batch), as -1 for the last")
        self.axes = tuple(axes) if is_pair else axes  # type: ignore[arg-type]
        self.normalize = normalize

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        tensors = check_tensor_list(self, inputs)
        if len(tensors) != 2:
            raise ValueError(f"Dot takes a list of two tensors, got {len(tensors)}.")
        x, y = tensors
        x_axis, y_axis = self.axes if isinstance(self.axes, tuple) else (self.axes, self.axes)
        x_axis, y_axis = positive_axis(self, x_axis, x.ndim), positive_axis(self, y_axis, y.ndim)
        if x.shape[0] != y.shape[0] or x.shape[x_axis] != y.shape[y_axis]:
            raise shapes_differ_error(self, inputs, f"the same batch size, and the same size on the axes {self.axes}")
        if self.normalize:
            x, y = F.normalize(x, dim=x_axis, eps=1e-7), F.normalize(y, dim=y_axis, eps=1e-7)
        # labels of the axes for einsum: 0 for the batch, 1 for the axis that is summed, a new one for each other axis
        x_labels = [0, *range(2, x.ndim)]
        y_labels = [0, *range(x.ndim, x.ndim + y.ndim - 2)]
        x_labels.insert(x_axis, 1)
        y_labels.insert(y_axis, 1)
        output_labels = [label for label in (*x_labels, *y_labels[1:]) if label != 1]
        product = torch.einsum(x, x_labels, y, y_labels, output_labels)
        return product if product.ndim > 1 else product.unsqueeze(1)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return None

    def extra_repr(self) -> str:
        return f"axes={self.axes}"


def _full_mask(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return a mask of the shape of `x`; `True` everywhere if `mask` is `None`."""
    ones = torch.ones_like(x, dtype=torch.bool)
    if mask is None:
        return ones
    return torch.logical_and(ones, mask.unsqueeze(-1) if mask.ndim < x.ndim else mask)


def concatenate(inputs: Sequence[Any], axis: int = LAST, *, name: str | None = None) -> Any:
    """Return the concatenation of the inputs along `axis`: `Concatenate(axis, name=name)(inputs)`.

    Args:
        inputs: List of at least two tensors.
        axis: The axis. Default -1, the last.
        name: Name of the layer. Default none.

    >>> concatenate([torch.zeros(1, 2), torch.ones(1, 1)])
    tensor([[0., 0., 1.]])
    """
    return Concatenate(axis, name=name)(inputs)


def dot(
    inputs: Sequence[Any], axes: int | Sequence[int] = -1, normalize: bool = False, *, name: str | None = None
) -> Any:
    """Return the dot product of two inputs: `Dot(axes, normalize, name=name)(inputs)`.

    Args:
        inputs: List of two tensors.
        axes: Axis of both inputs, or a pair with an axis of each. Default -1, the last.
        normalize: Whether each input is first divided by its norm along its axis. Default `False`.
        name: Name of the layer. Default none.

    >>> dot([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])])
    tensor([[11.]])
    """
    return Dot(axes, normalize, name=name)(inputs)
