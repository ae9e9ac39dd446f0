"""Random changes of pixel values: RandomContrast, RandomBrightness and RandomErasing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.layers.augmentation import (
    Augmentation,
    AugmentationOptions,
    RandomImageLayer,
    Range,
    factor_range,
    value_pair,
)
from kerastorch.layers.random_generator import at_least_float32


class RandomContrast(Augmentation):
    """Random contrast: `(x - mean) * contrast + mean` with the mean of each channel, in training.

    Args:
        factor: The contrast of each image is uniform between `1 - factor` and `1 + factor`, or for a pair `(low, high)`
            between `1 - low` and `1 + high`. All numbers are between 0 and 1.
        value_range: Lowest and highest value of a pixel; the result is clipped to this range.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomContrast(0.5, value_range=(0, 1))(torch.full((1, 3, 2, 2), 0.25)).mean()
    tensor(0.2500)
    """

    def __init__(
        self,
        factor: float | Range,
        value_range: Range = (0, 255),
        seed: int | None = None,
        *,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = _contrast_factors(factor)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        contrast = self._sample_uniform(x, (1 - self.factor[0], 1 + self.factor[1])).view(-1, 1, 1, 1).to(x.dtype)
        mean = x.mean((2, 3), keepdim=True)
        return ((x - mean) * contrast + mean).clamp(*self.value_range)


class RandomBrightness(Augmentation):
    """Random brightness: `x + brightness * (highest - lowest)` with the limits of `value_range`, in training.

    Args:
        factor: The brightness of each image is uniform between `-factor` and `factor`, or between the numbers of a
            pair. All numbers are between -1 and 1.
        value_range: Lowest and highest value of a pixel; the result is clipped to this range.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomBrightness((0.25, 0.25), value_range=(0, 1))(torch.full((1, 1, 1, 1), 0.5))
    tensor([[[[0.7500]]]])
    """

    def __init__(
        self,
        factor: float | Range,
        value_range: Range = (0, 255),
        seed: int | None = None,
        *,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, -1, 1)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        brightness = self._sample_uniform(x, self.factor) * (high - low)
        return (x + brightness.view(-1, 1, 1, 1).to(x.dtype)).clamp(low, high)


class RandomErasing(Augmentation):
    """Random erasing: fills a random rectangle in each image, in training (Zhong et al. 2017).

    Args:
        factor: The probability that an image gets a rectangle is itself random: uniform between 0 and `factor`, or
            between the numbers of a pair. `(1.0, 1.0)` erases a rectangle in every image.
        scale: Range of the erased fraction of the image. Height and width are sampled independently: each is that of
            the image times the root of a number from this range. A single number is the upper limit, with 0 as the
            lower one.
        fill_value: A number, or one for each channel. `None` (default): normal noise of mean 0, whose standard
            deviation is the highest value of `value_range`.
        value_range: Lowest and highest value of a pixel; the filled values are clipped to this range.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomErasing((1.0, 1.0), scale=(1.0, 1.0), fill_value=0.0)(torch.ones(1, 1, 2, 2)).sum()
    tensor(0.)
    """

    def __init__(
        self,
        factor: float | Range = 1.0,
        scale: float | Range = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Range = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, 0, 1)
        self.scale = factor_range("scale", scale, 0, 1)
        self.fill_value: Any = fill_value
        if isinstance(fill_value, (list, tuple)):
            self.fill_value = tuple(check_float("fill_value", number) for number in fill_value)
        elif fill_value is not None:
            self.fill_value = check_float("fill_value", fill_value)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        is_erased = self._sample_uniform(x, (0.0, 1.0)) < self._sample_uniform(x, self.factor)
        width, height = self._sample_uniform(x, self.scale).sqrt(), self._sample_uniform(x, self.scale).sqrt()
        inside = sample_rectangles(self, x, height, width) & is_erased.view(-1, 1, 1, 1)
        return torch.where(inside, self._fill_values(x).clamp(*self.value_range), x)

    def _fill_values(self, x: Tensor) -> Tensor:
        """Return the values inside the rectangle, of a shape that broadcasts to that of `x`."""
        if self.fill_value is None:
            return self._draws.normal(x) * self.value_range[1]
        if isinstance(self.fill_value, tuple) and len(self.fill_value) not in (1, x.shape[1]):
            raise ValueError(f"fill_value has {len(self.fill_value)} numbers, the images {x.shape[1]} channels.")
        return torch.tensor(self.fill_value, dtype=x.dtype, device=x.device).view(1, -1, 1, 1)


def sample_rectangles(layer: RandomImageLayer, x: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Sample the position of one rectangle in each image, and return which pixels it covers.

    Args:
        layer: The layer that samples the numbers.
        x: Images, `(batch, channels, height, width)`.
        height: Height of each rectangle as a fraction of the image's, `(batch,)`.
        width: Width of each rectangle as a fraction of the image's, `(batch,)`.

    Returns:
        A boolean mask, `(batch, 1, height, width)`.
    """
    rows = _sample_interval(layer, x, height * x.shape[2], 2)
    columns = _sample_interval(layer, x, width * x.shape[3], 3)
    return rows[:, None, :, None] & columns[:, None, None, :]


def _sample_interval(layer: RandomImageLayer, x: Tensor, length: Tensor, axis: int) -> Tensor:
    """Sample the position of one interval along an axis of each image.

    Args:
        layer: The layer that samples the numbers.
        x: Images, `(batch, channels, height, width)`.
        length: Length of each interval in pixels, `(batch,)`.
        axis: 2 for the height, 3 for the width.

    Returns:
        Whether each position lies in the interval, `(batch, size of the axis)`.
    """
    start = layer._sample_uniform(x, (0.0, 1.0)) * (x.shape[axis] - length)
    position = torch.arange(x.shape[axis], dtype=at_least_float32(x.dtype), device=x.device)
    return (position >= start[:, None]) & (position < (start + length)[:, None])


def _contrast_factors(factor: Any) -> Range:
    """Return how far the contrast goes below and above 1; one number is both.

    Raises:
        ValueError: `factor` is not a number or a pair of numbers between 0 and 1.
    """
    if isinstance(factor, (list, tuple)) and len(factor) == 2:
        low, high = (check_float("factor", number, least=0, most=1) for number in factor)
        return low, high
    if isinstance(factor, (list, tuple)):
        raise ValueError(f"factor must be a number or a pair of numbers, got {factor!r}.")
    number = check_float("factor", factor, least=0, most=1)
    return number, number
