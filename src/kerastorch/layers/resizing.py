"""Resizing and CenterCrop: images of any size to a fixed size."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float, check_int, unknown
from kerastorch.layers.images import ImageLayer

# Keras' names -> torch's; 'nearest-exact' treats pixels as squares, as the other modes do
_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


class _FixedSize(ImageLayer, ABC):
    """Base of layers whose output images have a fixed height and width."""

    def __init__(self, height: int, width: int, data_format: str | None, *, name: str | None, trainable: bool) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.height = check_int("height", height)
        self.width = check_int("width", width)

    @abstractmethod
    def resize(self, x: Tensor) -> Tensor:
        """Return images of the fixed size from float images, `(batch, channels, h, w)`."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:  # one image, (channels, h, w)
            return self.forward(x[None])[0]
        x = self.to_channels_first(x)
        if not x.is_floating_point():
            x = x.to(torch.get_default_dtype())
        return self.from_channels_first(self.resize(x))

    def extra_repr(self) -> str:
        return f"{self.height}x{self.width}"


class Resizing(_FixedSize):
    """Images resized to a fixed size: `(batch, channels, h, w)` -> `(batch, channels, height, width)`.

    Args:
        height: Height of the output, in pixels.
        width: Width of the output, in pixels.
        interpolation: `'nearest'`, `'bilinear'` (default) or `'bicubic'` (torch's, a = -0.75). Pixels are squares, as
            with `align_corners=False`.
        crop_to_aspect_ratio: Whether the proportions are preserved by cropping: the largest centered window with the
            proportions of the output is resized. Default `False`.
        pad_to_aspect_ratio: Whether the proportions are preserved by padding: the image is centered on the smallest
            canvas with the proportions of the output, which is resized. Default `False`.
        fill_mode: How the canvas is filled; only `'constant'`.
        fill_value: Constant that fills the canvas. Default 0.
        antialias: Whether images are smoothed when they shrink; not for `'nearest'`. Default `False`.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    A single image, `(channels, h, w)`, is also accepted. Integers become floats.

    Raises:
        ValueError: Images that look channels-last, unless `data_format` was given.

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
        super().__init__(height, width, data_format, name=name, trainable=trainable)
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

    def resize(self, x: Tensor) -> Tensor:
        if self.crop_to_aspect_ratio:
            x = _center_window(x, self.height, self.width)
        elif self.pad_to_aspect_ratio:
            x = self._pad_to_aspect_ratio(x)
        mode = _MODES[self.interpolation]
        return F.interpolate(x, (self.height, self.width), mode=mode, antialias=self.antialias)

    def _pad_to_aspect_ratio(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        canvas_height = max(height, int(width * self.height / self.width))
        canvas_width = max(width, int(height * self.width / self.height))
        top, left = (canvas_height - height) // 2, (canvas_width - width) // 2
        bottom, right = canvas_height - height - top, canvas_width - width - left
        return F.pad(x, (left, right, top, bottom), value=self.fill_value)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, interpolation={self.interpolation}"


class CenterCrop(_FixedSize):
    """Center of images: `(batch, channels, h, w)` -> `(batch, channels, height, width)`.

    If an image is smaller than the output, the largest centered window with the proportions of the output is resized
    with bilinear interpolation.

    Args:
        height: Height of the output, in pixels.
        width: Width of the output, in pixels.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    A single image, `(channels, h, w)`, is also accepted. Integers become floats.

    Raises:
        ValueError: Images that look channels-last, unless `data_format` was given.

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
        super().__init__(height, width, data_format, name=name, trainable=trainable)

    def resize(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if height >= self.height and width >= self.width:
            top, left = (height - self.height) // 2, (width - self.width) // 2
            return x[:, :, top : top + self.height, left : left + self.width]
        x = _center_window(x, self.height, self.width)
        return F.interpolate(x, (self.height, self.width), mode="bilinear")


def _center_window(x: Tensor, height: int, width: int) -> Tensor:
    """Return the largest centered window of images with the proportions `height : width`.

    The images are `(batch, channels, h, w)`.
    """
    window_height = max(min(x.shape[2], int(x.shape[3] * height / width)), 1)
    window_width = max(min(x.shape[3], int(x.shape[2] * width / height)), 1)
    top, left = (x.shape[2] - window_height) // 2, (x.shape[3] - window_width) // 2
    return x[:, :, top : top + window_height, left : left + window_width]
