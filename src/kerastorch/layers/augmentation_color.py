"""Random changes of pixels where they are: RandomContrast, RandomBrightness, RandomErasing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.layers.augmentation import Augmentation, Drawing, Range, factor_range, value_pair
from kerastorch.layers.random_generator import at_least_float32


class RandomContrast(Augmentation):
    """`(x - mean) * contrast + mean` with the mean of each channel and a contrast for each image, in training.

    Args:
        factor: the contrast is drawn from `1 - factor` to `1 + factor`; of a pair `(low, high)`, from `1 - low` to
            `1 + high`. 0 to 1.
        value_range: the least and the greatest value of a pixel, which the result is clipped to.
        seed: see `Dropout`.
        data_format: `"channels_first"` (`None`) or `"channels_last"`.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, channels, height, width)`, or one image, unchanged. Floats keep their dtype; integers become floats.

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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(seed, data_format, name, trainable)
        self.factor = _both_ways(factor)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        contrast = self._uniform(x, (1 - self.factor[0], 1 + self.factor[1])).view(-1, 1, 1, 1).to(x.dtype)
        mean = x.mean((2, 3), keepdim=True)
        return ((x - mean) * contrast + mean).clamp(*self.value_range)


class RandomBrightness(Augmentation):
    """`x + brightness * (greatest - least)` with a brightness for each image, in training.

    Args:
        factor: the brightness is drawn from `-factor` to `factor`, or between the two numbers of a pair, -1 to 1.
        value_range: the least and the greatest value of a pixel, which the result is clipped to.
        seed: see `Dropout`.
        data_format: `"channels_first"` (`None`) or `"channels_last"`.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, channels, height, width)`, or one image, unchanged. Floats keep their dtype; integers become floats.

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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(seed, data_format, name, trainable)
        self.factor = factor_range("factor", factor, -1, 1)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        brightness = self._uniform(x, self.factor) * (high - low)
        return (x + brightness.view(-1, 1, 1, 1).to(x.dtype)).clamp(low, high)


class RandomErasing(Augmentation):
    """Fills a rectangle of its own in each image, in training (Zhong et al. 2017).

    Args:
        factor: the probability that an image has one, itself drawn from 0 to `factor`, or between the two numbers of
            a pair: `(1.0, 1.0)` for all.
        scale: the area that height and width are drawn for, each of its own: the height is the image's times the root
            of a number from this range, the width alike. 0 to 1.
        fill_value: a number, or one for each channel; `None`: noise, normal around 0 with the greatest value as its
            deviation, clipped.
        value_range: the least and the greatest value of a pixel, which the filling is clipped to.
        seed: see `Dropout`.
        data_format: `"channels_first"` (`None`) or `"channels_last"`.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, channels, height, width)`, or one image, unchanged. Floats keep their dtype; integers become floats.

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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(seed, data_format, name, trainable)
        self.factor = factor_range("factor", factor, 0, 1)
        self.scale = factor_range("scale", scale, 0, 1)
        self.fill_value: Any = fill_value
        if isinstance(fill_value, (list, tuple)):
            self.fill_value = tuple(check_float("fill_value", one) for one in fill_value)
        elif fill_value is not None:
            self.fill_value = check_float("fill_value", fill_value)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        erased = self._uniform(x, (0.0, 1.0)) < self._uniform(x, self.factor)
        across, high = self._uniform(x, self.scale).sqrt(), self._uniform(x, self.scale).sqrt()
        inside = rectangles(self, x, high, across) & erased.view(-1, 1, 1, 1)
        return torch.where(inside, self._filling(x).clamp(*self.value_range), x)

    def _filling(self, x: Tensor) -> Tensor:
        if self.fill_value is None:
            return self._draws.normal(x) * self.value_range[1]
        if isinstance(self.fill_value, tuple) and len(self.fill_value) not in (1, x.shape[1]):
            raise ValueError(f"fill_value has {len(self.fill_value)} numbers, the images {x.shape[1]} channels.")
        return torch.tensor(self.fill_value, dtype=x.dtype, device=x.device).view(1, -1, 1, 1)


def rectangles(layer: Drawing, x: Tensor, high: Tensor, across: Tensor) -> Tensor:
    """Which pixels lie in a rectangle of that share of the height and width, anywhere: `(batch, 1, height, width)`."""
    rows, columns = (
        _stretch(layer, x, length, axis) for length, axis in ((high * x.shape[2], 2), (across * x.shape[3], 3))
    )
    return rows[:, None, :, None] & columns[:, None, None, :]


def _stretch(layer: Drawing, x: Tensor, length: Tensor, axis: int) -> Tensor:
    start = layer._uniform(x, (0.0, 1.0)) * (x.shape[axis] - length)
    place = torch.arange(x.shape[axis], dtype=at_least_float32(x.dtype), device=x.device)
    return (place >= start[:, None]) & (place < (start + length)[:, None])


def _both_ways(factor: Any) -> Range:
    """A pair as it is given: the first is how far down, the second how far up."""
    if isinstance(factor, (list, tuple)) and len(factor) == 2:
        low, high = (check_float("factor", one, least=0, most=1) for one in factor)
        return low, high
    if isinstance(factor, (list, tuple)):
        raise ValueError(f"factor must be a number or a pair of numbers, got {factor!r}.")
    one = check_float("factor", factor, least=0, most=1)
    return one, one
