"""Resizing and CenterCrop: images of any size to one size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float, check_int, unknown
from kerastorch.layers.images import ImageLayer

# Keras' names -> torch's; 'nearest-exact' takes pixels for squares, as the others do
_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


class Resizing(ImageLayer):
    """Images of one size: `(batch, channels, h, w)` -> `(batch, channels, height, width)`.

    Args:
        height: of what comes out.
        width: of what comes out.
        interpolation: `'nearest'`, `'bilinear'` or `'bicubic'` (torch's, a = -0.75); pixels are squares.
        crop_to_aspect_ratio: keep proportions: the largest window of the new shape, in the middle, is resized.
        pad_to_aspect_ratio: keep proportions: the image is put in the middle of the smallest of the new shape.
        fill_mode: what is around it: only `'constant'`.
        fill_value: that constant.
        antialias: smooth where the image gets smaller; not for `'nearest'`.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.
        name: see `Layer`; so is `trainable`.

    One image alike, `(channels, h, w)`. Integers become floats.

    >>> Resizing(2, 3)(torch.zeros(4, 1, 8, 8)).shape
    torch.Size([4, 1, 2, 3])
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.height = check_int("height", height)
        self.width = check_int("width", width)
        self.interpolation = check_choice("interpolation", interpolation, tuple(_MODES))
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError("Resizing takes crop_to_aspect_ratio or pad_to_aspect_ratio, not both.")
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        if fill_mode != "constant":
            raise unknown("fill_mode", str(fill_mode), ["constant"])
        self.fill_mode = fill_mode
        self.fill_value = check_float("fill_value", fill_value)
        if antialias and self.interpolation == "nearest":
            raise ValueError("Resizing: antialias=True needs interpolation='bilinear' or 'bicubic'.")
        self.antialias = antialias

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:  # one image
            return self.forward(x[None])[0]
        x = self.first(x)
        if not x.is_floating_point():
            x = x.to(torch.get_default_dtype())
        if self.crop_to_aspect_ratio:
            x = _window(x, self.height, self.width)
        elif self.pad_to_aspect_ratio:
            x = self._padded(x)
        mode = _MODES[self.interpolation]
        return self.back(F.interpolate(x, (self.height, self.width), mode=mode, antialias=self.antialias))

    def _padded(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        tall = max(height, int(width * self.height / self.width))
        wide = max(width, int(height * self.width / self.height))
        top, left = (tall - height) // 2, (wide - width) // 2
        return F.pad(x, (left, wide - width - left, top, tall - height - top), value=self.fill_value)

    def extra_repr(self) -> str:
        return f"{self.height}x{self.width}, interpolation={self.interpolation}"


class CenterCrop(ImageLayer):
    """The middle of images: `(batch, channels, h, w)` -> `(batch, channels, height, width)`.

    Of an image that is smaller, the largest window of that shape in its middle, resized with `'bilinear'`.

    Args:
        height: of what comes out.
        width: of what comes out.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.
        name: see `Layer`; so is `trainable`.

    One image alike, `(channels, h, w)`. Integers become floats.

    >>> CenterCrop(2, 2)(torch.arange(16.0).view(1, 1, 4, 4)).flatten()
    tensor([ 5.,  6.,  9., 10.])
    """

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
        self.height = check_int("height", height)
        self.width = check_int("width", width)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:  # one image
            return self.forward(x[None])[0]
        x = self.first(x)
        if not x.is_floating_point():
            x = x.to(torch.get_default_dtype())
        height, width = x.shape[2:]
        if height >= self.height and width >= self.width:
            top, left = (height - self.height) // 2, (width - self.width) // 2
            return self.back(x[:, :, top : top + self.height, left : left + self.width])
        x = _window(x, self.height, self.width)
        return self.back(F.interpolate(x, (self.height, self.width), mode="bilinear"))

    def extra_repr(self) -> str:
        return f"{self.height}x{self.width}"


def _window(x: Tensor, height: int, width: int) -> Tensor:
    """The largest window with the proportions of `height` and `width` in the middle of images."""
    tall = max(min(x.shape[2], int(x.shape[3] * height / width)), 1)
    wide = max(min(x.shape[3], int(x.shape[2] * width / height)), 1)
    top, left = (x.shape[2] - tall) // 2, (x.shape[3] - wide) // 2
    return x[:, :, top : top + tall, left : left + wide]
