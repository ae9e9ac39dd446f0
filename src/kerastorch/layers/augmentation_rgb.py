"""Random changes of the colors of RGB images: hue, saturation, shades of gray, and RandomColorJitter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.layers.augmentation import Augmentation, AugmentationOptions, Range, factor_range, value_pair
from kerastorch.layers.augmentation_color import RandomBrightness, RandomContrast
from kerastorch.layers.color_spaces import check_rgb, hsv_to_rgb, rgb_to_gray, rgb_to_hsv
from kerastorch.layers.random_generator import at_least_float32


class RandomHue(Augmentation):
    """Random hue: turns the colors of each image around the color circle, in training.

    Args:
        factor: The turn, as a fraction of half the circle, is uniform between 0 and `factor`, or between the numbers of
            a pair, in either direction. All numbers are between 0 and 1.
        value_range: Lowest and highest value of a pixel.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, 3, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomHue(0.0, value_range=(0, 1))(torch.tensor([[[[0.2]], [[0.4]], [[0.6]]]])).flatten()
    tensor([0.2000, 0.4000, 0.6000])
    """

    def __init__(
        self,
        factor: float | Range,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, 0, 1)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        turn = self._sample_uniform(x, self.factor) / 2
        turn = torch.where(self._sample_uniform(x, (0.0, 1.0)) > 0.5, -turn, turn).view(-1, 1, 1)
        unit = (check_rgb(x, type(self).__name__).to(turn.dtype) - low) / (high - low)
        hue, saturation, value = rgb_to_hsv(unit)
        changed = hsv_to_rgb((hue + turn).remainder(1), saturation, value).clamp(0, 1)
        return (changed * (high - low) + low).to(x.dtype)


class RandomSaturation(Augmentation):
    """Random saturation: multiplies the saturation of each image, in training.

    Args:
        factor: `u` is uniform between 0 and `factor`, or between the numbers of a pair, and the saturation is
            multiplied by `u / (1 - u)`: 0 gives gray images, 0.5 leaves them as they are. Numbers are between 0 and 1.
        value_range: Lowest and highest value of a pixel.
        data_format: `"channels_first"` (default) or `"channels_last"`; for all other arguments, see `RandomHue`.

    Shape: `(batch, 3, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats. A saturation above 1 becomes 1.

    >>> RandomSaturation((0.0, 0.0), value_range=(0, 1))(torch.tensor([[[[0.2]], [[0.4]], [[0.6]]]])).flatten()
    tensor([0.6000, 0.6000, 0.6000])
    """

    def __init__(
        self,
        factor: float | Range,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, 0, 1)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        low = self.value_range[0]
        sample = self._sample_uniform(x, self.factor)
        ratio = (sample / (1 - sample).clamp_min(1e-7)).view(-1, 1, 1)
        hue, saturation, value = rgb_to_hsv(check_rgb(x, type(self).__name__).to(sample.dtype) - low)
        return (hsv_to_rgb(hue, (saturation * ratio).clamp(0, 1), value) + low).to(x.dtype)


class RandomColorDegeneration(Augmentation):
    """Random fading: `x + degree * (gray - x)`, with the same gray in all channels, in training.

    Args:
        factor: The degree of each image is uniform between 0 and `factor`, or between the numbers of a pair. 0 leaves
            images as they are, 1 makes them gray.
        value_range: Lowest and highest value of a pixel; the result is clipped to this range.
        data_format: `"channels_first"` (default) or `"channels_last"`; for all other arguments, see `RandomHue`.

    Shape: `(batch, 3, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomColorDegeneration((1.0, 1.0))(torch.full((1, 3, 1, 1), 100.0)).flatten().round()
    tensor([100., 100., 100.])
    """

    def __init__(
        self,
        factor: float | Range,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, 0, 1)
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        degree = self._sample_uniform(x, self.factor).view(-1, 1, 1, 1).to(x.dtype)
        gray = rgb_to_gray(check_rgb(x, type(self).__name__))
        return (x + degree * (gray - x)).clamp(*self.value_range)


class RandomGrayscale(Augmentation):
    """Random grayscale: an image becomes gray with a probability, in training; it keeps its three channels.

    Args:
        factor: The probability, 0 to 1.
        data_format: `"channels_first"` (default) or `"channels_last"`; for all other arguments, see `RandomHue`.

    Shape: `(batch, 3, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomGrayscale(1.0)(torch.tensor([[[[1.0]], [[0.0]], [[0.0]]]])).flatten()
    tensor([0.2989, 0.2989, 0.2989])
    """

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = check_float("factor", factor, least=0, most=1)

    def augment(self, x: Tensor) -> Tensor:
        is_gray = self._sample_uniform(x, (0.0, 1.0)) < self.factor
        return torch.where(is_gray.view(-1, 1, 1, 1), rgb_to_gray(check_rgb(x, type(self).__name__)), x)


class RandomColorJitter(Augmentation):
    """Random brightness, contrast, saturation and hue, in this order, in training.

    Args:
        value_range: Lowest and highest value of a pixel.
        brightness_factor: `factor` of `RandomBrightness`; `None` leaves the brightness as it is.
        contrast_factor: `factor` of `RandomContrast`; `None` leaves the contrast as it is.
        saturation_factor: `factor` of `RandomSaturation`; `None` leaves the saturation as it is.
        hue_factor: `factor` of `RandomHue`; `None` leaves the hue as it is.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, 3, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomColorJitter((0, 1), brightness_factor=0.2, hue_factor=0.1)(torch.rand(4, 3, 8, 8)).shape
    torch.Size([4, 3, 8, 8])
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        brightness_factor: float | Range | None = None,
        contrast_factor: float | Range | None = None,
        saturation_factor: float | Range | None = None,
        hue_factor: float | Range | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.value_range = value_pair(value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        kinds: tuple[tuple[Any, Any], ...] = (
            (RandomBrightness, brightness_factor),
            (RandomContrast, contrast_factor),
            (RandomSaturation, saturation_factor),
            (RandomHue, hue_factor),
        )
        self.steps = torch.nn.ModuleList(
            kind(
                factor,
                self.value_range,
                data_format="channels_first",
                seed=None if self.seed is None else self.seed + number,  # other numbers for each kind of change
            )
            for number, (kind, factor) in enumerate(kinds)
            if factor is not None
        )

    def build(self, input_shape: torch.Size) -> None:
        """Build the changes."""
        for step in self.steps:
            step.ensure_built(input_shape)  # type: ignore[operator]

    def augment(self, x: Tensor) -> Tensor:
        wide = x.to(at_least_float32(x.dtype))
        for step in self.steps:
            wide = step.augment(wide)  # type: ignore[operator]
        return wide.to(x.dtype)
