"""Resizing and CenterCrop: images of one size."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from kerastorch.errors import whole
from kerastorch.layers.augmentation import images, one_of
from kerastorch.layers.spatial import Spatial

_INTERPOLATIONS = ("bilinear", "nearest", "bicubic")


class Resizing(Spatial):
    """Images of one height and width; integers become floats.

    Args:
        height: of what comes out, in pixels.
        width: the same.
        interpolation: `'bilinear'`, `'nearest'` or `'bicubic'`.
        crop_to_aspect_ratio: whether to take the largest window in the middle that has the new proportions, instead of
            distorting.
        pad_to_aspect_ratio: whether to add margins to that end; not both.
        fill_value: what margins are filled with.
        antialias: whether to smooth before making smaller; not for `'nearest'`.
        data_format: `'channels_last'` for `(batch, height, width, channels)`.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, channels, any, any)` -> `(batch, channels, height, width)`; with or without the batch.

    Raises:
        ValueError: to crop and to pad; to smooth the nearest.

    >>> Resizing(2, 3)(torch.rand(4, 1, 8, 9)).shape
    torch.Size([4, 1, 2, 3])
    """

    rank = 2

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.height, self.width = whole("height", height), whole("width", width)
        self.interpolation = one_of("interpolation", interpolation, _INTERPOLATIONS)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError("Resizing crops or pads to the new proportions, not both.")
        if antialias and interpolation == "nearest":
            raise ValueError("Resizing(interpolation='nearest') takes no antialias: there is nothing to smooth.")
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = crop_to_aspect_ratio, pad_to_aspect_ratio
        self.fill_value, self.antialias = fill_value, antialias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = images(x, type(self).__name__)
        if x.ndim == 3:
            return self.back(self._resized(self.first(x.unsqueeze(0)))).squeeze(0)
        return self.back(self._resized(self.first(x)))

    def _resized(self, x: torch.Tensor) -> torch.Tensor:
        if self.crop_to_aspect_ratio:
            x = widest(x, self.height, self.width)
        elif self.pad_to_aspect_ratio:
            x = self._padded(x)
        options: dict[str, Any] = {"mode": "nearest-exact"}
        if self.interpolation != "nearest":
            options = {"mode": self.interpolation, "align_corners": False, "antialias": self.antialias}
        return F.interpolate(x, (self.height, self.width), **options)

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        rows = max(height, width * self.height // self.width) - height
        columns = max(width, height * self.width // self.height) - width
        margins = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return F.pad(x, margins, value=self.fill_value)

    def extra_repr(self) -> str:
        return f"{self.height}, {self.width}, {self.interpolation}"


class CenterCrop(Spatial):
    """The window in the middle of images; of smaller ones, the largest of its proportions, resized.

    Args:
        height: of what comes out, in pixels.
        width: the same.
        data_format: `'channels_last'` for `(batch, height, width, channels)`.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, channels, any, any)` -> `(batch, channels, height, width)`; with or without the batch.

    >>> CenterCrop(2, 3)(torch.rand(4, 1, 8, 9)).shape
    torch.Size([4, 1, 2, 3])
    """

    rank = 2

    def __init__(
        self,
        height: int,
        width: int,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.height, self.width = whole("height", height), whole("width", width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = images(x, type(self).__name__)
        if x.ndim == 3:
            return self.back(self._cropped(self.first(x.unsqueeze(0)))).squeeze(0)
        return self.back(self._cropped(self.first(x)))

    def _cropped(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        if height >= self.height and width >= self.width:
            return middle(x, self.height, self.width)
        window = widest(x, self.height, self.width)
        return F.interpolate(window, (self.height, self.width), mode="bilinear", align_corners=False)

    def extra_repr(self) -> str:
        return f"{self.height}, {self.width}"


def middle(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The window of this size in the middle of `(batch, channels, height, width)`."""
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]


def widest(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The largest window of these proportions in the middle."""
    tall, wide = x.shape[2:]
    return middle(x, max(min(tall, wide * height // width), 1), max(min(wide, tall * width // height), 1))
