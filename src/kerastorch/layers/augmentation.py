"""Base classes of random image augmentations, and those that move whole pixels: RandomFlip and RandomCrop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float, check_int
from kerastorch.layers.images import ImageLayer
from kerastorch.layers.random_generator import RandomGenerator, at_least_float32

Range = tuple[float, float]


class RandomImageLayer(ImageLayer):
    """Image layer that samples random numbers in training.

    Args:
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.
    """

    def __init__(self, *, seed: int | None, data_format: str | None, name: str | None, trainable: bool) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self._draws = RandomGenerator(seed)
        self.seed = self._draws.seed

    def _sample_uniform(self, x: Tensor, limits: Range) -> Tensor:
        """Sample one number for each image, `(batch,)`, in the dtype of `x` but at least float32."""
        samples = self._draws.uniform(x.new_empty(x.shape[0], dtype=at_least_float32(x.dtype)))
        return samples * (limits[1] - limits[0]) + limits[0]


class Augmentation(RandomImageLayer, ABC):
    """Layer that changes each image of a batch at random in training.

    A subclass defines `augment`, and `apply_in_evaluation` if evaluation changes the images, too.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the images after `augment` in training, or after `apply_in_evaluation` in evaluation.

        Args:
            x: `(batch, channels, height, width)`, or one image without the batch axis; channels last if `data_format`
                says so.
        """
        x = check_images(x, type(self).__name__)
        change = self.augment if self.training else self.apply_in_evaluation
        if x.ndim == 3:
            return self.from_channels_first(change(self.to_channels_first(x[None])))[0]
        return self.from_channels_first(change(self.to_channels_first(x)))

    @abstractmethod
    def augment(self, x: Tensor) -> Tensor:
        """Return the images after a random change.

        Args:
            x: Floating-point images, `(batch, channels, height, width)`.
        """

    def apply_in_evaluation(self, x: Tensor) -> Tensor:
        """Return the images for evaluation, by default unchanged."""
        return x


class RandomFlip(Augmentation):
    """Random flip: mirrors each image with probability 1/2, in training.

    Args:
        mode: `"horizontal"` swaps left and right, `"vertical"` top and bottom, and `"horizontal_and_vertical"` does
            both, independently of each other.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, name=name, trainable=trainable)
        self.mode = check_choice("mode", mode, ("horizontal", "vertical", "horizontal_and_vertical"))

    def augment(self, x: Tensor) -> Tensor:
        for axis, direction in ((3, "horizontal"), (2, "vertical")):
            if direction in self.mode:
                flips = self._sample_uniform(x, (0.0, 1.0)) < 0.5
                x = torch.where(flips.view(-1, 1, 1, 1), x.flip(axis), x)
        return x


class RandomCrop(Augmentation):
    """Random crop: a window of `height` by `width` at a random position in each image, in training.

    In evaluation, and if the images are smaller than the window, the result is the largest centered window of this
    aspect ratio, resized to `height` by `width`.

    Args:
        height: Height of the output in pixels.
        width: Width of the output in pixels.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, name=name, trainable=trainable)
        self.height = check_int("height", height)
        self.width = check_int("width", width)

    def augment(self, x: Tensor) -> Tensor:
        if x.shape[2] < self.height or x.shape[3] < self.width:
            return self.apply_in_evaluation(x)
        rows = self._sample_window(x, x.shape[2], self.height).view(-1, 1, self.height, 1)
        columns = self._sample_window(x, x.shape[3], self.width).view(-1, 1, 1, self.width)
        batch = torch.arange(x.shape[0], device=x.device).view(-1, 1, 1, 1)
        return x[batch, torch.arange(x.shape[1], device=x.device).view(1, -1, 1, 1), rows, columns]

    def _sample_window(self, x: Tensor, size: int, window: int) -> Tensor:
        """Sample `window` adjacent rows or columns out of `size` for each image, `(batch, window)`."""
        start = self._sample_uniform(x, (0.0, size - window + 1.0)).long().clamp_max(size - window)
        return start[:, None] + torch.arange(window, device=x.device)

    def apply_in_evaluation(self, x: Tensor) -> Tensor:
        """Return the largest centered window of the output's aspect ratio, resized."""
        height, width = x.shape[2:]
        crop_height = max(min(height, width * self.height // self.width), 1)
        crop_width = max(min(width, height * self.width // self.height), 1)
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        window = x[:, :, top : top + crop_height, left : left + crop_width]
        if (crop_height, crop_width) == (self.height, self.width):
            return window
        return F.interpolate(window, (self.height, self.width), mode="bilinear", align_corners=False)


def check_images(x: Any, name: str) -> Tensor:
    """Return images as floating-point numbers; integers get torch's default dtype.

    Args:
        x: A batch of images, `(batch, channels, height, width)`, or one image without the batch axis.
        name: Name of the layer, for error messages.

    Raises:
        TypeError: `x` is not a tensor of real numbers.
        ValueError: `x` has neither 3 nor 4 axes.
    """
    if not isinstance(x, Tensor) or x.is_complex():
        raise TypeError(
            f"{name} takes a tensor of images, got {x.dtype if isinstance(x, Tensor) else type(x).__name__}."
        )
    if x.ndim not in (3, 4):
        raise ValueError(
            f"{name} takes images (batch, channels, height, width), or one without the batch; "
            f"got shape {tuple(x.shape)}."
        )
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


def factor_range(name: str, factor: Any, least: float, most: float) -> Range:
    """Return a pair of numbers in ascending order, or the range from `-factor` to `factor`.

    Args:
        name: Name of the argument, for error messages.
        factor: A number or a pair of numbers.
        least: Lowest value of the range; `-factor` is clipped to it.
        most: Highest value of the range.

    Raises:
        ValueError: `factor` is not a number or pair of numbers between the limits.
    """
    if isinstance(factor, (list, tuple)):
        if len(factor) != 2:
            raise ValueError(f"{name} must be a number or a pair of numbers, got {factor!r}.")
        low, high = sorted(check_float(name, number, least=least, most=most) for number in factor)
        return low, high
    high = check_float(name, factor, least=max(least, -most), most=most)
    return max(-abs(high), least), abs(high)


def value_pair(value_range: Any) -> Range:
    """Return the lowest and the highest value of a pixel as a pair of floats.

    Raises:
        ValueError: `value_range` is not a pair of numbers.
    """
    if not isinstance(value_range, (list, tuple)) or len(value_range) != 2:
        raise ValueError(f"value_range must be a pair, as (0, 1) or (0, 255), got {value_range!r}.")
    low, high = sorted(check_float("value_range", number) for number in value_range)
    return low, high
