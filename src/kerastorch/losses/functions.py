"""Losses as functions of targets and outputs, as in Keras: one value per sample, without a mean over the samples.

Each takes tensors, NumPy arrays and lists of shape `(batch, ...)`, and returns values without the last axis: NumPy, or
a tensor if an argument is one. Two vectors are one sample, whose loss is a single number: `mse([1, 2], [1, 4])` is 2.
Outputs that are no tensor get torch's default dtype, float32. As `loss` of `compile`, and by name, each means the class
of the same formula. The functions for classes are in `class_functions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerastorch.core.serialization import register
from kerastorch.losses import class_functions
from kerastorch.losses.array_calls import Array
from kerastorch.losses.base import Loss
from kerastorch.losses.class_functions import sample_values
from kerastorch.losses.regression import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
)


def mean_squared_error(y_true: Array, y_pred: Array) -> Array:
    """Return `mean((y_true - y_pred)^2)` over the last axis: the squared L2 distance, divided by its length.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.

    >>> mean_squared_error([[0.0, 1.0], [2.0, 2.0]], [[0.0, 3.0], [2.0, 2.0]])
    array([2., 0.], dtype=float32)
    """
    return sample_values(MeanSquaredError("none"), y_true, y_pred)


def mean_absolute_error(y_true: Array, y_pred: Array) -> Array:
    """Return `mean(|y_true - y_pred|)` over the last axis: the L1 distance, divided by its length.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.

    >>> mean_absolute_error([[0.0, 1.0], [2.0, 2.0]], [[0.0, 3.0], [2.0, 2.0]])
    array([1., 0.], dtype=float32)
    """
    return sample_values(MeanAbsoluteError("none"), y_true, y_pred)


def mean_absolute_percentage_error(y_true: Array, y_pred: Array) -> Array:
    """Return `100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7))` over the last axis.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return sample_values(MeanAbsolutePercentageError("none"), y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Array, y_pred: Array) -> Array:
    """Return `mean((log(y_true + 1) - log(y_pred + 1))^2)` over the last axis; both are clipped to at least 1e-7.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return sample_values(MeanSquaredLogarithmicError("none"), y_true, y_pred)


def huber(y_true: Array, y_pred: Array, delta: float = 1.0) -> Array:
    """Return Huber's loss over the last axis: squared for errors up to `delta`, linear for larger ones.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
        delta: Largest error that is squared, > 0.
    """
    return sample_values(Huber(delta, "none"), y_true, y_pred)


def log_cosh(y_true: Array, y_pred: Array) -> Array:
    """Return `mean(log(cosh(y_pred - y_true)))` over the last axis.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return sample_values(LogCosh("none"), y_true, y_pred)


def poisson(y_true: Array, y_pred: Array) -> Array:
    """Return `mean(y_pred - y_true * log(y_pred + 1e-7))` over the last axis.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return sample_values(Poisson("none"), y_true, y_pred)


def kl_divergence(y_true: Array, y_pred: Array) -> Array:
    """Return `sum(y_true * log(y_true / y_pred))` over the last axis; both are clipped to 1e-7..1.

    Args:
        y_true: Targets, `(batch, ..., classes)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return sample_values(KLDivergence("none").on_axis(-1), y_true, y_pred)


def cosine_similarity(y_true: Array, y_pred: Array, axis: int = -1) -> Array:
    """Return minus the cosine of the angle between targets and outputs: -1 for the same direction.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
        axis: Axis of the vectors that are compared.
    """
    return sample_values(CosineSimilarity(axis, "none"), y_true, y_pred)


def hinge(y_true: Array, y_pred: Array) -> Array:
    """Return `mean(max(1 - y_true * y_pred, 0))` over the last axis, for labels -1 and 1, or 0 and 1.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return sample_values(Hinge("none"), y_true, y_pred)


def squared_hinge(y_true: Array, y_pred: Array) -> Array:
    """Return `mean(max(1 - y_true * y_pred, 0)^2)` over the last axis, for labels -1 and 1, or 0 and 1.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return sample_values(SquaredHinge("none"), y_true, y_pred)


def categorical_hinge(y_true: Array, y_pred: Array) -> Array:
    """Return `max(0, neg - pos + 1)` over the last axis, for one-hot targets.

    `pos` is the output of the true class, `neg` the largest output of the other classes.

    Args:
        y_true: One-hot targets, `(batch, ..., classes)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return sample_values(CategoricalHinge("none").on_axis(-1), y_true, y_pred)


mse, mae, mape, msle = (
    mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, mean_squared_logarithmic_error,
)  # fmt: skip
kld = kl_divergence

# function -> class of the same formula, with the same names of arguments
CLASSES: dict[Callable[..., Any], type[Loss]] = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    mean_absolute_percentage_error: MeanAbsolutePercentageError,
    mean_squared_logarithmic_error: MeanSquaredLogarithmicError,
    huber: Huber,
    log_cosh: LogCosh,
    poisson: Poisson,
    kl_divergence: KLDivergence,
    cosine_similarity: CosineSimilarity,
    hinge: Hinge,
    squared_hinge: SquaredHinge,
    categorical_hinge: CategoricalHinge,
    **class_functions.CLASSES,
}
for _function in CLASSES:
    register(_function, f"losses.{_function.__name__}")
