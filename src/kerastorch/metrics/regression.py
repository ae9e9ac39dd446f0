"""Metrics of predicted values: mean errors, cosine similarity, and R2."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch import losses
from kerastorch.core.errors import check_int, mismatch, warn
from kerastorch.metrics.built_in_metric import BuiltInMetric, match_shapes, spread_weight, widest_float
from kerastorch.metrics.reduction import Mean, MeanMetricWrapper
from kerastorch.metrics.variable import MetricVariable


class _MeanError(MeanMetricWrapper):
    """Base of the means of errors of single values."""

    higher_is_better = False
    output_format = "values"
    is_elementwise = True


class MeanSquaredError(_MeanError):
    """The mean of `(y_true - y_pred)^2`.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = MeanSquaredError()
    >>> metric.update_state([[0, 1], [0, 0]], [[1.0, 1.0], [0.0, 0.0]], sample_weight=[1, 0])
    >>> metric.result()
    tensor(0.5000)
    """

    def __init__(self, name: str | None = "mean_squared_error", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class MeanAbsoluteError(_MeanError):
    """The mean of `|y_true - y_pred|`.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    def __init__(self, name: str | None = "mean_absolute_error", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(_MeanError):
    """The mean of `100 * |y_true - y_pred| / max(|y_true|, 1e-7)`.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    def __init__(
        self, name: str | None = "mean_absolute_percentage_error", dtype: str | torch.dtype | None = None
    ) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(_MeanError):
    """The mean of `(log(y_true + 1) - log(y_pred + 1))^2`, after both are clipped to at least 1e-7.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    def __init__(
        self, name: str | None = "mean_squared_logarithmic_error", dtype: str | torch.dtype | None = None
    ) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(_MeanError):
    """The mean of `log(cosh(y_pred - y_true))`.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    def __init__(self, name: str | None = "logcosh", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


class RootMeanSquaredError(Mean):
    """The square root of the mean of `(y_true - y_pred)^2`.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = RootMeanSquaredError()
    >>> metric.update_state([[0, 1], [0, 0]], [[1.0, 1.0], [0.0, 0.0]])
    >>> metric.result()
    tensor(0.5000)
    """

    higher_is_better = False
    output_format = "values"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add one batch.

        Args:
            y_true: Targets, `(batch, ...)`.
            y_pred: Outputs, in the shape of the targets.
            sample_weight: `(batch,)` or more of the axes of the outputs. Default: 1 each.
        """
        y_true, y_pred, weight = self.convert(y_true, y_pred, sample_weight)
        y_true, y_pred = match_shapes(self.name, y_true, y_pred)
        super().update_state((y_pred - y_true).square(), weight)

    def result(self) -> Tensor:
        """Return the root of the mean."""
        return super().result().sqrt()


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between targets and outputs: 1 for the same direction.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
        axis: Axis of the vectors that are compared.

    >>> metric = CosineSimilarity(axis=1)
    >>> metric.update_state([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]])
    >>> metric.result()
    tensor(0.5000)
    """

    higher_is_better = True
    output_format = "values"

    def __init__(
        self, name: str | None = "cosine_similarity", dtype: str | torch.dtype | None = None, axis: int = -1
    ) -> None:
        self.axis = axis
        super().__init__(_cosine, name, dtype, axis=axis)


class R2Score(BuiltInMetric):
    """`1 - sum((y_true - y_pred)^2) / sum((y_true - mean(y_true))^2)`, the coefficient of determination.

    Args:
        class_aggregation: Which number is made of the scores of the columns. `'uniform_average'`: their mean.
            `'variance_weighted_average'`: their mean, weighted by the variances of the targets. `None`: a vector.
        num_regressors: If above 0, the adjusted score for this number of independent inputs.
        name: As in `Metric`.
        dtype: As in `Metric`.

    Shape: `y_true` and `y_pred` are `(batch, columns)`.

    >>> metric = R2Score()
    >>> metric.update_state([[1], [4], [3]], [[2.0], [4.0], [4.0]])
    >>> metric.result()
    tensor(0.5714)
    """

    higher_is_better = True
    output_format = "values"
    squared_sum: MetricVariable
    sum: MetricVariable
    total_mse: MetricVariable
    count: MetricVariable

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: str | torch.dtype | None = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            expected = "'uniform_average', 'variance_weighted_average' or None"
            raise mismatch("class_aggregation", class_aggregation, expected)
        self.class_aggregation = class_aggregation
        self.num_regressors = check_int("num_regressors", num_regressors, 0)
        self.num_samples = self.add_sum("num_samples")
        self._n_columns: int | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add one batch.

        Args:
            y_true: Targets, `(batch, columns)`.
            y_pred: Outputs, in the shape of the targets.
            sample_weight: `(batch,)`. Default: 1 each.

        Raises:
            ValueError: The shapes do not fit.
        """
        y_true, y_pred, weight = self.convert(y_true, y_pred, sample_weight)
        y_pred = y_pred.unsqueeze(-1) if y_pred.ndim == 1 else y_pred
        y_true, y_pred = match_shapes(self.name, y_true, y_pred)
        if y_pred.ndim != 2:
            raise ValueError(f"{self.name} needs outputs of shape (batch, columns), got {tuple(y_pred.shape)}.")
        self._build(y_pred)
        dtype = widest_float(y_pred.device)
        y_true, y_pred = y_true.to(dtype), y_pred.to(dtype)
        factor = torch.ones_like(y_true) if weight is None else spread_weight(self.name, weight, y_true.shape)
        self.sum.assign_add((y_true * factor).sum(0))
        self.squared_sum.assign_add((y_true.square() * factor).sum(0))
        self.total_mse.assign_add(((y_true - y_pred).square() * factor).sum(0))
        self.count.assign_add(factor.sum(0))
        self.num_samples.assign_add(y_true.numel())

    def _build(self, y_pred: Tensor) -> None:
        """Create the variables at the first batch."""
        if self._n_columns is None:
            self._n_columns = y_pred.shape[1]
            for attribute, name in (
                ("squared_sum", "squared_sum"), ("sum", "sum"), ("total_mse", "residual"), ("count", "count"),
            ):  # fmt: skip
                setattr(self, attribute, self.add_sum(name, (self._n_columns,)))
            self.to(y_pred.device)
        elif self._n_columns != y_pred.shape[1]:
            raise ValueError(f"{self.name} was given {self._n_columns} columns before, and now {y_pred.shape[1]}.")

    def result(self) -> Tensor:
        """Return the score, or with `class_aggregation=None` a vector of one for each column.

        Warns:
            UserWarning: There are too few samples for the adjusted score; the score is not adjusted.
        """
        if self._n_columns is None:  # no batch yet
            return self.finish(torch.zeros(()))
        variation = self.squared_sum - self.sum * self.sum / self.count
        scores = 1 - self.total_mse / variation
        scores = scores.where(~scores.isinf(), 0.0)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (variation * scores).sum() / variation.sum()
        return self.finish(self._adjusted(scores) if self.num_regressors else scores)

    def _adjusted(self, score: Tensor) -> Tensor:
        """Return `1 - (1 - score) * (n - 1) / (n - num_regressors - 1)`."""
        n = float(self.num_samples)
        if self.num_regressors >= n - 1:
            warn(
                f"{self.name}: the adjusted score for num_regressors={self.num_regressors} needs more than "
                f"{self.num_regressors + 1} values, there are {n:g}; the score is not adjusted."
            )
            return score
        return 1 - (1 - score) * (n - 1) / (n - self.num_regressors - 1)


def _cosine(y_true: Tensor, y_pred: Tensor, axis: int) -> Tensor:
    """Return the cosine, which is minus the loss."""
    return -losses.cosine_similarity(y_true, y_pred, axis)
