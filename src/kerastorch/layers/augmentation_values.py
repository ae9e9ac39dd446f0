"""Random changes of single pixel values: RandomInvert, Solarization and RandomPosterization."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, check_int, mismatch
from kerastorch.layers.augmentation import Augmentation, AugmentationOptions, Range, factor_range, value_pair


class RandomInvert(Augmentation):
    """Random negative: an image becomes `lowest + highest - x` with a probability, in training.

    Args:
        factor: The probability is itself random: uniform between 0 and `factor`, or between the numbers of a pair.
            `(1.0, 1.0)` inverts every image.
        value_range: Lowest and highest value of a pixel.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomInvert((1.0, 1.0))(torch.tensor([[[[0.0, 200.0]]]]))
    tensor([[[[255.,  55.]]]])
    """

    def __init__(
        self,
        factor: float | Range = 1.0,
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
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        is_inverted = self._sample_uniform(x, (0.0, 1.0)) < self._sample_uniform(x, self.factor)
        return torch.where(is_inverted.view(-1, 1, 1, 1), sum(self.value_range) - x, x)


class Solarization(Augmentation):
    """Solarization: adds a number to all pixels, and inverts those that are not below a threshold, in training.

    Args:
        addition_factor: The number is `highest - lowest` times a factor, which is uniform between 0 and
            `addition_factor`, or between the numbers of a pair. The sum is clipped to `value_range`.
        threshold_factor: The same for the threshold above the lowest value. Default 0: every pixel is inverted.
        value_range: Lowest and highest value of a pixel.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> Solarization(threshold_factor=(0.5, 0.5))(torch.tensor([[[[100.0, 200.0]]]]))
    tensor([[[[100.,  55.]]]])
    """

    def __init__(
        self,
        addition_factor: float | Range = 0.0,
        threshold_factor: float | Range = 0.0,
        value_range: Range = (0, 255),
        seed: int | None = None,
        *,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.addition_factor = factor_range("addition_factor", addition_factor, 0, 1)
        self.threshold_factor = factor_range("threshold_factor", threshold_factor, 0, 1)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        addition, threshold = (
            (self._sample_uniform(x, factor) * (high - low)).view(-1, 1, 1, 1).to(x.dtype)
            for factor in (self.addition_factor, self.threshold_factor)
        )
        x = (x + addition).clamp(low, high)
        return torch.where(x - low < threshold, x, low + high - x)


class RandomPosterization(Augmentation):
    """Random posterization: keeps the highest bits of pixels of 8 bits, in training.

    Args:
        factor: Number of bits, 1 to 8; for a pair, the number of each image is between both, inclusive. 8 bits leave
            whole numbers as they are.
        value_range: Lowest and highest value of a pixel, which are 0 and 255 as 8 bits.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats. There are no gradients.

    >>> RandomPosterization(2)(torch.tensor([[[[10.0, 100.0, 255.0]]]]))
    tensor([[[[  0.,  64., 192.]]]])
    """

    def __init__(
        self,
        factor: int | tuple[int, int],
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = _bits(factor)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        fewest, most = self.factor
        bits = self._sample_uniform(x, (fewest, most + 1.0)).floor().clamp_max(most)
        step = torch.exp2(8 - bits).view(-1, 1, 1, 1)
        unit = (x.to(step.dtype) - low) * 255 / (high - low)
        return ((unit / step).floor() * step * (high - low) / 255 + low).to(x.dtype)


def _bits(factor: Any) -> tuple[int, int]:
    """Return the lowest and the highest number of bits.

    Raises:
        ValueError: It is not an integer or a pair of integers from 1 to 8.
    """
    pair = list(factor) if isinstance(factor, (list, tuple)) else [factor, factor]
    if len(pair) != 2:
        raise mismatch("factor", factor, "a number of bits or a pair of them, 1 to 8")
    for number in pair:
        check_float("factor", check_int("factor", number), most=8)
    fewest, most = sorted(pair)
    return fewest, most
