"""Encodings of integers, and rearrangements of channels and space."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_int
from kerastorch.ops.conversion import check_axis, floatx, to_dtype, to_tensor, to_tensors
from kerastorch.ops.nn.data_format import is_channels_last
from kerastorch.ops.recording import op

__all__ = ["depth_to_space", "multi_hot", "one_hot", "polar", "space_to_depth"]


@op
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Tensor:
    """Return rows of zeros with a one at the place of each class; negative classes have none.

    Args:
        x: Class numbers.
        num_classes: The size of the new axis.
        axis: The new axis in the result.
        dtype: The dtype. Default float32.
        sparse: Only `False`.

    >>> one_hot([1, 0], 3)
    tensor([[0., 1., 0.],
            [1., 0., 0.]])
    """
    _check_dense("one_hot", sparse)
    x = to_tensor(x).long()
    found = x.unsqueeze(-1) == torch.arange(num_classes, device=x.device)
    found = found.to(floatx() if dtype is None else to_dtype(dtype))
    return found.movedim(-1, check_axis(axis, found.ndim))


@op
def multi_hot(inputs: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Tensor:
    """Return for each row of classes a row of zeros with a one at the place of each of them.

    Args:
        inputs: Class numbers, `(classes,)` or `(batch, classes, ...)`.
        num_classes: The size of the new axis.
        axis: The axis of the classes in the result of `one_hot`, before axis 1 is reduced.
        dtype: The dtype. Default float32.
        sparse: Only `False`.
    """
    _check_dense("multi_hot", sparse)
    x = to_tensor(inputs)
    return one_hot(x, num_classes, axis, dtype).amax(1 if x.ndim > 1 else 0)


def _check_dense(name: str, sparse: bool) -> None:
    if sparse:
        raise ValueError(f"{name}: sparse=True is not supported.")


@op
def polar(abs_: Any, angle: Any) -> Tensor:
    """Return complex numbers for absolute values and angles in radians."""
    abs_, angle = to_tensors(abs_, angle)
    return torch.complex(abs_ * torch.cos(angle), abs_ * torch.sin(angle))


@op
def depth_to_space(x: Any, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Return images with channels rearranged into blocks of pixels.

    Args:
        x: `(batch, height, width, block_size^2 * channels)`, or channels first.
        block_size: Height and width of a block.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x, n = to_tensor(x), check_int("block_size", block_size)
    if is_channels_last(data_format):
        found = x.unflatten(-1, (n, n, -1)).permute(0, 1, 3, 2, 4, 5)  # (batch, height, row, width, column, channels)
        return found.flatten(3, 4).flatten(1, 2)
    found = x.unflatten(1, (-1, n, n)).permute(0, 1, 4, 2, 5, 3)  # (batch, channels, height, row, width, column)
    return found.flatten(4, 5).flatten(2, 3)


@op
def space_to_depth(x: Any, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Return images with blocks of pixels rearranged into channels, the inverse of `depth_to_space`.

    Args:
        x: `(batch, height, width, channels)`, or channels first.
        block_size: Height and width of a block.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x, n = to_tensor(x), check_int("block_size", block_size)
    if is_channels_last(data_format):
        found = x.unflatten(2, (-1, n)).unflatten(1, (-1, n)).permute(0, 1, 3, 2, 4, 5)
        return found.flatten(3)
    found = x.unflatten(3, (-1, n)).unflatten(2, (-1, n)).permute(0, 1, 3, 5, 2, 4)
    return found.flatten(1, 3)
