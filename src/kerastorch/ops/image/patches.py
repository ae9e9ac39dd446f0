"""Patches of images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.ops.conversion import floatx, to_tensor
from kerastorch.ops.nn.convolutions import conv
from kerastorch.ops.nn.data_format import is_channels_last, sizes
from kerastorch.ops.recording import image_op

__all__ = ["extract_patches", "extract_patches_3d"]


@image_op
def extract_patches(
    images: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the patches of images: their rows, columns and channels are the channels of the result.

    Args:
        images: An image or a batch of images; volumes if `size` has three integers.
        size: Height and width of a patch; one integer for both.
        strides: The distance of patches. Default: `size`.
        dilation_rate: The distance of the pixels of a patch.
        padding: `"valid"`, or `"same"` for patches that extend beyond the image, with zeros.
        data_format: `"channels_last"`, the default, or `"channels_first"`.

    >>> extract_patches([[[1.0, 2.0, 3.0]] * 8] * 8, 4).shape
    torch.Size([2, 2, 48])
    """
    rank = 3 if not isinstance(size, int) and len(size) == 3 else 2
    return _patches(rank, images, size, strides, dilation_rate, padding, data_format)


@image_op
def extract_patches_3d(
    volumes: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the patches of volumes; arguments as in `extract_patches`."""
    return _patches(3, volumes, size, strides, dilation_rate, padding, data_format)


def _patches(
    rank: int,
    images: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None,
    dilation_rate: int,
    padding: str,
    data_format: str | None,
) -> Tensor:
    x = to_tensor(images)
    if x.ndim not in (rank + 1, rank + 2):
        what = "(height, width, channels)" if rank == 2 else "(depth, height, width, channels)"
        raise mismatch("images", x, f"{what}, with or without a batch axis")
    window = sizes("size", size, rank)
    batch = x if x.ndim == rank + 2 else x[None]
    channels = batch.shape[-1 if is_channels_last(data_format) else 1]
    n = channels
    for one in window:
        n *= one
    batch = batch if batch.is_floating_point() else batch.to(floatx())
    kernel = torch.eye(n, dtype=batch.dtype, device=batch.device).reshape(*window, channels, n)
    found = conv(batch, kernel, window if strides is None else strides, padding, data_format, dilation_rate)
    found = found if x.is_floating_point() else found.round().to(x.dtype)
    return found if x.ndim == rank + 2 else found[0]
