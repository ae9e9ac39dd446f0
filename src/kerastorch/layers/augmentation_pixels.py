"""Random changes that move whole pixels: RandomFlip and RandomCrop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_int
from kerastorch.layers.augmentation import AugmentationOptions, GeometricAugmentation
from kerastorch.layers.image_windows import ResizedWindow
from kerastorch.layers.labelled_images import ImageMap


class RandomFlip(GeometricAugmentation):
    """Random flip: mirrors each image with probability 1/2, in training.

    As all layers over images, it also takes a dict: `"images"`, and any of `"bounding_boxes"`, a dict of `"boxes"`,
    `(batch, n, 4)`, and `"labels"`, `(batch, n)`; `"segmentation_masks"`, `(batch, height, width)`, with or without
    channels; and `"labels"`. Boxes and masks follow the pixels, and a box that leaves the image gets the label -1.

    Args:
        mode: `"horizontal"` swaps left and right, `"vertical"` top and bottom, and `"horizontal_and_vertical"` does
            both, independently of each other.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes: `"xyxy"` (left, top, right, bottom), `"yxyx"`, `"xywh"`, `"center_xywh"`,
            `"center_yxhw"`, or, in fractions of the image, `"rel_xyxy"`, `"rel_yxyx"`, `"rel_xywh"` or
            `"rel_center_xywh"`. Needed if there are boxes.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomFlip().eval()(torch.ones(1, 1, 1, 2))
    tensor([[[[1., 1.]]]])
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.mode = check_choice("mode", mode, ("horizontal", "vertical", "horizontal_and_vertical"))

    def sample_map(self, x: Tensor) -> ImageMap:
        flips = {
            axis: self._sample_uniform(x, (0.0, 1.0)) < 0.5
            for axis, direction in ((3, "horizontal"), (2, "vertical"))
            if direction in self.mode
        }
        return _Flip(flips, x.shape[2:])


@dataclass(frozen=True)
class _Flip(ImageMap):
    """Mirror some images.

    Args:
        flips: Whether each image is mirrored, `(batch,)`, along axis 2, 3 or both.
        sizes: Height and width of the images.
    """

    flips: Mapping[int, Tensor]
    sizes: Sequence[int]

    def move_images(self, x: Tensor, *, is_mask: bool = False) -> Tensor:
        for axis, flips in self.flips.items():
            x = torch.where(flips.view(-1, 1, 1, 1), x.flip(axis), x)
        return x

    def move_points(self, points: Tensor) -> Tensor:
        axes = list(points.unbind(-1))  # x, y
        for axis, flips in self.flips.items():
            axes[3 - axis] = torch.where(flips[:, None], self.sizes[axis - 2] - axes[3 - axis], axes[3 - axis])
        return torch.stack(axes, -1)


class RandomCrop(GeometricAugmentation):
    """Random crop: a window of `height` by `width` at a random position in each image, in training.

    In evaluation, and if the images are smaller than the window, the result is the largest centered window of this
    aspect ratio, resized to `height` by `width`.

    Args:
        height: Height of the output in pixels.
        width: Width of the output in pixels.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, h, w)` -> `(batch, channels, height, width)`, or one image without the batch axis. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomCrop(2, 3)(torch.zeros(4, 1, 8, 8)).shape
    torch.Size([4, 1, 2, 3])
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.height = check_int("height", height)
        self.width = check_int("width", width)

    def sample_map(self, x: Tensor) -> ImageMap:
        height, width = x.shape[2:]
        if height < self.height or width < self.width:
            return self.map_in_evaluation(x)
        top, left = self._sample_start(x, height - self.height), self._sample_start(x, width - self.width)
        return _Windows(top, left, self.height, self.width)

    def _sample_start(self, x: Tensor, last: int) -> Tensor:
        """Sample the first row or column of the window of each image, 0 to `last`: `(batch,)`."""
        return self._sample_uniform(x, (0.0, last + 1.0)).long().clamp_max(last)

    def map_in_evaluation(self, x: Tensor) -> ImageMap:
        """Return the largest centered window of the output's aspect ratio, resized."""
        return ResizedWindow.centered(x, self.height, self.width)


@dataclass(frozen=True)
class _Windows(ImageMap):
    """Cut one window out of each image.

    Args:
        top: First row of each window, `(batch,)`.
        left: First column of each window, `(batch,)`.
        height: Number of rows of all windows.
        width: Number of columns of all windows.
    """

    top: Tensor
    left: Tensor
    height: int
    width: int

    def move_images(self, x: Tensor, *, is_mask: bool = False) -> Tensor:
        batch, channels = (torch.arange(size, device=x.device) for size in x.shape[:2])
        rows = self.top[:, None] + torch.arange(self.height, device=x.device)
        columns = self.left[:, None] + torch.arange(self.width, device=x.device)
        return x[batch.view(-1, 1, 1, 1), channels.view(1, -1, 1, 1), rows[:, None, :, None], columns[:, None, None]]

    def move_points(self, points: Tensor) -> Tensor:
        return points - torch.stack([self.left, self.top], -1)[:, None].to(points.dtype)
