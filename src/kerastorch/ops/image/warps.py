"""Geometric transformations of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice
from kerastorch.layers.homography import homography, project
from kerastorch.ops.conversion import floatx, to_tensor, to_tensors
from kerastorch.ops.image.coordinates import FILL_MODES, map_coordinates
from kerastorch.ops.image.filters import gaussian_blur
from kerastorch.ops.image.layout import from_batch, to_batch
from kerastorch.ops.recording import image_op
from kerastorch.ops.seed_generator import as_generator

__all__ = ["affine_transform", "elastic_transform", "perspective_transform"]

_ORDERS = {"nearest": 0, "bilinear": 1}


def _order(interpolation: str) -> int:
    return _ORDERS[check_choice("interpolation", interpolation, tuple(_ORDERS))]


def _sampled(images: Tensor, rows: Tensor, columns: Tensor, order: int, fill_mode: str, fill_value: float) -> Tensor:
    """Return images `(batch, channels, h, w)` at the places `(batch, h, w)` of their pixels."""
    batch, channels = images.shape[:2]
    numbers = torch.arange(batch, device=images.device)[:, None, None, None]
    planes = torch.arange(channels, device=images.device)[:, None, None]
    shape = (batch, channels, *rows.shape[1:])
    places = [one.expand(shape) for one in (numbers, planes, rows[:, None], columns[:, None])]
    return map_coordinates(images, places, order, fill_mode, fill_value)


def _grid(images: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the rows and the columns of the pixels of images, `(h, w)`."""
    rows, columns = (torch.arange(size, dtype=dtype, device=images.device) for size in images.shape[2:])
    grid = torch.meshgrid(rows, columns, indexing="ij")
    return grid[0], grid[1]


@image_op
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Return images moved, turned or stretched.

    Args:
        images: An image or a batch of images.
        transform: `(8,)` or `(batch, 8)`: a pixel at column `x` and row `y` has the value of the images at column
            `a0 x + a1 y + a2` and row `b0 x + b1 y + b2`, for `(a0, a1, a2, b0, b1, b2, 0, 0)`.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_mode: As in `map_coordinates`.
        fill_value: As in `map_coordinates`.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x, transform = to_tensors(images, transform)
    order = _order(interpolation)
    check_choice("fill_mode", fill_mode, tuple(FILL_MODES))
    batch = to_batch("affine_transform", x, data_format)
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        raise ValueError(
            f"affine_transform: transform must have shape (8,) or (batch, 8), got {tuple(transform.shape)}."
        )
    transform = transform.to(floatx()) if not transform.is_floating_point() else transform
    rows, columns = _grid(batch, transform.dtype)
    a0, a1, a2, b0, b1, b2, _, _ = (one[:, None, None] for one in transform.expand(len(batch), 8).unbind(1))
    found = _sampled(batch, b0 * columns + b1 * rows + b2, a0 * columns + a1 * rows + a2, order, fill_mode, fill_value)
    return from_batch(found, x, data_format)


@image_op
def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Return images in another perspective, in which four points move to four others.

    Args:
        images: An image or a batch of images.
        start_points: `(4, 2)` or `(batch, 4, 2)`: column and row of each point.
        end_points: In this shape: where the points are in the result.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_value: The value outside of the images.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    dtype = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
    start, end = (to_tensor(points, dtype, x.device) for points in (start_points, end_points))
    for points in (start, end):
        if points.shape != start.shape or points.ndim not in (2, 3) or tuple(points.shape[-2:]) != (4, 2):
            raise ValueError(
                "perspective_transform: start_points and end_points must have one shape, (4, 2) or (batch, 4, 2), got "
                f"{tuple(start.shape)} and {tuple(end.shape)}."
            )
    order = _order(interpolation)
    batch = to_batch("perspective_transform", x, data_format)
    factors = homography(end.expand(len(batch), 4, 2), start.expand(len(batch), 4, 2))
    rows, columns = _grid(batch, dtype)
    places = project(factors, torch.stack([columns, rows], -1).view(1, -1, 2)).view(len(batch), *rows.shape, 2)
    found = _sampled(batch, places[..., 1], places[..., 0], order, "constant", fill_value)
    return from_batch(found, x, data_format)


@image_op
def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Tensor:
    """Return images whose pixels move by smooth random distances.

    Args:
        images: An image or a batch of images.
        alpha: The factor of the distances.
        sigma: The standard deviation of the smoothing, and another factor of the distances.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_mode: As in `map_coordinates`.
        fill_value: As in `map_coordinates`.
        seed: As in the functions of `kerastorch.random`.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    order = _order(interpolation)
    check_choice("fill_mode", fill_mode, tuple(FILL_MODES))
    batch = to_batch("elastic_transform", x, data_format)
    dtype = batch.dtype if batch.is_floating_point() else floatx()
    draws = as_generator(seed)
    size = int(6 * sigma) | 1
    like = torch.empty(len(batch), 1, *batch.shape[2:], dtype=dtype, device=batch.device)
    shifts = [
        alpha * gaussian_blur(draws.normal(like) * sigma, (size, size), (sigma, sigma), "channels_first")[:, 0]
        for _ in range(2)
    ]
    rows, columns = _grid(batch, dtype)
    found = _sampled(batch, rows + shifts[0], columns + shifts[1], order, fill_mode, fill_value)
    return from_batch(found, x, data_format)
