"""Resizing, cropping and padding of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, mismatch
from kerastorch.layers.image_windows import centered_window
from kerastorch.ops.conversion import result_type, to_tensor
from kerastorch.ops.image.layout import check_images, from_batch, spatial_axes, to_batch
from kerastorch.ops.recording import image_op

__all__ = ["crop_images", "pad_images", "resize", "scale_and_translate"]

# Keras' names -> torch's; 'nearest-exact' treats pixels as squares, as the other modes do
_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


@image_op
def resize(
    images: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Return images of another size; integers are rounded.

    Args:
        images: An image or a batch of images.
        size: Height and width of the result.
        interpolation: `"nearest"`, `"bilinear"` or `"bicubic"`. Keras' torch backend has no other, either.
        antialias: Whether images are smoothed when they shrink; no effect for `"nearest"`.
        crop_to_aspect_ratio: Whether the centered window with the proportions of `size` is resized.
        pad_to_aspect_ratio: Whether the images are centered on a canvas with the proportions of `size`.
        fill_mode: How the canvas is filled; only `"constant"`.
        fill_value: The value of the canvas.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    mode = _MODES[check_choice("interpolation", interpolation, tuple(_MODES))]
    check_choice("fill_mode", fill_mode, ("constant",))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("resize takes crop_to_aspect_ratio or pad_to_aspect_ratio, not both.")
    if len(size) != 2:
        raise mismatch("size", size, "(height, width)")
    height, width = (int(one) for one in size)
    batch = to_batch("resize", x, data_format)
    batch = batch if batch.dtype in (torch.float32, torch.float64) else batch.float()
    if crop_to_aspect_ratio:
        top, left, rows, columns = centered_window(batch, height, width)
        batch = batch.narrow(2, top, rows).narrow(3, left, columns)
    elif pad_to_aspect_ratio:
        batch = _on_canvas(batch, height, width, fill_value)
    smooth = antialias and mode != "nearest-exact"
    found = F.interpolate(batch, (height, width), mode=mode, antialias=smooth)
    if not x.is_floating_point():
        found = found.round()
        found = found.clamp(0, 255) if x.dtype == torch.uint8 else found
    return from_batch(found.to(x.dtype), x, data_format)


def _on_canvas(x: Tensor, height: int, width: int, value: float) -> Tensor:
    """Return images in the center of the smallest canvas with the proportions of a size."""
    h, w = x.shape[2:]
    top = (max(h, int(w * height / width)) - h) // 2
    left = (max(w, int(h * width / height)) - w) // 2
    return F.pad(x, (left, left, top, top), value=value)


@image_op
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Return a part of images. Of top, bottom and height two are given, and of left, right and width.

    Args:
        images: An image or a batch of images.
        top_cropping: Rows to cut off at the top.
        left_cropping: Columns to cut off at the left.
        bottom_cropping: Rows to cut off at the bottom.
        right_cropping: Columns to cut off at the right.
        target_height: Height of the result.
        target_width: Width of the result.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    check_images("crop_images", x)
    rows, columns = spatial_axes(data_format)
    for axis, names, start, end, target in (
        (rows, ("top_cropping", "bottom_cropping", "target_height"), top_cropping, bottom_cropping, target_height),
        (columns, ("left_cropping", "right_cropping", "target_width"), left_cropping, right_cropping, target_width),
    ):
        before, after, size = _completed(names, start, end, target, x.shape[axis])
        _check_positive(names, (before, after, size))
        x = x.narrow(axis, before, size)
    return x


@image_op
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Return images with zeros around them. Of top, bottom and height two are given, and of left, right and width.

    Args:
        images: An image or a batch of images.
        top_padding: Rows to add at the top.
        left_padding: Columns to add at the left.
        bottom_padding: Rows to add at the bottom.
        right_padding: Columns to add at the right.
        target_height: Height of the result.
        target_width: Width of the result.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    check_images("pad_images", x)
    amounts = [(0, 0)] * x.ndim
    rows, columns = spatial_axes(data_format)
    for axis, names, start, end, target in (
        (rows, ("top_padding", "bottom_padding", "target_height"), top_padding, bottom_padding, target_height),
        (columns, ("left_padding", "right_padding", "target_width"), left_padding, right_padding, target_width),
    ):
        first, last = (None if one is None else -one for one in (start, end))
        before, after, size = _completed(names, first, last, target, x.shape[axis])
        _check_positive(names, (-before, -after, size))
        amounts[axis] = (-before, -after)
    return F.pad(x, [amount for both in reversed(amounts) for amount in both])


def _completed(
    names: tuple[str, ...], start: int | None, end: int | None, target: int | None, size: int
) -> tuple[int, int, int]:
    """Return what is cut off an axis at both ends and what is left, of which two are given."""
    if [start, end, target].count(None) != 1:
        raise ValueError(f"Two of {names[0]}, {names[1]} and {names[2]} must be given, and the third left out.")
    if start is None:
        start = size - target - end  # type: ignore[operator]
    if end is None:
        end = size - target - start  # type: ignore[operator]
    return start, end, size - start - end


def _check_positive(names: tuple[str, ...], values: tuple[int, ...]) -> None:
    for name, value in zip(names, values, strict=True):
        if value < 0:
            raise ValueError(f"{name} must be >= 0, and would be {value}.")


@image_op
def scale_and_translate(
    images: Any,
    output_shape: Sequence[int],
    scale: Any,
    translation: Any,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Return a tensor resampled along axes: element `i` goes to `(i + 0.5) * scale + translation - 0.5`.

    Args:
        images: A tensor.
        output_shape: The shape of the result.
        scale: A factor for each of these axes.
        translation: A distance for each of these axes, in elements of the result.
        spatial_dims: The axes.
        method: `"linear"`, `"cubic"`, `"lanczos3"`, `"lanczos5"`, or another name of the first two: `"bilinear"`,
            `"trilinear"`, `"bicubic"`, `"tricubic"`.
        antialias: Whether the kernel is widened if an axis shrinks.
    """
    x = to_tensor(images)
    method = check_choice("method", method, tuple(_KERNELS))
    factors, shifts = (to_tensor(value, device=x.device) for value in (scale, translation))
    dtype = result_type(factors, shifts, float)
    found = x if x.is_floating_point() else x.float()
    for at, axis in enumerate(spatial_dims):
        axis = axis % x.ndim
        weights = _sampling(
            _KERNELS[method], x.shape[axis], output_shape[axis], factors[at].to(dtype), shifts[at].to(dtype), antialias
        )
        found = torch.tensordot(found, weights.to(found.dtype), dims=([axis], [0])).movedim(-1, axis)
    return found if x.is_floating_point() else found.round().clip(x.min(), x.max()).to(x.dtype)


def _sampling(
    kernel: Callable[[Tensor], Tensor], n: int, size: int, scale: Tensor, shift: Tensor, antialias: bool
) -> Tensor:
    """Return the weight of each of `n` elements in each of `size` elements, `(n, size)`."""
    places = (torch.arange(size, dtype=scale.dtype, device=scale.device) + 0.5 - shift) / scale - 0.5
    width = torch.clamp(1 / scale, min=1.0) if antialias else 1.0
    distance = (places - torch.arange(n, dtype=scale.dtype, device=scale.device)[:, None]).abs() / width
    weights = kernel(distance)
    total = weights.sum(0)
    is_covered = (total.abs() > 1000 * torch.finfo(torch.float32).eps) & (places >= -0.5) & (places <= n - 0.5)
    return torch.where(is_covered, weights / torch.where(total == 0, 1.0, total), 0.0)


def _cubic(x: Tensor) -> Tensor:
    """Return the cubic kernel of Keys (1981), a = -0.5."""
    inner = (1.5 * x - 2.5) * x * x + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, inner, torch.where(x < 2, outer, 0.0))


def _lanczos(radius: int) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.where(x <= radius, torch.sinc(x) * torch.sinc(x / radius), 0.0)


_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), lambda x: (1 - x).clamp(min=0)),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
