"""RandAugment and AugMix: random sequences of changes of images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_choice, check_float, check_int
from kerastorch.layers.augmentation import Augmentation, AugmentationOptions, Range, factor_range, value_pair
from kerastorch.layers.augmentation_color import RandomBrightness, RandomContrast
from kerastorch.layers.augmentation_filters import RandomSharpness
from kerastorch.layers.augmentation_geometry import RandomRotation, RandomShear, RandomTranslation
from kerastorch.layers.augmentation_rgb import RandomColorDegeneration
from kerastorch.layers.augmentation_values import RandomPosterization, Solarization
from kerastorch.layers.color_spaces import check_rgb
from kerastorch.layers.histogram_contrast import AutoContrast, Equalization
from kerastorch.layers.labelled_images import LabelledImages
from kerastorch.layers.random_generator import at_least_float32


class _AugmentationPolicy(Augmentation):
    """Augmentation that applies changes from a list, chosen for each image.

    All changes of the list are computed for all images, and each image gets the one that it has drawn: nothing is read
    from the device.
    """

    steps: nn.ModuleList

    def build(self, input_shape: torch.Size) -> None:
        """Build the changes."""
        for step in self.steps:
            step.ensure_built(input_shape)  # type: ignore[operator]

    def _make_steps(self, factor: Range, value_range: Range, interpolation: str, changes_colors: bool) -> None:
        """Create the changes; with a seed, each has other random numbers."""
        values = {"value_range": value_range}
        shape = {"interpolation": interpolation}
        kinds: list[tuple[Any, dict[str, Any]]] = [
            (RandomShear, {"x_factor": factor, "y_factor": factor} | shape),
            (RandomTranslation, {"height_factor": factor, "width_factor": factor} | shape),
            (RandomRotation, {"factor": factor} | shape),
            (Solarization, {"addition_factor": factor, "threshold_factor": factor} | values),
            (RandomPosterization, {"factor": max(1, int(8 * factor[1]))} | values),
        ]
        if changes_colors:
            colors = (RandomBrightness, RandomColorDegeneration, RandomContrast, RandomSharpness)
            kinds += [(kind, {"factor": factor} | values) for kind in colors]
        seeds = [None if self.seed is None else self.seed + number for number in range(1, len(kinds) + 1)]
        made = [
            kind(**arguments, seed=seed, data_format="channels_first")
            for (kind, arguments), seed in zip(kinds, seeds, strict=True)
        ]
        of_histograms = [AutoContrast(value_range, data_format="channels_first")]
        self.steps = nn.ModuleList([*made, *of_histograms, Equalization(value_range, data_format="channels_first")])

    def _apply_one(self, batch: LabelledImages) -> LabelledImages:
        """Return the images, with boxes and masks, after one change each, drawn from the list."""
        x = batch.images
        chosen = self._sample_uniform(x, (0.0, float(len(self.steps)))).long().clamp_max(len(self.steps) - 1)
        found = batch
        for number, step in enumerate(self.steps):
            found = step.augment_labelled(batch).chosen(chosen == number, found)  # type: ignore[operator]
        return found


class RandAugment(_AugmentationPolicy):
    """RandAugment: some changes in a row, drawn for each image, in training (Cubuk et al. 2020).

    The changes are shear, translation, rotation, brightness, contrast, sharpness, fading, solarization, posterization,
    `AutoContrast` and `Equalization`. Keras draws them for a batch, and here each image has its own.

    Args:
        value_range: Lowest and highest value of a pixel.
        num_ops: Number of changes of an image.
        factor: Strength of the changes, 0 to 1; for a pair, numbers between both are drawn.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, 3, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandAugment((0, 1))(torch.rand(4, 3, 16, 16)).shape
    torch.Size([4, 3, 16, 16])
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        num_ops: int = 2,
        factor: float | Range = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.value_range = value_pair(value_range)
        self.num_ops = check_int("num_ops", num_ops)
        self.factor = factor_range("factor", factor, 0, 1)
        self.interpolation = check_choice("interpolation", interpolation, ("nearest", "bilinear"))
        self._make_steps(self.factor, self.value_range, self.interpolation, changes_colors=True)

    def change(self, batch: LabelledImages) -> LabelledImages:
        """Return the batch after `num_ops` changes in training, and unchanged in evaluation."""
        return self.augment_labelled(batch) if self.training else batch

    def augment_labelled(self, batch: LabelledImages) -> LabelledImages:
        """Return a batch after random changes."""
        x = check_rgb(batch.images, type(self).__name__)
        found = replace(batch, images=x.to(at_least_float32(x.dtype)))
        for _ in range(self.num_ops):
            found = self._apply_one(found)
        return replace(found, images=found.images.to(x.dtype))

    def augment(self, x: Tensor) -> Tensor:
        """Return the images after random changes."""
        return self.augment_labelled(LabelledImages(x)).images


class AugMix(_AugmentationPolicy):
    """AugMix: mean of an image and of several chains of changes of it, in training (Hendrycks et al. 2020).

    The changes are those of `RandAugment`. Boxes and masks stay as they are, as in Keras, since an image is a mean.

    Args:
        value_range: Lowest and highest value of a pixel.
        num_chains: Number of chains.
        chain_depth: Largest number of changes in a chain; each chain of each image has 1 to `chain_depth`.
        factor: Strength of the changes, 0 to 1; for a pair, numbers between both are drawn.
        alpha: The weights of the chains are from a Dirichlet distribution, and the weight of the image from a Beta
            distribution, with this parameter.
        all_ops: Whether brightness, contrast, sharpness and fading are among the changes, too.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, 3, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> AugMix((0, 1))(torch.rand(4, 3, 16, 16)).shape
    torch.Size([4, 3, 16, 16])
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: float | Range = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.value_range = value_pair(value_range)
        self.num_chains, self.chain_depth = check_int("num_chains", num_chains), check_int("chain_depth", chain_depth)
        self.factor = factor_range("factor", factor, 0, 1)
        self.alpha = check_float("alpha", alpha, above=0)
        self.all_ops = all_ops
        self.interpolation = check_choice("interpolation", interpolation, ("nearest", "bilinear"))
        self._make_steps(self.factor, self.value_range, self.interpolation, changes_colors=all_ops)

    def augment(self, x: Tensor) -> Tensor:
        wide = check_rgb(x, type(self).__name__).to(at_least_float32(x.dtype))
        weights = self._draws.gamma(wide.new_full((self.num_chains + 2, x.shape[0], 1, 1, 1), self.alpha)) + 1e-12
        chains, pair = weights[2:] / weights[2:].sum(0), weights[:2] / weights[:2].sum(0)
        mixed = torch.zeros_like(wide)
        for weight in chains.unbind():
            mixed = mixed + weight * self._apply_chain(wide)
        return (pair[0] * wide + pair[1] * mixed).to(x.dtype)

    def _apply_chain(self, x: Tensor) -> Tensor:
        length = self._sample_uniform(x, (1.0, self.chain_depth + 1.0)).floor().view(-1, 1, 1, 1)
        y = x
        for number in range(self.chain_depth):
            y = torch.where(length > number, self._apply_one(LabelledImages(y)).images, y)
        return y
