"""Images in any usual layout as arrays that matplotlib shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kerastorch.plots.arrays import Array, to_array

CHANNELS = (1, 3, 4)  # of gray images, RGB and RGBA


def to_images(name: str, value: Any) -> Array:
    """Return images as `(n, height, width)` in gray or `(n, height, width, channels)` in color.

    Args:
        name: Name of the argument, for messages.
        value: Images of shape `(n, h, w)`, `(n, channels, h, w)`, `(n, h, w, channels)`, or `(n, h * h)`. If both
            layouts with channels fit, the channels come first.

    Raises:
        ValueError: The shape is another one.
        TypeError: The values are not numbers.
    """
    images = to_array(name, value)
    if images.dtype.kind == "U":
        raise TypeError(f"{name} must hold numbers, got strings.")
    if images.dtype == np.float16:  # matplotlib does not draw it
        images = images.astype(np.float32)
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        if side * side != images.shape[1]:
            raise ValueError(
                f"{name} has {images.shape[1]} values a row, which is no square image; reshape to (n, h, w)."
            )
        return images.reshape(-1, side, side)
    if images.ndim == 4 and images.shape[1] in CHANNELS:
        images = np.moveaxis(images, 1, -1)  # (n, channels, h, w) -> (n, h, w, channels)
    elif images.ndim != 3 and not (images.ndim == 4 and images.shape[3] in CHANNELS):
        raise ValueError(
            f"{name} must have the shape (n, h, w), (n, channels, h, w) or (n, h, w, channels), with 1, 3 or 4 "
            f"channels, or (n, h * w) of square images; got {images.shape}."
        )
    return images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images


def gray_limits(images: Array) -> tuple[float, float]:
    """Return the values of black and white for gray images: 0 to 1 or 255 if that fits, else their own range."""
    if images.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(np.nanmin(images)), float(np.nanmax(images))
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return min(low, 0.0), high


def scale_colors(images: Array) -> Array:
    """Return color images with values in 0..1.

    Bytes and values in 0..255 are divided by 255. Other values, such as those of standardized images, are mapped
    linearly from their range.
    """
    if images.dtype == np.bool_:
        return images.astype(np.float64)
    is_byte = images.dtype == np.uint8
    images = images.astype(np.float64)
    low, high = np.nanmin(images), np.nanmax(images)
    if is_byte or (low >= 0 and 2 < high <= 255):
        return images / 255
    if low >= 0 and high <= 1:
        return images
    scaled: Array = (images - low) / (high - low if high > low else 1.0)
    return scaled
