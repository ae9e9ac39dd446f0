"""Convolutions with kernels in Keras' layout, `(*window, in_channels, out_channels)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice
from kerastorch.layers.conv_transpose import outputs_to_cut
from kerastorch.layers.padding import fixed_padding, pad_input
from kerastorch.ops.conversion import to_tensors
from kerastorch.ops.nn.data_format import check_rank, from_channels_first, is_channels_last, sizes, to_channels_first
from kerastorch.ops.recording import op

__all__ = ["conv", "conv_transpose", "depthwise_conv", "fold", "separable_conv", "unfold"]

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@op
def conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Return a convolution of sequences, images or volumes.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` if channels are first.
        kernel: `(*window, in_channels, out_channels)`. If `channels` is a multiple of `in_channels`, the channels are
            divided into groups.
        strides: The step of the window along each axis.
        padding: `"valid"`, or `"same"` for `ceil(size / stride)` outputs.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
        dilation_rate: The distance of the elements of the window.
    """
    x, kernel = to_tensors(inputs, kernel)
    rank = check_rank("conv", x)
    strides, dilation = sizes("strides", strides, rank), sizes("dilation_rate", dilation_rate, rank)
    padding = check_choice("padding", padding, ("valid", "same"))
    x = to_channels_first(x, data_format)
    channels, taken = x.shape[1], kernel.shape[-2]
    if kernel.ndim != rank + 2 or channels % taken:
        raise ValueError(
            f"conv: a kernel of shape {tuple(kernel.shape)} is (*window, in_channels, out_channels); the inputs have "
            f"{rank} spatial axes and {channels} channels, which must be a multiple of in_channels."
        )
    weight = kernel.movedim((-1, -2), (0, 1))  # (out_channels, in_channels, *window)
    spans = [step * (size - 1) + 1 for size, step in zip(weight.shape[2:], dilation, strict=True)]
    x, added = pad_input(x, fixed_padding(padding, spans, strides), spans, strides)
    found = _CONVOLUTIONS[rank](x, weight, None, strides, added, dilation, channels // taken)
    return from_channels_first(found, data_format)


@op
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Return a convolution of each channel with kernels of its own.

    Args:
        inputs: As in `conv`.
        kernel: `(*window, channels, multiplier)`; the result has `channels * multiplier` channels.
        strides: As in `conv`.
        padding: As in `conv`.
        data_format: As in `conv`.
        dilation_rate: As in `conv`.
    """
    x, kernel = to_tensors(inputs, kernel)
    channels = x.shape[-1 if is_channels_last(data_format) else 1]
    if kernel.shape[-2] != channels:
        raise ValueError(f"depthwise_conv: the inputs have {channels} channels, the kernel has {kernel.shape[-2]}.")
    return conv(x, kernel.flatten(-2).unsqueeze(-2), strides, padding, data_format, dilation_rate)


@op
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Return a depthwise convolution, and then a convolution with windows of size 1.

    Args:
        inputs: As in `conv`.
        depthwise_kernel: As the kernel of `depthwise_conv`.
        pointwise_kernel: `(1, ..., channels * multiplier, out_channels)`.
        strides: As in `conv`.
        padding: As in `conv`.
        data_format: As in `conv`.
        dilation_rate: As in `conv`.
    """
    x, depthwise_kernel, pointwise_kernel = to_tensors(inputs, depthwise_kernel, pointwise_kernel)
    x = depthwise_conv(x, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(x, pointwise_kernel, data_format=data_format)


@op
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Return a transposed convolution: the gradient of a convolution, which enlarges.

    Args:
        inputs: As in `conv`.
        kernel: `(*window, out_channels, in_channels)`.
        strides: The factor by which each axis becomes larger.
        padding: `"valid"`, or `"same"` for `size * stride` outputs.
        output_padding: The number of outputs added at the end of each axis; it fixes the padding, too. Default: none.
        data_format: As in `conv`.
        dilation_rate: As in `conv`.
    """
    x, kernel = to_tensors(inputs, kernel)
    rank = check_rank("conv_transpose", x)
    strides, dilation = sizes("strides", strides, rank), sizes("dilation_rate", dilation_rate, rank)
    padding = check_choice("padding", padding, ("valid", "same"))
    extra: Sequence[int | None] = (
        [None] * rank if output_padding is None else sizes("output_padding", output_padding, rank)
    )
    x = to_channels_first(x, data_format)
    if kernel.ndim != rank + 2 or kernel.shape[-1] != x.shape[1]:
        raise ValueError(
            f"conv_transpose: a kernel of shape {tuple(kernel.shape)} is (*window, out_channels, in_channels); the "
            f"inputs have {rank} spatial axes and {x.shape[1]} channels."
        )
    weight = kernel.movedim((-1, -2), (0, 1))  # (in_channels, out_channels, *window)
    found = _TRANSPOSED[rank](x, weight, None, strides, 0, 0, 1, dilation)
    for axis in range(rank):
        span = dilation[axis] * (weight.shape[2 + axis] - 1) + 1
        found = _cut(found, 2 + axis, *outputs_to_cut(padding, span, strides[axis], extra[axis]))
    return from_channels_first(found, data_format)


def _cut(found: Tensor, axis: int, front: int, end: int) -> Tensor:
    """Return a tensor without elements at the front and the end of an axis, or with zeros added at its end."""
    if end < 0:
        shape = list(found.shape)
        shape[axis] = -end
        found = torch.cat([found, found.new_zeros(shape)], dim=axis)
    return found.narrow(axis, front, found.shape[axis] - front - max(end, 0))


@op
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Return the windows of images: `(batch, channels, h, w)` -> `(batch, channels * window, windows)`, as in torch."""
    (x,) = to_tensors(x)
    return F.unfold(x, kernel_size, dilation, padding, stride)


@op
def fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Return images that are sums of windows, the inverse of `unfold` if windows do not overlap, as in torch."""
    (x,) = to_tensors(x)
    return F.fold(x, output_size, kernel_size, dilation, padding, stride)
