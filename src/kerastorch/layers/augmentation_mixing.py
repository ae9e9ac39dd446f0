"""MixUp and CutMix: random mixing of the images of a batch and of their labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.layers.augmentation import AugmentationOptions, RandomImageLayer, Range, factor_range
from kerastorch.layers.augmentation_color import sample_rectangles
from kerastorch.layers.labelled_images import LabelledImages
from kerastorch.layers.random_generator import at_least_float32
from kerastorch.symbolic.symbolic_tensor import has_symbols

_ENTRIES = {"images", "labels", "bounding_boxes", "segmentation_masks"}
_USAGE = "It cannot be part of a model: call it on a batch, in train_step or in the collate_fn of a DataLoader."


class _BatchMixing(RandomImageLayer):
    """Layer that mixes each image of a batch with another image of the batch, and what belongs to them, in training.

    Args:
        options: Constructor arguments of the layer.
    """

    def __init__(self, options: AugmentationOptions) -> None:
        super().__init__(options)
        self.ensure_built()  # other inputs than a dict of images are an error of `forward`

    def build(self, *input_shapes: Any) -> None:
        """Do nothing, because the layer has no weights."""

    def __call__(self, data: Any) -> Any:
        """Mix a batch.

        Raises:
            TypeError: `data` contains a symbolic tensor: the layer cannot be part of a model.
        """
        if has_symbols(data):
            raise TypeError(f"{type(self).__name__} was called on a symbolic tensor. {_USAGE}")
        return super().__call__(data)

    def forward(self, x: Any) -> Any:
        """Return the mixed batch in training, and the images as floats in evaluation.

        Args:
            x: `{"images": ..., "labels": ...}`, and boxes and masks as in other layers over images.

        Raises:
            TypeError: Not such a dict, no batch of images, or no floating-point labels.
        """
        if not isinstance(x, Mapping) or not {"images", "labels"} <= set(x) <= _ENTRIES:
            given = f"a dict of {sorted(map(str, x))}" if isinstance(x, Mapping) else f"a {type(x).__name__}"
            raise TypeError(
                f"{type(self).__name__} mixes images and their labels and takes {{'images': x, 'labels': y}}, "
                f"got {given}. {_USAGE}"
            )
        if getattr(x["images"], "ndim", 4) != 4:
            raise ValueError(
                f"{type(self).__name__} takes a batch of images, (batch, channels, height, width), got "
                f"{tuple(x['images'].shape)}."
            )
        return super().forward(x)

    def change(self, batch: LabelledImages) -> LabelledImages:
        """Return the batch, mixed in training."""
        x, labels = batch.images, self._check_labels(batch)
        if not self.training:
            return batch
        partners = self._draws.permutation(x.shape[0], x)  # index of the image that each image is mixed with
        share = self.sample_share(x)
        of_labels = share.to(at_least_float32(labels.dtype)).mean((1, 2, 3)).view(-1, *[1] * (labels.ndim - 1))
        masks = batch.masks
        if masks is not None and not share.dtype == torch.bool and not masks.is_floating_point():
            raise TypeError(
                f"{type(self).__name__} takes segmentation_masks as floats, such as one-hot rows, got {masks.dtype}."
            )
        mixed = replace(
            batch,
            images=_blend(x, x[partners], share),
            labels=_blend(labels, labels[partners], of_labels),
            masks=None if masks is None else _blend(masks, masks[partners], share),
        )
        return mixed if batch.boxes is None else self.mix_boxes(mixed, partners)

    @abstractmethod
    def sample_share(self, x: Tensor) -> Tensor:
        """Sample how much of each image, or which of its pixels, stay.

        Returns:
            `(batch, 1, 1, 1)` fractions, or `(batch, 1, height, width)` booleans.
        """

    @abstractmethod
    def mix_boxes(self, batch: LabelledImages, partners: Tensor) -> LabelledImages:
        """Return a batch of mixed images with the boxes of both.

        Args:
            batch: The mixed images, and the boxes of the images before.
            partners: Index of the other image for each image, `(batch,)`.
        """

    def _check_labels(self, batch: LabelledImages) -> Tensor:
        """Return the labels.

        Raises:
            TypeError: Labels that are not floats with one row for each image.
        """
        x, labels = batch.images, batch.labels
        if not isinstance(labels, Tensor) or not labels.is_floating_point() or labels.shape[:1] != x.shape[:1]:
            is_tensor = isinstance(labels, Tensor)
            given = f"{labels.dtype} of shape {tuple(labels.shape)}" if is_tensor else type(labels).__name__
            raise TypeError(
                f"{type(self).__name__} takes labels as floats, a row for each of the {len(x)} images, got {given}. "
                "Class numbers become rows by torch.nn.functional.one_hot(y, classes).float()."
            )
        return labels

    def _sample_beta(self, x: Tensor, alpha: Tensor) -> Tensor:
        """Sample a number from Beta(alpha, alpha) for each image, `(batch,)`.

        Args:
            x: Images, `(batch, channels, height, width)`.
            alpha: One number, of shape `()` or `(1,)`.
        """
        # If a and b are from Gamma(alpha), a / (a + b) is from Beta(alpha, alpha). With a small alpha, a and b
        # underflow, so their logarithms are sampled. The logarithm of a number from Gamma(alpha) is distributed as
        # log Gamma(alpha + 1) + log(uniform) / alpha.
        alpha = alpha.repeat(2, x.shape[0])
        uniform = 1 - self._draws.uniform(alpha)
        logs = self._draws.gamma(alpha + 1).log() + uniform.log() / alpha
        return (logs[0] - logs[1]).sigmoid()


class MixUp(_BatchMixing):
    """MixUp: `fraction * image + (1 - fraction) * other_image`, and the same for labels, in training.

    Source: Zhang et al. 2018. Input and output are `{"images": x, "labels": y}`, so it is called on a batch, in
    `train_step` or in the `collate_fn` of a `DataLoader`, and cannot be part of a model.

    Args:
        alpha: The fraction of each image is sampled from Beta(alpha, alpha). A smaller alpha mixes less. > 0 and <= 1.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: images `(batch, channels, height, width)`; labels `(batch, ...)`, floats such as one-hot rows. The output has
    the same shapes.

    >>> batch = {"images": torch.rand(4, 3, 8, 8), "labels": torch.eye(4)}
    >>> MixUp()(batch)["labels"].sum(1)
    tensor([1., 1., 1., 1.])
    """

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: int | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.alpha = check_float("alpha", alpha, above=0, most=1)

    def sample_share(self, x: Tensor) -> Tensor:
        fraction = self._sample_beta(x, torch.full((), self.alpha, dtype=at_least_float32(x.dtype), device=x.device))
        return fraction.view(-1, 1, 1, 1)

    def mix_boxes(self, batch: LabelledImages, partners: Tensor) -> LabelledImages:
        """Return the batch with the boxes of the image, then those of the other one."""
        boxes, labels = (
            torch.cat([one, one[partners]], 1) for one in (batch.boxes, batch.box_labels) if one is not None
        )
        return replace(batch, boxes=boxes, box_labels=labels)


class CutMix(_BatchMixing):
    """CutMix: pastes a rectangle of another image into each image and weights labels by area, in training.

    Source: Yun et al. 2019. Input and output are `{"images": x, "labels": y}`, so it is called on a batch, in
    `train_step` or in the `collate_fn` of a `DataLoader`, and cannot be part of a model.

    Args:
        factor: For each batch, alpha is uniform between 0 and `factor`, or between the numbers of a pair. For each
            image, the fraction that is not replaced is sampled from Beta(alpha, alpha). Numbers are between 0 and 1.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: images `(batch, channels, height, width)`; labels `(batch, ...)`, floats such as one-hot rows. The output has
    the same shapes. Labels are weighted by the number of replaced pixels; Keras uses the area before it is rounded to
    whole pixels.

    >>> batch = {"images": torch.rand(4, 3, 8, 8), "labels": torch.eye(4)}
    >>> CutMix()(batch)["images"].shape
    torch.Size([4, 3, 8, 8])
    """

    def __init__(
        self,
        factor: float | Range = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, 0, 1)

    def sample_share(self, x: Tensor) -> Tensor:
        alpha = self._sample_uniform(x[:1], self.factor) + 1e-6
        side = (1 - self._sample_beta(x, alpha)).sqrt()
        return ~sample_rectangles(self, x, side, side)

    def mix_boxes(self, batch: LabelledImages, partners: Tensor) -> LabelledImages:
        """Raise an error: it is not defined which part of a box that is cut in two stays.

        Raises:
            ValueError: Always.
        """
        raise ValueError("CutMix takes no bounding boxes; MixUp does.")


def _blend(x: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Return `share * x + (1 - share) * other`; a boolean `share` chooses."""
    if share.dtype == torch.bool:
        return torch.where(share, x, other)
    weight = share.to(x.dtype)
    return weight * x + (1 - weight) * other
