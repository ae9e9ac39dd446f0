"""The crossentropies, under their Keras names: probabilities unless `from_logits=True`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_float
from kerastorch.losses.alignment import (
    align_classes,
    align_values,
    check_classes,
    check_probabilities,
    check_unit,
)
from kerastorch.losses.base import Loss, ValueLoss, spread
from kerastorch.losses.regression import EPSILON


class BinaryCrossentropy(ValueLoss):
    """`-(y log p + (1 - y) log(1 - p))`, mean over `axis`: targets 0..1, one output a yes-or-no question.

    Args:
        from_logits: `y_pred` has not been through a sigmoid.
        label_smoothing: `s` turns the targets 0 and 1 into `s / 2` and `1 - s / 2`.
        axis: the axis that one sample's value is the mean of.
        reduction: see `Loss`.
        name: see `Loss`.

    >>> BinaryCrossentropy(from_logits=True)(torch.tensor([1.0]), torch.tensor([0.0]))
    tensor(0.6931)
    """

    task = "binary"
    link = "sigmoid"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits = from_logits
        self.label_smoothing = check_float("label_smoothing", label_smoothing, least=0, most=1)
        self.axis = axis

    def _elements(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
        if self.label_smoothing:
            y_true = y_true * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.from_logits:
            return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction=reduction)
        return F.binary_cross_entropy(y_pred.clamp(EPSILON, 1 - EPSILON), y_true, reduction=reduction)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        values = self._elements(y_true, y_pred, "none")
        return values.mean(self.axis) if values.ndim > 1 else values

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._elements(y_true, y_pred, "mean")

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        super().check(y_true, y_pred)
        check_unit(self.name, y_true)
        if not self.from_logits:
            check_probabilities(self.name, y_pred)


class CategoricalCrossentropy(Loss):
    """`-sum(y log p)` over `axis`, for targets that are one-hot or probabilities, of the outputs' shape.

    Args:
        from_logits: `y_pred` has not been through a softmax.
        label_smoothing: `s` turns targets `y` into `y * (1 - s) + s / classes`.
        axis: where the classes lie; `None` is the last axis, of channels-first images axis 1.
        reduction: see `Loss`.
        name: see `Loss`.
    """

    task = "multiclass"
    link = "softmax"
    knows_shapes = True

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits = from_logits
        self.label_smoothing = check_float("label_smoothing", label_smoothing, least=0, most=1)
        self.axis = self.class_axis = axis

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1 != y_pred.shape[-1]:
            raise ValueError(
                f"{self.name} needs y of shape {tuple(y_pred.shape)}, got {tuple(y_true.shape)}. "
                "Use 'sparse_categorical_crossentropy' for class numbers."
            )
        return align_values(self.name, y_true, y_pred)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        axis = self.class_axis_of(y_true, y_pred)
        if self.label_smoothing:
            y_true = y_true * (1 - self.label_smoothing) + self.label_smoothing / y_true.shape[axis]
        return -(y_true * log_probabilities(y_pred, axis, self.from_logits)).sum(axis)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        first = self.align(y_true[: len(y_pred)], y_pred)
        check_unit(self.name, y_true)
        if y_pred.ndim > 1 and y_pred.shape[self.class_axis_of(first, y_pred)] == 1:
            raise ValueError(
                f"{self.name} over one output is 0 whatever the model gives: outputs have shape {tuple(y_pred.shape)}. "
                "Give the model an output for each class, or use 'binary_crossentropy'."
            )
        if not self.from_logits:
            check_probabilities(self.name, y_pred)


class SparseCategoricalCrossentropy(Loss):
    """`-log p[y]` for class numbers `y`: `(batch,)` or `(batch, 1)` beside outputs `(batch, classes)`.

    Args:
        from_logits: `y_pred` has not been through a softmax.
        ignore_class: samples of this class number count nothing.
        reduction: see `Loss`.
        axis: where the classes lie; `None` is the last axis, of channels-first images axis 1.
        name: see `Loss`.
    """

    task = "multiclass"
    link = "softmax"
    knows_shapes = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits = from_logits
        self.ignore_class = self.ignored = ignore_class
        self.axis = self.class_axis = axis

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return align_classes(self.name, y_true, y_pred, self.class_axis_of(y_true, y_pred))

    def _values(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
        # torch ignores some class number always: one that no target is
        axis, ignore = self.class_axis_of(y_true, y_pred), -(2**62) if self.ignore_class is None else self.ignore_class
        scores = y_pred if self.from_logits else log_probabilities(y_pred, axis, from_logits=False)
        if scores.ndim > 2:
            scores = scores.movedim(axis, 1)
        function = F.cross_entropy if self.from_logits else F.nll_loss
        if scores.ndim > 2:
            scores = scores.contiguous()  # channels-last, torch's nll_loss has no way back
        return function(scores, y_true, ignore_index=ignore, reduction=reduction)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._values(y_true, y_pred, "none")

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.ignore_class is None:
            return self._values(y_true, y_pred, "mean")
        # over those that count; 0 where none does
        return self._values(y_true, y_pred, "sum") / self._counted(y_true).clamp(min=1)

    def _counted(self, y_true: Tensor) -> Tensor:
        return torch.ne(y_true, self.ignore_class).sum()  # type: ignore[arg-type]

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        y_true = torch.as_tensor(y_true)
        if self.ignore_class is not None and sample_weight is not None:
            counted = self.align(y_true, y_pred) != self.ignore_class
            sample_weight = spread(sample_weight, counted.to(y_pred.dtype)) * counted
        loss = super().__call__(y_true, y_pred, sample_weight)
        if self.ignore_class is None or sample_weight is None or self.reduction not in ("sum_over_batch_size", "mean"):
            return loss
        return loss * (y_true.numel() / self._counted(y_true).clamp(min=1))

    def counts_rows(self, targets: Tensor | None) -> bool:
        return self.ignore_class is None and super().counts_rows(targets)

    def count(self, y_true: Tensor, sample_weight: Tensor | None) -> int | Tensor:
        if self.ignore_class is None:
            return super().count(y_true, sample_weight)
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            counted = (y_true != self.ignore_class).to(sample_weight.dtype)
            return (spread(sample_weight, counted) * counted).sum()
        return self._counted(y_true)

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        first = y_true[: len(y_pred)]
        self.align(first, y_pred)
        check_classes(y_true, y_pred.shape[self.class_axis_of(first, y_pred)], self.ignore_class)
        if not self.from_logits:
            check_probabilities(self.name, y_pred)


def log_probabilities(y_pred: Tensor, axis: int, from_logits: bool) -> Tensor:
    """`log p`; probabilities are divided by their sum and clipped to 1e-7..1 - 1e-7, as Keras does."""
    if from_logits:
        return torch.log_softmax(y_pred, axis)
    return (y_pred / y_pred.sum(axis, keepdim=True)).clamp(EPSILON, 1 - EPSILON).log()


def table() -> dict[str, Any]:
    """Names and their classes."""
    return {
        "binary_crossentropy": BinaryCrossentropy,
        "categorical_crossentropy": CategoricalCrossentropy,
        "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    }
