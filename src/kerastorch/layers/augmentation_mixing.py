"""MixUp and CutMix: each image with another of its batch, and their labels alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.layers.augmentation import Drawing, Range, factor_range, images
from kerastorch.layers.augmentation_color import rectangles
from kerastorch.layers.random_generator import at_least_float32
from kerastorch.symbolic.symbolic_tensor import has_symbols

_WHERE = "It is no layer of a model: call it on a batch, in train_step or in the collate_fn of a DataLoader."


class _Mixing(Drawing):
    def __init__(self, seed: int | None, data_format: str | None, name: str | None, trainable: bool) -> None:
        super().__init__(seed, data_format, name, trainable)
        self.ensure_built()  # nothing depends on the shape, and a dict has none

    def build(self, *input_shapes: Any) -> None:
        """Nothing: there are no parameters."""

    def __call__(self, data: Any) -> Any:
        if has_symbols(data):
            raise TypeError(f"{type(self).__name__} was called on a symbol. {_WHERE}")
        return super().__call__(data)

    def forward(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x, labels = self._checked(data)
        if not self.training:
            return {"images": x, "labels": labels}
        partners = self._draws.order(x.shape[0], x)
        x, share = self.mix(self.to_channels_first(x), partners)
        weight = share.to(labels.dtype).view(-1, *[1] * (labels.ndim - 1))
        return {"images": self.from_channels_first(x), "labels": weight * labels + (1 - weight) * labels[partners]}

    def mix(self, x: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed images `(batch, channels, height, width)`, and the share `(batch,)` that is the first's."""
        raise NotImplementedError

    def _checked(self, data: Any) -> tuple[Tensor, Tensor]:
        name = type(self).__name__
        if not isinstance(data, Mapping) or set(data) != {"images", "labels"}:
            given = f"a dict of {sorted(map(str, data))}" if isinstance(data, Mapping) else f"a {type(data).__name__}"
            raise TypeError(
                f"{name} mixes images and their labels and takes {{'images': x, 'labels': y}}, got {given}. {_WHERE}"
            )
        x, labels = images(data["images"], name), data["labels"]
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

    def _beta(self, x: Tensor, alpha: Tensor) -> Tensor:
        """From Beta(alpha, alpha), for each image."""
        # Of two numbers from Gamma(alpha), the first's part of the sum. By logarithms, since such numbers vanish where
        # alpha is small: log Gamma(alpha) is log Gamma(alpha + 1) + log(uniform) / alpha.
        alpha = alpha.repeat(2, x.shape[0])
        uniform = 1 - self._draws.uniform(alpha)
        logs = self._draws.gamma(alpha + 1).log() + uniform.log() / alpha
        return (logs[0] - logs[1]).sigmoid()


class MixUp(_Mixing):
    """`share * image + (1 - share) * other image` of the batch, and the labels alike, in training (Zhang et al. 2018).

    It takes and gives `{"images": x, "labels": y}`, so it works on batches, in `train_step` or in the `collate_fn` of
    a `DataLoader`, not inside a model.

    Args:
        alpha: the share of each image is drawn from Beta(alpha, alpha): the smaller, the more is left as it is. Above
            0, at most 1.
        data_format: `"channels_first"` (`None`) or `"channels_last"`.
        seed: see `Dropout`.
        name: see `Layer`; so is `trainable`.

    Shape: images `(batch, channels, height, width)`, labels `(batch, ...)` of floats, as one-hot rows; unchanged.

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
        super().__init__(seed, data_format, name, trainable)
        self.alpha = check_float("alpha", alpha, above=0, most=1)

    def mix(self, x: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
        share = self._beta(x, torch.full((), self.alpha, dtype=at_least_float32(x.dtype), device=x.device))
        weight = share.view(-1, 1, 1, 1).to(x.dtype)
        return weight * x + (1 - weight) * x[partners], share


class CutMix(_Mixing):
    """A rectangle of another image of the batch in each, and the labels by area, in training (Yun et al. 2019).

    It takes and gives `{"images": x, "labels": y}`, so it works on batches, in `train_step` or in the `collate_fn` of
    a `DataLoader`, not inside a model.

    Args:
        factor: alpha is drawn from 0 to `factor`, or between the two numbers of a pair, for the batch; the share that
            an image keeps from Beta(alpha, alpha). 0 to 1.
        seed: see `Dropout`.
        data_format: `"channels_first"` (`None`) or `"channels_last"`.
        name: see `Layer`; so is `trainable`.

    Shape: images `(batch, channels, height, width)`, labels `(batch, ...)` of floats, as one-hot rows; unchanged. The
    labels are weighed by the pixels that were replaced, where Keras takes the area before it is cut to whole pixels.

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
        super().__init__(seed, data_format, name, trainable)
        self.factor = factor_range("factor", factor, 0, 1)

    def mix(self, x: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
        alpha = self._uniform(x[:1], self.factor) + 1e-6
        side = (1 - self._beta(x, alpha)).sqrt()
        inside = rectangles(self, x, side, side)
        return torch.where(inside, x[partners], x), 1 - inside.to(side.dtype).mean((1, 2, 3))
