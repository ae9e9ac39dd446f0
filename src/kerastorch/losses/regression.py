"""Losses of regression, margins and divergences under their Keras names."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_float
from kerastorch.losses.base import ValueLoss

EPSILON = 1e-7  # that of Keras


def last_mean(values: Tensor) -> Tensor:
    """Return the mean over the last axis, or a vector of one value per sample unchanged."""
    return values.mean(-1) if values.ndim > 1 else values


class MeanSquaredError(ValueLoss):
    """`mean((y_true - y_pred)^2)`.

    >>> MeanSquaredError()(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
    tensor(2.5000)
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return last_mean((y_pred - y_true).square())

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.mse_loss(y_pred, y_true)


class MeanAbsoluteError(ValueLoss):
    """`mean(|y_true - y_pred|)`, also called L1."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return last_mean((y_pred - y_true).abs())

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.l1_loss(y_pred, y_true)


class MeanAbsolutePercentageError(ValueLoss):
    """`100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7))`."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return 100 * last_mean((y_true - y_pred).abs() / y_true.abs().clamp(min=EPSILON))


class MeanSquaredLogarithmicError(ValueLoss):
    """`mean((log(y_true + 1) - log(y_pred + 1))^2)`, after both are clipped to at least 1e-7."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return last_mean((y_pred.clamp(min=EPSILON).log1p() - y_true.clamp(min=EPSILON).log1p()).square())


class Huber(ValueLoss):
    """`mean(h(y_true - y_pred))`, linear in large errors (Huber 1964).

    `h(e) = e^2 / 2` if `|e| <= delta`, else `delta * (|e| - delta / 2)`.

    Args:
        delta: Largest error that is squared, > 0.
        reduction: As in `Loss`.
        name: As in `Loss`.
    """

    def __init__(
        self, delta: float = 1.0, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction, name)
        self.delta = check_float("delta", delta, above=0)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return last_mean(F.huber_loss(y_pred, y_true, reduction="none", delta=self.delta))


class LogCosh(ValueLoss):
    """`mean(log(cosh(y_pred - y_true)))`, computed without overflow."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        error = y_pred - y_true
        return last_mean(error + F.softplus(-2 * error) - math.log(2))


class Poisson(ValueLoss):
    """`mean(y_pred - y_true * log(y_pred + 1e-7))`."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return last_mean(y_pred - y_true * (y_pred + EPSILON).log())


class KLDivergence(ValueLoss):
    """`sum(y_true * log(y_true / y_pred))` over the classes, after both are clipped to 1e-7..1."""

    has_class_axis = True

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        axis = self.class_axis_of(y_true, y_pred)
        y_true, y_pred = y_true.clamp(EPSILON, 1), y_pred.clamp(EPSILON, 1)
        return (y_true * (y_true / y_pred).log()).sum(axis)


class CosineSimilarity(ValueLoss):
    """Minus the cosine of the angle between targets and outputs: -1 for the same direction.

    Args:
        axis: Axis of the vectors that are compared.
        reduction: As in `Loss`.
        name: As in `Loss`.
    """

    def __init__(self, axis: int = -1, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        super().__init__(reduction, name)
        self.axis = axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return -(F.normalize(y_true, dim=self.axis) * F.normalize(y_pred, dim=self.axis)).sum(self.axis)


class Hinge(ValueLoss):
    """`mean(max(1 - y_true * y_pred, 0))` for labels -1 and 1.

    Labels 0 and 1 are converted to -1 and 1.
    """

    task = "binary"
    margins = True

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return last_mean(_margin_error(y_true, y_pred))


class SquaredHinge(ValueLoss):
    """`mean(max(1 - y_true * y_pred, 0)^2)` for labels -1 and 1.

    Labels 0 and 1 are converted to -1 and 1.
    """

    task = "binary"
    margins = True

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return last_mean(_margin_error(y_true, y_pred).square())


class CategoricalHinge(ValueLoss):
    """`max(0, neg - pos + 1)` for one-hot targets, in the shape of the outputs.

    `pos` is the output of the true class, `neg` the largest output of the other classes.
    """

    task = "multiclass"

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        axis = self.class_axis_of(y_true, y_pred)
        positive = (y_true * y_pred).sum(axis)
        negative = ((1 - y_true) * y_pred).amax(axis)
        return (negative - positive + 1).clamp(min=0)


def _margin_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return `max(1 - y_true * y_pred, 0)`; if all labels are 0 or 1, they become -1 and 1."""
    is_zero_one = ((y_true == 0) | (y_true == 1)).all()
    return (1 - torch.where(is_zero_one, 2 * y_true - 1, y_true) * y_pred).clamp(min=0)


def table() -> dict[str, Any]:
    """Return the losses of this file by name, with Keras' aliases."""
    return {
        "mean_squared_error": MeanSquaredError, "mse": MeanSquaredError,
        "mean_absolute_error": MeanAbsoluteError, "mae": MeanAbsoluteError,
        "mean_absolute_percentage_error": MeanAbsolutePercentageError, "mape": MeanAbsolutePercentageError,
        "mean_squared_logarithmic_error": MeanSquaredLogarithmicError, "msle": MeanSquaredLogarithmicError,
        "huber": Huber, "log_cosh": LogCosh, "logcosh": LogCosh, "poisson": Poisson,
        "kl_divergence": KLDivergence, "kld": KLDivergence, "kullback_leibler_divergence": KLDivergence,
        "cosine_similarity": CosineSimilarity, "hinge": Hinge, "squared_hinge": SquaredHinge,
        "categorical_hinge": CategoricalHinge,
    }  # fmt: skip
