"""Colors of images as hue, saturation and value, and as shades of gray."""

from __future__ import annotations

import torch
from torch import Tensor

_LUMINANCE = (0.2989, 0.5870, 0.1140)


def check_rgb(x: Tensor, name: str) -> Tensor:
    """Return images if they have the three channels red, green and blue.

    Args:
        x: `(batch, channels, height, width)`.
        name: Name of the layer, for the message.

    Raises:
        ValueError: Another number of channels.
    """
    if x.shape[1] != 3:
        raise ValueError(
            f"{name} takes images with 3 channels, red, green and blue; got {x.shape[1]} channels. "
            "Images (batch, height, width, channels) need data_format='channels_last'."
        )
    return x


def rgb_to_gray(x: Tensor) -> Tensor:
    """Return the luminance of images, `(batch, 1, height, width)`."""
    weights = torch.tensor(_LUMINANCE, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True)


def rgb_to_hsv(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return hue, saturation and value of images, each `(batch, height, width)`.

    Hue and saturation are between 0 and 1, the value has the unit of `x`.
    """
    red, green, blue = x.unbind(1)
    value = x.amax(1)
    spread = value - x.amin(1)
    safe = torch.where(spread > 0, spread, torch.ones_like(spread))
    hue = torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    hue = torch.where(value == red, (green - blue) / safe, hue) / 6
    hue = torch.where(spread > 0, hue.remainder(1), torch.zeros_like(hue))
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, torch.ones_like(value)), 0.0)
    return hue, saturation, value


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Return images, `(batch, 3, height, width)`, from what `rgb_to_hsv` returns."""
    channels = []
    for offset in (5, 3, 1):  # red, green, blue: a third of the circle apart
        position = (offset + 6 * hue).remainder(6)
        share = torch.minimum(position, 4 - position).clamp(0, 1)
        channels.append(value - value * saturation * share)
    return torch.stack(channels, 1)
