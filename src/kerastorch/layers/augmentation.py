"""What random changes of images share, and those that move pixels whole: RandomFlip, RandomCrop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float, check_int
from kerastorch.layers.images import ImageLayer
from kerastorch.layers.random_generator import RandomGenerator, at_least_float32

Range = tuple[float, float]


class Drawing(ImageLayer):
    """A layer that draws numbers in training, from torch's random state or, with a seed, its own."""

    def __init__(self, seed: int | None, data_format: str | None, name: str | None, trainable: bool) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self._draws = RandomGenerator(seed)
        self.seed = self._draws.seed

    def _uniform(self, x: Tensor, between: Range) -> Tensor:
        """A number for each image, `(batch,)`; float32 for narrower images, so that there are enough different ones."""
        drawn = self._draws.uniform(x.new_empty(x.shape[0], dtype=at_least_float32(x.dtype)))
        return drawn * (between[1] - between[0]) + between[0]


class Augmentation(Drawing):
    """Changes each image of a batch by draws of its own in training, and none in evaluation. Write `augment`."""

    def forward(self, x: Tensor) -> Tensor:
        x = images(x, type(self).__name__)
        change = self.augment if self.training else self.leave
        if x.ndim == 3:
            return self.from_channels_first(change(self.to_channels_first(x[None])))[0]
        return self.from_channels_first(change(self.to_channels_first(x)))

    def augment(self, x: Tensor) -> Tensor:
        """Changed images, all of them `(batch, channels, height, width)`."""
        raise NotImplementedError

    def leave(self, x: Tensor) -> Tensor:
        """What they are in evaluation."""
        return x


class RandomFlip(Augmentation):
    """Mirrors each image with probability 1/2, in training.

    Args:
        mode: `"horizontal"`: left and right; `"vertical"`: top and bottom; `"horizontal_and_vertical"`: both, each
            with a draw of its own.
        seed: see `Dropout`.
        data_format: `"channels_first"` (`None`) or `"channels_last"`.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, channels, height, width)`, or one image, unchanged. Floats keep their dtype; integers become floats.

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
        super().__init__(seed, data_format, name, trainable)
        self.mode = check_choice("mode", mode, ("horizontal", "vertical", "horizontal_and_vertical"))

    def augment(self, x: Tensor) -> Tensor:
        for axis, direction in ((3, "horizontal"), (2, "vertical")):
            if direction in self.mode:
                flips = self._uniform(x, (0.0, 1.0)) < 0.5
                x = torch.where(flips.view(-1, 1, 1, 1), x.flip(axis), x)
        return x


class RandomCrop(Augmentation):
    """A window of `height` by `width` from a place of its own in each image, in training.

    In evaluation, and for images smaller than the window, it is the largest window of that shape in the middle,
    resized.

    Args:
        height: of what comes out.
        width: of what comes out.
        seed: see `Dropout`.
        data_format: `"channels_first"` (`None`) or `"channels_last"`.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, channels, h, w)` -> `(batch, channels, height, width)`; one image alike. Floats keep their dtype;
    integers become floats.

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
        super().__init__(seed, data_format, name, trainable)
        self.height = check_int("height", height)
        self.width = check_int("width", width)

    def augment(self, x: Tensor) -> Tensor:
        if x.shape[2] < self.height or x.shape[3] < self.width:
            return self.leave(x)
        rows = self._places(x, x.shape[2], self.height).view(-1, 1, self.height, 1)
        columns = self._places(x, x.shape[3], self.width).view(-1, 1, 1, self.width)
        batch = torch.arange(x.shape[0], device=x.device).view(-1, 1, 1, 1)
        return x[batch, torch.arange(x.shape[1], device=x.device).view(1, -1, 1, 1), rows, columns]

    def _places(self, x: Tensor, size: int, window: int) -> Tensor:
        """Which rows or columns of each image are taken: `(batch, window)`."""
        start = self._uniform(x, (0.0, size - window + 1.0)).long().clamp_max(size - window)
        return start[:, None] + torch.arange(window, device=x.device)

    def leave(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        tall = max(min(height, width * self.height // self.width), 1)
        wide = max(min(width, height * self.width // self.height), 1)
        top, left = (height - tall) // 2, (width - wide) // 2
        window = x[:, :, top : top + tall, left : left + wide]
        if (tall, wide) == (self.height, self.width):
            return window
        return F.interpolate(window, (self.height, self.width), mode="bilinear", align_corners=False)


def images(x: Any, name: str) -> Tensor:
    """`x` as floats, if it is images.

    Raises:
        TypeError: no tensor, or complex numbers.
        ValueError: neither 3 axes nor 4.
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
    """What is drawn between: the pair itself, or `-factor` (not below `least`) to `factor`."""
    if isinstance(factor, (list, tuple)):
        if len(factor) != 2:
            raise ValueError(f"{name} must be a number or a pair of numbers, got {factor!r}.")
        low, high = sorted(check_float(name, one, least=least, most=most) for one in factor)
        return low, high
    high = check_float(name, factor, least=max(least, -most), most=most)
    return max(-abs(high), least), abs(high)


def value_pair(value_range: Any) -> Range:
    """The least and the greatest value of a pixel."""
    if not isinstance(value_range, (list, tuple)) or len(value_range) != 2:
        raise ValueError(f"value_range must be a pair, as (0, 1) or (0, 255), got {value_range!r}.")
    low, high = sorted(check_float("value_range", one) for one in value_range)
    return low, high
