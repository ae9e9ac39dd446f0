"""Filters of images, and the similarity of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_int
from kerastorch.ops.conversion import result_type, to_tensor, to_tensors
from kerastorch.ops.image.layout import from_batch, to_batch
from kerastorch.ops.recording import image_op

__all__ = ["gaussian_blur", "sobel_edges", "ssim"]


def _gaussian(size: int, sigma: Any, like: Tensor) -> Tensor:
    """Return the weights of a normal distribution around the center, which sum to 1."""
    place = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    weights = torch.exp(-0.5 * (place / sigma) ** 2)
    return weights / weights.sum()


def _filtered(batch: Tensor, kernel: Tensor, padding: Any) -> Tensor:
    """Return each channel of `(batch, channels, h, w)` filtered by one kernel, `(rows, columns)`."""
    channels = batch.shape[1]
    return F.conv2d(batch, kernel.expand(channels, 1, *kernel.shape), padding=padding, groups=channels)


@image_op
def gaussian_blur(
    images: Any, kernel_size: Sequence[int] = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> Tensor:
    """Return images smoothed by a normal distribution.

    Args:
        images: An image or a batch of images, floats.
        kernel_size: Width and height of the window, odd.
        sigma: Standard deviations along rows and along columns, in pixels: that of the width first.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    batch = to_batch("gaussian_blur", x, data_format)
    columns, rows = (check_int("kernel_size", int(size)) for size in kernel_size)
    kernel = torch.outer(_gaussian(rows, sigma[1], batch), _gaussian(columns, sigma[0], batch))
    return from_batch(_filtered(batch, kernel, (rows // 2, columns // 2)), x, data_format)


@image_op
def sobel_edges(images: Any, data_format: str | None = None) -> Tensor:
    """Return the slopes of images by Sobel's filters, along rows and columns: `(..., 2)`.

    Args:
        images: A batch of images, floats.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    batch = to_batch("sobel_edges", x, data_format)
    across = batch.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    edges = [from_batch(_filtered(batch, kernel, 1), x, data_format) for kernel in (across.T, across)]
    return torch.stack(edges, dim=-1)


@image_op
def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """Return the structural similarity of images, at most 1 (Wang et al. 2004).

    Args:
        image1: An image or a batch of images.
        image2: Images of this shape.
        max_val: The largest possible value.
        filter_size: Size of the window.
        filter_sigma: Standard deviation of the weights in the window.
        k1: Constant for the means.
        k2: Constant for the variances.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    given, other = to_tensors(image1, image2)
    dtype = result_type(given, float)
    x, y = (to_batch("ssim", one, data_format).to(dtype) for one in (given, other))
    weights = _gaussian(filter_size, filter_sigma, x)
    kernel = torch.outer(weights, weights)
    mean_x, mean_y = _filtered(x, kernel, 0), _filtered(y, kernel, 0)
    var_x = _filtered(x * x, kernel, 0) - mean_x**2
    var_y = _filtered(y * y, kernel, 0) - mean_y**2
    covariance = _filtered(x * y, kernel, 0) - mean_x * mean_y
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    found = (similarity / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean((1, 2, 3))
    return (found if given.ndim == 4 else found[0]).to(given.dtype)
