"""Correlations of targets and outputs within each sample, as classes and as functions."""

from __future__ import annotations

import torch
from torch import Tensor

from kerastorch.core.serialization import register
from kerastorch.losses.array_calls import Array, call_on_arrays
from kerastorch.losses.regression import EPSILON
from kerastorch.metrics.built_in_metric import match_shapes, widest_float
from kerastorch.metrics.reduction import MeanMetricWrapper


def pearson_correlation(y_true: Array, y_pred: Array, axis: int = -1) -> Array:
    """Return the Pearson correlation of targets and outputs along an axis.

    It is their covariance, divided by the product of their standard deviations.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
        axis: Axis of the values that are correlated.

    >>> pearson_correlation([[0.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]])
    array([1.], dtype=float32)
    """

    def compute(y_true: Tensor, y_pred: Tensor, _: None) -> Tensor:
        true, pred = _centered("pearson_correlation", y_true, y_pred, axis)
        scale = true.centered.square().mean(axis).sqrt() * pred.centered.square().mean(axis).sqrt()
        return ((true.centered * pred.centered).mean(axis) / scale).to(pred.dtype)

    return call_on_arrays(compute, y_true, y_pred)  # type: ignore[no-any-return]


def concordance_correlation(y_true: Array, y_pred: Array, axis: int = -1) -> Array:
    """Return the concordance correlation of targets and outputs along an axis (Lin 1989).

    It is `2 * covariance / (variance of y_true + variance of y_pred + (difference of the means)^2)`: the Pearson
    correlation, reduced where the values differ in scale or mean.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
        axis: Axis of the values that are correlated.
    """

    def compute(y_true: Tensor, y_pred: Tensor, _: None) -> Tensor:
        true, pred = _centered("concordance_correlation", y_true, y_pred, axis)
        variances = true.centered.square().mean(axis) + pred.centered.square().mean(axis)
        covariance = (true.centered * pred.centered).mean(axis)
        shift = (true.mean - pred.mean).square()
        return (2 * covariance / (variances + shift + EPSILON)).to(pred.dtype)

    return call_on_arrays(compute, y_true, y_pred)  # type: ignore[no-any-return]


class PearsonCorrelation(MeanMetricWrapper):
    """The mean over the samples of the Pearson correlation of their targets and outputs.

    The name `"pearson"` in `compile` is a different metric: the correlation over all samples.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
        axis: Axis of the values that are correlated, which needs several of them.

    >>> metric = PearsonCorrelation()
    >>> metric.update_state([[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]], [[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]])
    >>> metric.result()
    tensor(0.9967)
    """

    higher_is_better = True
    output_format = "values"

    def __init__(
        self, name: str | None = "pearson_correlation", dtype: str | torch.dtype | None = None, axis: int = -1
    ) -> None:
        self.axis = axis
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean over the samples of the concordance correlation of their targets and outputs.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
        axis: Axis of the values that are correlated, which needs several of them.
    """

    higher_is_better = True
    output_format = "values"

    def __init__(
        self, name: str | None = "concordance_correlation", dtype: str | torch.dtype | None = None, axis: int = -1
    ) -> None:
        self.axis = axis
        super().__init__(concordance_correlation, name, dtype, axis=axis)


class _Centered:
    """Values with their mean along an axis subtracted, in the widest float dtype."""

    def __init__(self, values: Tensor, axis: int) -> None:
        self.dtype = values.dtype
        wide = values.to(widest_float(values.device))
        self.mean = wide.mean(axis)
        self.centered = wide - wide.mean(axis, keepdim=True)


def _centered(name: str, y_true: Tensor, y_pred: Tensor, axis: int) -> tuple[_Centered, _Centered]:
    """Return targets and outputs, centered.

    Raises:
        ValueError: There is one value along the axis, which has no correlation.
    """
    y_true, y_pred = match_shapes(name, y_true.to(y_pred.dtype), y_pred)
    if y_pred.shape[axis] < 2:
        raise ValueError(
            f"{name} needs several values along axis {axis}, got outputs of shape {tuple(y_pred.shape)}. "
            "compile(metrics=['pearson']) correlates over the samples."
        )
    return _Centered(y_true, axis), _Centered(y_pred, axis)


FUNCTIONS = (pearson_correlation, concordance_correlation)
for _function in FUNCTIONS:
    register(_function, f"metrics.{_function.__name__}")
