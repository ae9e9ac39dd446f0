"""MixUp and CutMix: random mixing of the images of a batch and of their labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.layers.augmentation import RandomImageLayer, Range, check_images, factor_range
from kerastorch.layers.augmentation_color import sample_rectangles
from kerastorch.layers.random_generator import at_least_float32
from kerastorch.symbolic.symbolic_tensor import has_symbols

_USAGE = "It cannot be part of a model: call it on a batch, in train_step or in the collate_fn of a DataLoader."


class _BatchMixing(RandomImageLayer, ABC):
    """Layer that mixes each image of a batch with another image of the batch, and their labels, in training.

    Args:
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.
    """

    def __init__(self, *, seed: int | None, data_format: str | None, name: str | None, trainable: bool) -> None:
        super().__init__(seed=seed, data_format=data_format, name=name, trainable=trainable)
        self.ensure_built()  # the input is a dict, which has no shape to build from

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

    def forward(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the mixed images and labels in training, and the images as floats in evaluation.

        Args:
            data: `{"images": x, "labels": y}`.

        Raises:
            TypeError: Not such a dict, no batch of images, or no floating-point labels.
        """
        x, labels = self._check_data(data)
        if not self.training:
            return {"images": x, "labels": labels}
        partners = self._draws.permutation(x.shape[0], x)  # index of the image that each image is mixed with
        x, fraction = self.mix(self.to_channels_first(x), partners)
        weight = fraction.to(labels.dtype).view(-1, *[1] * (labels.ndim - 1))
        return {"images": self.from_channels_first(x), "labels": weight * labels + (1 - weight) * labels[partners]}

    @abstractmethod
    def mix(self, x: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
        """Mix each image with another one.

        Args:
            x: Images, `(batch, channels, height, width)`.
            partners: Index of the other image for each image, `(batch,)`.

        Returns:
            The mixed images, and the fraction of each that comes from `x`, `(batch,)`.
        """

    def _check_data(self, data: Any) -> tuple[Tensor, Tensor]:
        """Return the images as floats, and the labels.

        Raises:
            TypeError: Not a dict of images and labels, or labels that are not floats with one row for each image.
            ValueError: The images are not a batch.
        """
        name = type(self).__name__
        if not isinstance(data, Mapping) or set(data) != {"images", "labels"}:
            given = f"a dict of {sorted(map(str, data))}" if isinstance(data, Mapping) else f"a {type(data).__name__}"
            raise TypeError(
                f"{name} mixes images and their labels and takes {{'images': x, 'labels': y}}, got {given}. {_USAGE}"
            )
        x, labels = check_images(data["images"], name), data["labels"]
        if x.ndim != 4:
            raise ValueError(f"{name} takes a batch of images, (batch, channels, height, width), got {tuple(x.shape)}.")
        if not isinstance(labels, Tensor) or not labels.is_floating_point() or labels.shape[:1] != x.shape[:1]:
            is_tensor = isinstance(labels, Tensor)
            given = f"{labels.dtype} of shape {tuple(labels.shape)}" if is_tensor else type(labels).__name__
            raise TypeError(
                f"{name} takes labels as floats, a row for each of the {len(x)} images, got {given}. "
                "Class numbers become rows by torch.nn.functional.one_hot(y, classes).float()."
            )
        return x, labels

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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, name=name, trainable=trainable)
        self.alpha = check_float("alpha", alpha, above=0, most=1)

    def mix(self, x: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
        fraction = self._sample_beta(x, torch.full((), self.alpha, dtype=at_least_float32(x.dtype), device=x.device))
        weight = fraction.view(-1, 1, 1, 1).to(x.dtype)
        return weight * x + (1 - weight) * x[partners], fraction


class CutMix(_BatchMixing):
    """CutMix: pastes a rectangle of another image into each image and weights labels by area, in training.

    Source: Yun et al. 2019. Input and output are `{"images": x, "labels": y}`, so it is called on a batch, in
    `train_step` or in the `collate_fn` of a `DataLoader`, and cannot be part of a model.

    Args:
        factor: For each batch, alpha is uniform between 0 and `factor`, or between the numbers of a pair. For each
            image, the fraction that is not replaced is sampled from Beta(alpha, alpha). Numbers are between 0 and 1.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, name=name, trainable=trainable)
        self.factor = factor_range("factor", factor, 0, 1)

    def mix(self, x: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
        alpha = self._sample_uniform(x[:1], self.factor) + 1e-6
        side = (1 - self._sample_beta(x, alpha)).sqrt()
        inside = sample_rectangles(self, x, side, side)
        return torch.where(inside, x[partners], x), 1 - inside.to(side.dtype).mean((1, 2, 3))
