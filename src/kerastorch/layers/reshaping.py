"""Layers that change only the shape or the mask, as Flatten, Reshape, Permute and Masking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_float, check_int, mismatch
from kerastorch.core.image_format import FORMATS
from kerastorch.layers.base import Layer
from kerastorch.symbolic.array_inputs import to_tensors


class Flatten(Layer):
    """Flattened input: `(batch, a, b, ...)` -> `(batch, a * b * ...)`, and `(batch,)` -> `(batch, 1)`.

    Args:
        data_format: `None` (default) or `'channels_last'` for the order of the elements in the input, as in
            `torch.nn.Flatten`. `'channels_first'` moves the channels, axis 1, to the last axis before flattening: the
            order fits the weights of a `Dense` from a channels-last model.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> Flatten()(torch.zeros(2, 3, 4)).shape
    torch.Size([2, 12])
    """

    def __init__(self, data_format: str | None = None, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.data_format = None if data_format is None else check_choice("data_format", data_format, FORMATS)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2:
            return x.unsqueeze(1)
        return (x.movedim(1, -1) if self.data_format == "channels_first" else x).flatten(1)


class Reshape(Layer):
    """Reshaped input: `(batch, ...)` -> `(batch, *target_shape)`.

    Args:
        target_shape: Sizes without the batch axis; one of them may be -1 and is then inferred.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> Reshape((-1, 2))(torch.zeros(5, 12)).shape
    torch.Size([5, 6, 2])
    """

    def __init__(self, target_shape: Sequence[int], *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        expected = "sizes >= 1 without the batch axis, one of them perhaps -1"
        if not isinstance(target_shape, (tuple, list)) or list(target_shape).count(-1) > 1:
            raise mismatch("target_shape", target_shape, expected)
        try:
            self.target_shape = tuple(-1 if size == -1 else check_int("size", size) for size in target_shape)
        except ValueError:
            raise mismatch("target_shape", target_shape, expected) from None

    def forward(self, x: Tensor) -> Tensor:
        # a list, since torch.compile cannot trace math.prod of a generator
        n_elements, n_fixed = math.prod(x.shape[1:]), math.prod([size for size in self.target_shape if size != -1])
        if n_elements % n_fixed if -1 in self.target_shape else n_elements != n_fixed:
            raise ValueError(
                f"Reshape: {tuple(x.shape[1:])} has {n_elements} numbers and cannot become {self.target_shape}."
            )
        return x.reshape(x.shape[0], *(n_elements // n_fixed if size == -1 else size for size in self.target_shape))

    def extra_repr(self) -> str:
        return f"{self.target_shape}"


class Permute(Layer):
    """Input with its axes in a different order.

    Args:
        dims: Axis of the input for each axis of the output, without the batch axis; the first axis after the batch
            is 1.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> Permute((2, 1))(torch.zeros(5, 10, 64)).shape
    torch.Size([5, 64, 10])
    """

    def __init__(self, dims: Sequence[int], *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        if not isinstance(dims, (tuple, list)) or sorted(dims) != list(range(1, len(dims) + 1)):
            raise mismatch("dims", dims, "each of 1, 2, ... once: axes counted from 1, the first after the batch")
        self.dims = tuple(dims)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != len(self.dims) + 1:
            raise ValueError(
                f"Permute({self.dims}) takes inputs of {len(self.dims) + 1} axes, got shape {tuple(x.shape)}."
            )
        return x.permute(0, *self.dims)

    def extra_repr(self) -> str:
        return f"{self.dims}"


class RepeatVector(Layer):
    """Input repeated along a new axis: `(batch, features)` -> `(batch, n, features)`.

    Args:
        n: Number of repetitions.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> RepeatVector(3)(torch.zeros(5, 2)).shape
    torch.Size([5, 3, 2])
    """

    def __init__(self, n: int, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.n = check_int("n", n)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2:
            raise ValueError(f"RepeatVector takes inputs (batch, features), got shape {tuple(x.shape)}.")
        return x.unsqueeze(1).repeat(1, self.n, 1)

    def extra_repr(self) -> str:
        return f"{self.n}"


class Masking(Layer):
    """Mask for the time steps whose features all equal `mask_value`.

    The features of these steps become 0, and layers with mask support skip the steps.

    Args:
        mask_value: Number that marks padding. Default 0.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    Shape: `(batch, time, ..., features)`, unchanged; the mask has all axes but the last.

    >>> Masking(-1.0)(torch.tensor([[[1.0, -1.0], [-1.0, -1.0]]]))
    tensor([[[ 1., -1.],
             [ 0.,  0.]]])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(self, mask_value: float = 0.0, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.mask_value = check_float("mask_value", mask_value)

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(self.compute_mask(x).unsqueeze(-1), x, 0)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return to_tensors(self, (x,), {})[0][0].ne(self.mask_value).any(-1)

    def extra_repr(self) -> str:
        return f"mask_value={self.mask_value:g}"


class Identity(Layer):
    """Layer that returns its input.

    The arguments are those of `Layer`.

    >>> Identity()(torch.ones(2))
    tensor([1., 1.])
    """

    supports_masking = True
    keeps_axes = True

    def forward(self, x: Any) -> Any:
        return x
