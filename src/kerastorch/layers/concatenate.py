"""Tensors joined along an axis, or multiplied along one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import mismatch
from kerastorch.layers.axes import LAST, positive_axis
from kerastorch.layers.merging import Merge, check_tensor_list, shapes_differ_error


class Concatenate(Merge):
    """The inputs one after the other along `axis`: `torch.cat`.

    Args:
        axis: -1, the default as in Keras, is the last; the channels of images `(batch, channels, height, width)` are
            `axis=1`. Behind layers whose channels are known to be on axis 1 it must be given.
        name: see `Layer`; so is `trainable`.

    Raises:
        ValueError: shapes that differ on other axes; no `axis` behind channels-first layers.

    Masks are joined too where time is the axis; elsewhere a step counts where it counts in one of the inputs.

    >>> Concatenate()([torch.zeros(1, 2), torch.ones(1, 1)])
    tensor([[0., 0., 1.]])
    """

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
            differs = x.ndim != ndim or not 0 <= axis < ndim
            if differs or any(x.shape[at] != tensors[0].shape[at] for at in range(ndim) if at != axis):
                raise shapes_differ_error(self, inputs, f"shapes that are the same on all axes but {self.axis}")
        return torch.cat(tensors, axis)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        if mask is None or all(one is None for one in mask):
            return None
        whole = [
            torch.ones_like(one, dtype=torch.bool)
            if m is None
            else torch.logical_and(torch.ones_like(one, dtype=torch.bool), m.unsqueeze(-1) if m.ndim < one.ndim else m)
            for one, m in zip(x, mask, strict=True)
        ]
        return torch.cat(whole, self.axis).any(-1)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Dot(Merge):
    """The dot product of two inputs along an axis of each, sample by sample.

    Args:
        axes: the axis of both, or one of each; not 0, the batch's.
        normalize: whether each is divided by its norm along its axis first: the cosine between them.
        name: see `Layer`; so is `trainable`.

    Shape: the axes of the first that are left, then those of the second without its batch's; `(batch, 1)` where none
    is left. `(batch, n, features)` and `(batch, m, features)` with `axes=-1` -> `(batch, n, m)`.

    >>> Dot(axes=-1)([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])])
    tensor([[11.]])
    """

    keeps_axes = False

    def __init__(
        self,
        axes: int | Sequence[int],
        normalize: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        two = isinstance(axes, (tuple, list)) and len(axes) == 2
        for axis in axes if two else (axes,):  # type: ignore[union-attr]
            if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
                raise mismatch("axes", axes, "an axis or two, none of them 0 (the batch), as -1 for the last")
        self.axes = tuple(axes) if two else axes  # type: ignore[arg-type]
        self.normalize = normalize

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        tensors = check_tensor_list(self, inputs)
        if len(tensors) != 2:
            raise ValueError(f"Dot takes a list of two tensors, got {len(tensors)}.")
        x, y = tensors
        first, second = self.axes if isinstance(self.axes, tuple) else (self.axes, self.axes)
        first, second = positive_axis(self, first, x.ndim), positive_axis(self, second, y.ndim)
        if x.shape[0] != y.shape[0] or x.shape[first] != y.shape[second]:
            raise shapes_differ_error(self, inputs, f"the same batch size, and the same size on the axes {self.axes}")
        if self.normalize:
            x, y = F.normalize(x, dim=first, eps=1e-7), F.normalize(y, dim=second, eps=1e-7)
        # letters 0 for the batch and 1 for what is summed; the rest each its own
        of_x = [0, *range(2, x.ndim)]
        of_y = [0, *range(x.ndim, x.ndim + y.ndim - 2)]
        of_x.insert(first, 1)
        of_y.insert(second, 1)
        left = [letter for letter in (*of_x, *of_y[1:]) if letter != 1]
        product = torch.einsum(x, of_x, y, of_y, left)
        return product if product.ndim > 1 else product.unsqueeze(1)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return None

    def extra_repr(self) -> str:
        return f"axes={self.axes}"


def concatenate(inputs: Sequence[Any], axis: int = LAST, *, name: str | None = None) -> Any:
    """`Concatenate(axis)(inputs)`.

    >>> concatenate([torch.zeros(1, 2), torch.ones(1, 1)])
    tensor([[0., 0., 1.]])
    """
    return Concatenate(axis, name=name)(inputs)


def dot(
    inputs: Sequence[Any], axes: int | Sequence[int] = -1, normalize: bool = False, *, name: str | None = None
) -> Any:
    """`Dot(axes, normalize)(inputs)`.

    >>> dot([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])])
    tensor([[11.]])
    """
    return Dot(axes, normalize, name=name)(inputs)
