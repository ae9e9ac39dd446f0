"""Conversions of colors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.ops.conversion import to_tensor
from kerastorch.ops.image.layout import channel_axis, check_images
from kerastorch.ops.recording import image_op

__all__ = ["hsv_to_rgb", "rgb_to_grayscale", "rgb_to_hsv"]


@image_op
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Tensor:
    """Return the luma of images, `0.2989 R + 0.587 G + 0.114 B`, with one channel.

    Args:
        images: An image or a batch of images, with 3 channels, or with 1, which is returned.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    check_images("rgb_to_grayscale", x)
    axis = channel_axis(data_format)
    if x.shape[axis] == 1:
        return x.clone()
    red, green, blue = _channels("rgb_to_grayscale", x, axis)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(x.dtype).unsqueeze(axis)


def _channels(name: str, x: Tensor, axis: int) -> tuple[Tensor, ...]:
    if x.shape[axis] != 3:
        raise ValueError(f"{name} takes images with 3 channels on axis {axis}, got shape {tuple(x.shape)}.")
    return x.unbind(axis)


def _check_floats(name: str, x: Tensor) -> None:
    check_images(name, x)
    if not x.is_floating_point():
        raise ValueError(f"{name} takes floats in 0..1, got {x.dtype}.")


@image_op
def rgb_to_hsv(images: Any, data_format: str | None = None) -> Tensor:
    """Return hue, saturation and value of images, all in 0..1.

    Args:
        images: An image or a batch of images, floats in 0..1.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    _check_floats("rgb_to_hsv", x)
    axis = channel_axis(data_format)
    x = torch.where(x.abs() < torch.finfo(x.dtype).eps, 0.0, x)
    red, green, blue = _channels("rgb_to_hsv", x, axis)
    value, least = x.amax(axis), x.amin(axis)
    spread = value - least
    is_gray = spread <= 0
    sixth = 1 / (6 * torch.where(is_gray, 1.0, spread))
    hue = torch.where(value == green, sixth * (blue - red) + 1 / 3, sixth * (red - green) + 2 / 3)
    hue = torch.where(value == red, sixth * (green - blue), hue)
    hue = torch.where(is_gray, 0.0, torch.where(hue < 0, hue + 1, hue))
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
    return torch.stack([hue, saturation, value], dim=axis)


@image_op
def hsv_to_rgb(images: Any, data_format: str | None = None) -> Tensor:
    """Return red, green and blue for hue, saturation and value, the inverse of `rgb_to_hsv`.

    Args:
        images: An image or a batch of images, floats in 0..1.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    x = to_tensor(images)
    _check_floats("hsv_to_rgb", x)
    axis = channel_axis(data_format)
    hue, saturation, value = _channels("hsv_to_rgb", x, axis)
    angle = torch.remainder(hue, 1.0) * 6
    strengths = [(angle - 3).abs() - 1, 2 - (angle - 2).abs(), 2 - (angle - 4).abs()]
    return torch.stack([value * (1 - saturation + saturation * one.clip(0, 1)) for one in strengths], dim=axis)
