"""Resizing and CenterCrop: images of any size to a fixed size."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from kerastorch.core.errors import check_choice, check_float, check_int, unknown
from kerastorch.layers.image_windows import ResizedWindow
from kerastorch.layers.images import ImageLayer, ImageOptions
from kerastorch.layers.labelled_images import LabelledImages

# Keras' names -> torch's; 'nearest-exact' treats pixels as squares, as the other modes do
_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


class _FixedSize(ImageLayer):
    """Base of layers whose output images have a fixed height and width."""

    def __init__(self, height: int, width: int, options: ImageOptions) -> None:
        super().__init__(options)
        self.height = check_int("height", height)
        self.width = check_int("width", width)

    @abstractmethod
    def window_of(self, x: Tensor) -> ResizedWindow:
        """Return the window of float images, `(batch, channels, h, w)`, that becomes the output."""

    def change(self, batch: LabelledImages) -> LabelledImages:
        """Return the batch with images of the fixed size, in training and evaluation."""
        return batch.moved(self.window_of(batch.images))

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
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`. Default none.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    A single image, `(channels, h, w)`, is also accepted. Integers become floats.

    Raises:
        ValueError: Images that look channels-last, unless `data_format` was given.

    >>> import torch
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
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(height, width, ImageOptions.from_arguments(locals()))
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

    def window_of(self, x: Tensor) -> ResizedWindow:
        height, width = x.shape[2:]
        mode = _MODES[self.interpolation]
        if self.crop_to_aspect_ratio:
            return ResizedWindow.centered(x, self.height, self.width, mode=mode, antialias=self.antialias)
        window = (height, width)
        if self.pad_to_aspect_ratio:
            window = (max(height, width * self.height // self.width), max(width, height * self.width // self.height))
        top, left = -((window[0] - height) // 2), -((window[1] - width) // 2)
        return ResizedWindow(
            top, left, window, (self.height, self.width), mode, self.antialias, fill_value=self.fill_value
        )

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
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`. Default none.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    A single image, `(channels, h, w)`, is also accepted. Integers become floats.

    Raises:
        ValueError: Images that look channels-last, unless `data_format` was given.

    >>> import torch
    >>> CenterCrop(2, 2)(torch.arange(16.0).view(1, 1, 4, 4)).flatten()
    tensor([ 5.,  6.,  9., 10.])
    """

    def __init__(
        self,
        height: int,
        width: int,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(height, width, ImageOptions.from_arguments(locals()))

    def window_of(self, x: Tensor) -> ResizedWindow:
        height, width = x.shape[2:]
        size = (self.height, self.width)
        if height >= self.height and width >= self.width:
            return ResizedWindow((height - self.height) // 2, (width - self.width) // 2, size, size)
        return ResizedWindow.centered(x, self.height, self.width)
