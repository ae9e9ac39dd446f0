"""Losses as functions of targets and outputs, as in Keras: one value per sample, without a mean over the samples.

Each takes tensors, NumPy arrays and lists of shape `(batch, ...)`, and returns a tensor without the last axis. Two
vectors are one sample, whose loss is a scalar: `mse([1, 2], [1, 4])` is 2. Outputs that are no tensor get torch's
default dtype, float32. As `loss` of `compile`, and by name, each means the class of the same formula.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from kerastorch.core.array_conversion import to_tensors
from kerastorch.core.serialization import register
from kerastorch.losses.base import Loss
from kerastorch.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
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

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def mean_squared_error(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `mean((y_true - y_pred)^2)` over the last axis: the squared L2 distance, divided by its length.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.

    >>> mean_squared_error([[0.0, 1.0], [2.0, 2.0]], [[0.0, 3.0], [2.0, 2.0]])
    tensor([2., 0.])
    """
    return _values(MeanSquaredError("none"), y_true, y_pred)


def mean_absolute_error(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `mean(|y_true - y_pred|)` over the last axis: the L1 distance, divided by its length.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.

    >>> mean_absolute_error([[0.0, 1.0], [2.0, 2.0]], [[0.0, 3.0], [2.0, 2.0]])
    tensor([1., 0.])
    """
    return _values(MeanAbsoluteError("none"), y_true, y_pred)


def mean_absolute_percentage_error(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7))` over the last axis.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return _values(MeanAbsolutePercentageError("none"), y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `mean((log(y_true + 1) - log(y_pred + 1))^2)` over the last axis; both are clipped to at least 1e-7.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return _values(MeanSquaredLogarithmicError("none"), y_true, y_pred)


def huber(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike, delta: float = 1.0) -> Tensor:
    """Return Huber's loss over the last axis: squared for errors up to `delta`, linear for larger ones.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
        delta: Largest error that is squared, > 0.
    """
    return _values(Huber(delta, "none"), y_true, y_pred)


def log_cosh(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `mean(log(cosh(y_pred - y_true)))` over the last axis.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return _values(LogCosh("none"), y_true, y_pred)


def poisson(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `mean(y_pred - y_true * log(y_pred + 1e-7))` over the last axis.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return _values(Poisson("none"), y_true, y_pred)


def kl_divergence(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `sum(y_true * log(y_true / y_pred))` over the last axis; both are clipped to 1e-7..1.

    Args:
        y_true: Targets, `(batch, ..., classes)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return _values(KLDivergence("none").on_axis(-1), y_true, y_pred)


def cosine_similarity(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike, axis: int = -1) -> Tensor:
    """Return minus the cosine of the angle between targets and outputs: -1 for the same direction.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
        axis: Axis of the vectors that are compared.
    """
    return _values(CosineSimilarity(axis, "none"), y_true, y_pred)


def hinge(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `mean(max(1 - y_true * y_pred, 0))` over the last axis, for labels -1 and 1, or 0 and 1.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return _values(Hinge("none"), y_true, y_pred)


def squared_hinge(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `mean(max(1 - y_true * y_pred, 0)^2)` over the last axis, for labels -1 and 1, or 0 and 1.

    Args:
        y_true: Targets, `(batch, ...)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return _values(SquaredHinge("none"), y_true, y_pred)


def categorical_hinge(y_true: Tensor | ArrayLike, y_pred: Tensor | ArrayLike) -> Tensor:
    """Return `max(0, neg - pos + 1)` over the last axis, for one-hot targets.

    `pos` is the output of the true class, `neg` the largest output of the other classes.

    Args:
        y_true: One-hot targets, `(batch, ..., classes)`.
        y_pred: Outputs, in the shape of the targets.
    """
    return _values(CategoricalHinge("none").on_axis(-1), y_true, y_pred)


def binary_crossentropy(
    y_true: Tensor | ArrayLike,
    y_pred: Tensor | ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return `-mean(y log p + (1 - y) log(1 - p))` over an axis.

    Args:
        y_true: Targets in 0..1, `(batch, ...)`.
        y_pred: Probabilities, in the shape of the targets.
        from_logits: Whether `y_pred` has not been through a sigmoid.
        label_smoothing: `s` turns the targets 0 and 1 into `s / 2` and `1 - s / 2`.
        axis: Axis of the mean.

    >>> binary_crossentropy([0, 1], [0.5, 0.5])
    tensor(0.6931)
    """
    return _values(BinaryCrossentropy(from_logits, label_smoothing, axis, "none"), y_true, y_pred)


def categorical_crossentropy(
    y_true: Tensor | ArrayLike,
    y_pred: Tensor | ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return `-sum(y log p)` over the classes, for targets that are one-hot or probabilities.

    Args:
        y_true: Targets, `(batch, ..., classes)`.
        y_pred: Probabilities, in the shape of the targets.
        from_logits: Whether `y_pred` has not been through a softmax.
        label_smoothing: `s` turns targets `y` into `y * (1 - s) + s / classes`.
        axis: Axis of the classes.

    >>> categorical_crossentropy([0, 1, 0], [0.25, 0.5, 0.25])
    tensor(0.6931)
    """
    return _values(CategoricalCrossentropy(from_logits, label_smoothing, axis, "none"), y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Tensor | ArrayLike,
    y_pred: Tensor | ArrayLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """Return `-log p[y]` for class numbers `y`.

    Args:
        y_true: Class numbers, in the shape of `y_pred` without the axis of the classes, or with that axis of size 1.
        y_pred: Probabilities, `(batch, ..., classes)`.
        from_logits: Whether `y_pred` has not been through a softmax.
        ignore_class: Class number whose values are 0. Default: none.
        axis: Axis of the classes.

    >>> sparse_categorical_crossentropy([1, 0], [[0.5, 0.5], [1.0, 0.0]]).round(decimals=4)
    tensor([0.6931, 0.0000])
    """
    loss = SparseCategoricalCrossentropy(from_logits, ignore_class, "none", axis)
    return _values(loss, y_true, y_pred)


def _values(loss: Loss, y_true: Any, y_pred: Any) -> Tensor:
    """Return the values of a loss without a reduction; vectors are a single sample, except `(n, 1)` beside `(n,)`."""
    y_true, y_pred, _ = to_tensors(y_true, y_pred, None)
    if y_pred.ndim == 1 and y_true.shape == (len(y_pred), 1):
        y_pred = y_pred[:, None]
    values = loss(y_true, y_pred)
    return values.mean() if values.ndim == y_pred.ndim == 1 else values


mse, mae, mape, msle = (
    mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, mean_squared_logarithmic_error,
)  # fmt: skip
kld = kl_divergence

# function -> class of the same formula, with the same names of arguments
CLASSES: dict[Callable[..., Tensor], type[Loss]] = {
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
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
}
for _function in CLASSES:
    register(_function, f"losses.{_function.__name__}")
