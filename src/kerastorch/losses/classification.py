"""Crossentropies under their Keras names, on probabilities unless `from_logits=True`."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
from kerastorch.losses.base import Loss, expand_sample_weight
from kerastorch.losses.regression import EPSILON


class ProbabilityLoss(Loss, ABC):
    """Base of the losses on probabilities, or on logits if `from_logits` is set.

    Args:
        from_logits: Whether the outputs have not been through the activation `link`.
        reduction: As in `Loss`.
        name: As in `Loss`.

    Attributes:
        label_smoothing: Share of every target, 0 to 1, that is spread evenly over the classes.
        probability_advice: End of the message for outputs that are no probabilities.
    """

    knows_shapes = True
    label_smoothing: float = 0.0
    probability_advice = "End the model in a softmax or sigmoid, or pass from_logits=True."

    def __init__(self, from_logits: bool, reduction: str | None, name: str | None) -> None:
        super().__init__(reduction, name)
        self.from_logits = from_logits

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        self._check_targets(y_true, self.align(y_true[: len(y_pred)], y_pred), y_pred)
        if not self.from_logits:
            check_probabilities(self.name, y_pred, self.probability_advice)

    @abstractmethod
    def _check_targets(self, y_true: Tensor, aligned: Tensor, y_pred: Tensor) -> None:
        """Raise an error for targets that this loss is not defined for.

        Args:
            y_true: All targets if they are in memory, else those of the first batch.
            aligned: Targets of the first batch, as `align` returns them.
            y_pred: Outputs of the first batch.
        """

    def _smooth(self, y_true: Tensor, n_classes: int) -> Tensor:
        """Return `y_true * (1 - s) + s / n_classes` for a label smoothing of `s`."""
        if not self.label_smoothing:
            return y_true
        return y_true * (1 - self.label_smoothing) + self.label_smoothing / n_classes


class BinaryCrossentropy(ProbabilityLoss):
    """`-(y log p + (1 - y) log(1 - p))` for yes-or-no questions, mean over `axis`.

    Args:
        from_logits: Whether `y_pred` has not been through a sigmoid.
        label_smoothing: `s` turns the targets 0 and 1 into `s / 2` and `1 - s / 2`.
        axis: Axis that one sample's value is the mean of.
        reduction: As in `Loss`.
        name: As in `Loss`.

    Shape: `y_true` and `y_pred` are `(batch, ...)`, targets in 0..1.

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
        super().__init__(from_logits, reduction, name)
        self.label_smoothing = check_float("label_smoothing", label_smoothing, least=0, most=1)
        self.axis = axis

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return align_values(self.name, y_true, y_pred)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        values = self._elementwise(y_true, y_pred, "none")
        return values.mean(self.axis) if values.ndim > 1 else values

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._elementwise(y_true, y_pred, "mean")

    def _elementwise(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
        y_true = self._smooth(y_true, 2)
        if self.from_logits:
            return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction=reduction)
        return binary_cross_entropy(y_pred, y_true, reduction)

    def _check_targets(self, y_true: Tensor, aligned: Tensor, y_pred: Tensor) -> None:
        check_unit(self.name, y_true)


class CategoricalCrossentropy(ProbabilityLoss):
    """`-sum(y log p)` over the classes, for targets that are one-hot or probabilities.

    Args:
        from_logits: Whether `y_pred` has not been through a softmax.
        label_smoothing: `s` turns targets `y` into `y * (1 - s) + s / classes`.
        axis: Axis of the classes. Default: the last axis, or axis 1 of channels-first images.
        reduction: As in `Loss`.
        name: As in `Loss`.

    Shape: `y_true` has the shape of `y_pred`, such as `(batch, classes)`.

    >>> CategoricalCrossentropy()(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]]))
    tensor(0.6931)
    """

    task = "multiclass"
    link = "softmax"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, reduction, name)
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
        y_true = self._smooth(y_true, y_true.shape[axis])
        return -(y_true * log_probabilities(y_pred, axis, self.from_logits)).sum(axis)

    def _check_targets(self, y_true: Tensor, aligned: Tensor, y_pred: Tensor) -> None:
        check_unit(self.name, y_true)
        if y_pred.ndim > 1 and y_pred.shape[self.class_axis_of(aligned, y_pred)] == 1:
            raise ValueError(
                f"{self.name} over one output is 0 whatever the model gives: outputs have shape {tuple(y_pred.shape)}. "
                "Give the model an output for each class, or use 'binary_crossentropy'."
            )


class SparseCategoricalCrossentropy(ProbabilityLoss):
    """`-log p[y]` for class numbers `y`.

    Args:
        from_logits: Whether `y_pred` has not been through a softmax.
        ignore_class: Class number whose samples are left out of the loss and its mean. Default: none.
        reduction: As in `Loss`.
        axis: Axis of the classes. Default: the last axis, or axis 1 of channels-first images.
        name: As in `Loss`.

    Shape: `y_true` is `(batch,)` or `(batch, 1)` for outputs `(batch, classes)`; in general it has the shape of
    `y_pred` without the class axis.

    >>> SparseCategoricalCrossentropy()(torch.tensor([1]), torch.tensor([[0.5, 0.5]]))
    tensor(0.6931)
    """

    task = "multiclass"
    link = "softmax"

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, reduction, name)
        self.ignore_class = self.ignored = ignore_class
        self.axis = self.class_axis = axis

    def align(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return align_classes(self.name, y_true, y_pred, self.class_axis_of(y_true, y_pred))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._reduced(y_true, y_pred, "none")

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.ignore_class is None:
            return self._reduced(y_true, y_pred, "mean")
        # torch's mean over no sample is NaN; here it is 0
        return self._reduced(y_true, y_pred, "sum") / self._n_counted(y_true).clamp(min=1)

    def _reduced(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
        axis = self.class_axis_of(y_true, y_pred)
        # torch always ignores one class number; without `ignore_class` it is one that no target has
        ignore_index = -(2**62) if self.ignore_class is None else self.ignore_class
        scores = y_pred if self.from_logits else log_probabilities(y_pred, axis, from_logits=False)
        if scores.ndim > 2:  # -> (batch, classes, ...); nll_loss has no gradient for channels-last memory
            scores = scores.movedim(axis, 1).contiguous()
        function = F.cross_entropy if self.from_logits else F.nll_loss
        return function(scores, y_true, ignore_index=ignore_index, reduction=reduction)

    def _n_counted(self, y_true: Tensor) -> Tensor:
        """Return the number of targets that are not `ignore_class`, a scalar tensor."""
        return torch.ne(y_true, self.ignore_class).sum()  # type: ignore[arg-type]

    def _compute(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Tensor:
        if self.ignore_class is None or sample_weight is None:
            return super()._compute(y_true, y_pred, sample_weight)
        is_counted = self.align(y_true, y_pred) != self.ignore_class
        loss = super()._compute(
            y_true, y_pred, expand_sample_weight(sample_weight, is_counted.to(y_pred.dtype)) * is_counted
        )
        if self.reduction not in ("sum_over_batch_size", "mean"):
            return loss
        # `reduce` divided by the number of all targets; the mean is over those that count
        return loss * (y_true.numel() / self._n_counted(y_true).clamp(min=1))

    def counts_rows(self, targets: Tensor | None) -> bool:
        return self.ignore_class is None and super().counts_rows(targets)

    def count(self, y_true: Tensor, sample_weight: Tensor | None) -> int | Tensor:
        if self.ignore_class is None:
            return super().count(y_true, sample_weight)
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            is_counted = (y_true != self.ignore_class).to(sample_weight.dtype)
            return (expand_sample_weight(sample_weight, is_counted) * is_counted).sum()
        return self._n_counted(y_true)

    def _check_targets(self, y_true: Tensor, aligned: Tensor, y_pred: Tensor) -> None:
        axis = self.class_axis_of(y_true[: len(y_pred)], y_pred)
        check_classes(y_true, y_pred.shape[axis], self.ignore_class)


def binary_cross_entropy(y_pred: Tensor, y_true: Tensor, reduction: str) -> Tensor:
    """Compute the binary cross-entropy of probabilities; that of NaN is NaN.

    torch's function raises an error for NaN on a CPU, and ends the process on a GPU.

    Args:
        y_pred: Probabilities; they are clipped by `EPSILON` at 0 and 1.
        y_true: Targets of the same shape, in 0..1.
        reduction: `"none"` or `"mean"`.
    """
    probabilities = y_pred.clamp(EPSILON, 1 - EPSILON)
    values = F.binary_cross_entropy(probabilities.nan_to_num(0.5), y_true, reduction=reduction)
    return values + 0 * (probabilities if reduction == "none" else probabilities.mean())


def log_probabilities(y_pred: Tensor, axis: int, from_logits: bool) -> Tensor:
    """Return `log p` along `axis`.

    Probabilities are divided by their sum and clipped to 1e-7..1 - 1e-7, as in Keras.
    """
    if from_logits:
        return torch.log_softmax(y_pred, axis)
    return (y_pred / y_pred.sum(axis, keepdim=True)).clamp(EPSILON, 1 - EPSILON).log()


def table() -> dict[str, Any]:
    """Return the crossentropies by name."""
    return {
        "binary_crossentropy": BinaryCrossentropy,
        "categorical_crossentropy": CategoricalCrossentropy,
        "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    }
