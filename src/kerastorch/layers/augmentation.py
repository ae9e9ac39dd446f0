"""Base classes of random image augmentations, and checks of their arguments."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.layers.images import ImageLayer, ImageOptions
from kerastorch.layers.labelled_images import ImageMap, LabelledImages
from kerastorch.layers.random_generator import RandomGenerator, at_least_float32

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions(ImageOptions):
    """Options of all augmentations; the seed is that of the random numbers, `None` for torch's global generator."""

    seed: int | None = None


class RandomImageLayer(ImageLayer):
    """Image layer that samples random numbers in training.

    Args:
        options: Constructor arguments of the layer.
    """

    def __init__(self, options: AugmentationOptions) -> None:
        super().__init__(options)
        self._draws = RandomGenerator(options.seed)
        self.seed = self._draws.seed

    def _sample_uniform(self, x: Tensor, limits: Range) -> Tensor:
        """Sample one number for each image, `(batch,)`, in the dtype of `x` but at least float32."""
        samples = self._draws.uniform(x.new_empty(x.shape[0], dtype=at_least_float32(x.dtype)))
        return samples * (limits[1] - limits[0]) + limits[0]


class Augmentation(RandomImageLayer):
    """Layer that changes the values of the images of a batch at random in training; boxes and masks stay.

    A subclass defines `augment`, and `apply_in_evaluation` if evaluation changes the images, too.
    """

    def change(self, batch: LabelledImages) -> LabelledImages:
        """Return the batch with the images after `augment` in training, or `apply_in_evaluation` in evaluation."""
        return replace(batch, images=(self.augment if self.training else self.apply_in_evaluation)(batch.images))

    def augment_labelled(self, batch: LabelledImages) -> LabelledImages:
        """Return a batch after a random change."""
        return replace(batch, images=self.augment(batch.images))

    @abstractmethod
    def augment(self, x: Tensor) -> Tensor:
        """Return the images after a random change.

        Args:
            x: Floating-point images, `(batch, channels, height, width)`.
        """

    def apply_in_evaluation(self, x: Tensor) -> Tensor:
        """Return the images for evaluation, by default unchanged."""
        return x


class GeometricAugmentation(Augmentation):
    """Layer that moves the pixels of each image at random in training, and boxes and masks with them.

    A subclass defines `sample_map`, and `map_in_evaluation` if evaluation changes the images, too.
    """

    @abstractmethod
    def sample_map(self, x: Tensor) -> ImageMap:
        """Sample a change of each image, `(batch, channels, height, width)`."""

    def map_in_evaluation(self, x: Tensor) -> ImageMap | None:
        """Return the change in evaluation, by default none."""
        return None

    def change(self, batch: LabelledImages) -> LabelledImages:
        """Return the batch after the sampled change in training, or that of `map_in_evaluation` in evaluation."""
        if self.training:
            return self.augment_labelled(batch)
        found = self.map_in_evaluation(batch.images)
        return batch if found is None else batch.moved(found)

    def augment_labelled(self, batch: LabelledImages) -> LabelledImages:
        """Return a batch after a random change."""
        return batch.moved(self.sample_map(batch.images))

    def augment(self, x: Tensor) -> Tensor:
        """Return the images after a random change."""
        return self.sample_map(x).move_images(x)


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
