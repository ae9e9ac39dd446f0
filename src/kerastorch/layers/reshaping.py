"""Layers that move numbers and change none: other shapes, masks, nothing at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_float, check_int, mismatch
from kerastorch.layers.base import Layer
from kerastorch.layers.spatial import FORMATS


class Flatten(Layer):
    """All axes but the first in one: `(batch, a, b, ...)` -> `(batch, a * b * ...)`; `(batch,)` -> `(batch, 1)`.

    Args:
        data_format: `None` or `'channels_last'`: in the order in which the numbers come, as `torch.nn.Flatten`.
            `'channels_first'`: the channels, axis 1, go last first, so that weights of a `Dense` of a model that was
            channels-last fit.
        name: see `Layer`; so is `trainable`.

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
    """`(batch, ...)` -> `(batch, *target_shape)`.

    Args:
        target_shape: sizes without the batch axis; one of them may be -1, for what is left.
        name: see `Layer`; so is `trainable`.

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
        given, known = math.prod(x.shape[1:]), math.prod([size for size in self.target_shape if size != -1])
        if given % known if -1 in self.target_shape else given != known:
            raise ValueError(
                f"Reshape: {tuple(x.shape[1:])} has {given} numbers and cannot become {self.target_shape}."
            )
        return x.reshape(x.shape[0], *(given // known if size == -1 else size for size in self.target_shape))

    def extra_repr(self) -> str:
        return f"{self.target_shape}"


class Permute(Layer):
    """The axes in another order.

    Args:
        dims: for each axis of the output, the batch's left out, that of the input; the first after the batch is 1.
        name: see `Layer`; so is `trainable`.

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
    """`(batch, features)` -> `(batch, n, features)`, the same `n` times.

    Args:
        n: how many times.
        name: see `Layer`; so is `trainable`.

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
    """Leaves out time steps whose features are all `mask_value`: they become 0, and the mask says so.

    Args:
        mask_value: the number that stands for nothing.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, time, ..., features)`, and the same; the mask has all axes but the last.

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
        return x.ne(self.mask_value).any(-1)

    def extra_repr(self) -> str:
        return f"mask_value={self.mask_value:g}"


class Identity(Layer):
    """Passes its input on.

    >>> Identity()(torch.ones(2))
    tensor([1., 1.])
    """

    supports_masking = True
    keeps_axes = True

    def forward(self, x: Any) -> Any:
        return x
