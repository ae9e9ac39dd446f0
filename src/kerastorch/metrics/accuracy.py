"""Accuracies: the fraction of predictions that equal their targets, as classes and as functions."""

from __future__ import annotations

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, check_int
from kerastorch.core.serialization import register
from kerastorch.losses.array_calls import Array, call_on_arrays
from kerastorch.metrics.built_in_metric import match_shapes
from kerastorch.metrics.reduction import MeanMetricWrapper


def binary_accuracy(y_true: Array, y_pred: Array, threshold: float = 0.5) -> Array:
    """Return 1 for each output that is on the side of the threshold that its label says, else 0.

    Args:
        y_true: Labels 0 and 1, `(batch, ...)`.
        y_pred: Outputs, in the shape of the labels.
        threshold: An output above it means 1.

    >>> binary_accuracy([[1], [1], [0]], [[0.9], [0.2], [0.5]])
    array([[1.],
           [0.],
           [1.]], dtype=float32)
    """

    def compute(y_true: Tensor, y_pred: Tensor, _: None) -> Tensor:
        y_true, y_pred = match_shapes("binary_accuracy", y_true, y_pred)
        return ((y_pred > threshold) == y_true.to(y_pred.dtype)).to(_float(y_pred))

    return call_on_arrays(compute, y_true, y_pred)  # type: ignore[no-any-return]


def categorical_accuracy(y_true: Array, y_pred: Array) -> Array:
    """Return 1 for each sample whose largest output and largest target are of one class, else 0.

    Args:
        y_true: One-hot targets, `(batch, ..., classes)`.
        y_pred: Scores of the classes, in the shape of the targets.

    >>> categorical_accuracy([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.0]])
    array([0., 1.], dtype=float32)
    """

    def compute(y_true: Tensor, y_pred: Tensor, _: None) -> Tensor:
        y_true, y_pred = match_shapes("categorical_accuracy", y_true, y_pred)
        return (y_true.to(y_pred.dtype).argmax(-1) == y_pred.argmax(-1)).to(_float(y_pred))

    return call_on_arrays(compute, y_true, y_pred)  # type: ignore[no-any-return]


def sparse_categorical_accuracy(y_true: Array, y_pred: Array) -> Array:
    """Return 1 for each sample whose largest output is that of its class number, else 0.

    Args:
        y_true: Class numbers, `(batch, ...)` or `(batch, ..., 1)`.
        y_pred: Scores of the classes, `(batch, ..., classes)`.

    >>> sparse_categorical_accuracy([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0.0]])
    array([0., 1.], dtype=float32)
    """

    def compute(y_true: Tensor, y_pred: Tensor, _: None) -> Tensor:
        y_true = _class_numbers("sparse_categorical_accuracy", y_true, y_pred)
        return (y_pred.argmax(-1).to(y_true.dtype) == y_true).to(_float(y_pred))

    return call_on_arrays(compute, y_true, y_pred)  # type: ignore[no-any-return]


def top_k_categorical_accuracy(y_true: Array, y_pred: Array, k: int = 5) -> Array:
    """Return 1 for each sample whose class is among the `k` largest outputs, else 0.

    Args:
        y_true: One-hot targets, `(batch, ..., classes)`.
        y_pred: Scores of the classes, in the shape of the targets.
        k: Number of outputs, at most that of the classes.
    """

    def compute(y_true: Tensor, y_pred: Tensor, _: None) -> Tensor:
        y_true, y_pred = match_shapes("top_k_categorical_accuracy", y_true, y_pred)
        return _in_top_k(y_true.to(y_pred.dtype).argmax(-1), y_pred, k)

    return call_on_arrays(compute, y_true, y_pred)  # type: ignore[no-any-return]


def sparse_top_k_categorical_accuracy(y_true: Array, y_pred: Array, k: int = 5, from_sorted_ids: bool = False) -> Array:
    """Return 1 for each sample whose class number is among the `k` largest outputs, else 0.

    Args:
        y_true: Class numbers, `(batch, ...)`.
        y_pred: Scores of the classes, `(batch, ..., classes)`; or class numbers in the order of their scores.
        k: Number of outputs, at most that of the classes.
        from_sorted_ids: Whether `y_pred` holds class numbers, from the highest score to the lowest.
    """

    def compute(y_true: Tensor, y_pred: Tensor, _: None) -> Tensor:
        y_true = _class_numbers("sparse_top_k_categorical_accuracy", y_true, y_pred)
        if not from_sorted_ids:
            return _in_top_k(y_true.to(torch.int64), y_pred, k)
        _check_k(k, y_pred)
        return (y_pred[..., :k] == y_true.unsqueeze(-1)).any(-1).to(_float(y_pred))

    return call_on_arrays(compute, y_true, y_pred)  # type: ignore[no-any-return]


class Accuracy(MeanMetricWrapper):
    """The fraction of outputs that equal their targets, such as class numbers.

    The name `"accuracy"` in `compile` is a different metric: it compares classes or yes-or-no answers, depending on the
    loss.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = Accuracy()
    >>> metric.update_state([1, 2, 3, 4], [0, 2, 3, 4])
    >>> metric.result()
    tensor(0.7500)
    """

    higher_is_better = True
    is_elementwise = True

    def __init__(self, name: str | None = "accuracy", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(_equal, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """The fraction of yes-or-no questions that are answered as their labels say.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
        threshold: An output above it means 1. A threshold of 0 is one for logits.

    >>> metric = BinaryAccuracy()
    >>> metric.update_state([[1], [1], [0], [0]], [[0.98], [1.0], [0.0], [0.6]])
    >>> metric.result()
    tensor(0.7500)
    """

    higher_is_better = True
    output_format = "probabilities"
    is_elementwise = True

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: str | torch.dtype | None = None, threshold: float = 0.5
    ) -> None:
        self.threshold = check_float("threshold", threshold)
        super().__init__(binary_accuracy, name, dtype, threshold=self.threshold)

    @property
    def takes_logits(self) -> bool:
        """Whether the threshold is one for logits."""
        return not 0 < self.threshold < 1


class CategoricalAccuracy(MeanMetricWrapper):
    """The fraction of samples whose largest output is that of their class, for one-hot targets.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    higher_is_better = True
    output_format = "scores"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: str | torch.dtype | None = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """The fraction of samples whose largest output is that of their class number.

    Args:
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = SparseCategoricalAccuracy()
    >>> metric.update_state([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0.0]])
    >>> metric.result()
    tensor(0.5000)
    """

    higher_is_better = True
    output_format = "scores"

    def __init__(
        self, name: str | None = "sparse_categorical_accuracy", dtype: str | torch.dtype | None = None
    ) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The fraction of samples whose class is among the `k` largest outputs, for one-hot targets.

    Args:
        k: Number of outputs, at most that of the classes.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    higher_is_better = True
    output_format = "scores"

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: str | torch.dtype | None = None
    ) -> None:
        self.k = check_int("k", k)
        super().__init__(top_k_categorical_accuracy, name, dtype, k=self.k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The fraction of samples whose class number is among the `k` largest outputs.

    Args:
        k: Number of outputs, at most that of the classes.
        name: As in `Metric`.
        dtype: As in `Metric`.
        from_sorted_ids: Whether outputs are class numbers, from the highest score to the lowest.
    """

    higher_is_better = True
    output_format = "scores"

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: str | torch.dtype | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        self.k, self.from_sorted_ids = check_int("k", k), from_sorted_ids
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=self.k, from_sorted_ids=from_sorted_ids)


def _float(y_pred: Tensor) -> torch.dtype:
    """Return the dtype of values for these outputs."""
    return y_pred.dtype if y_pred.is_floating_point() else torch.get_default_dtype()


def _equal(y_true: Tensor, y_pred: Tensor) -> Tensor:
    y_true, y_pred = match_shapes("accuracy", y_true, y_pred)
    return (y_true.to(y_pred.dtype) == y_pred).to(_float(y_pred))


def _class_numbers(name: str, y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return class numbers in the shape of the outputs without the class axis.

    Raises:
        ValueError: The shapes do not fit.
    """
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    if y_true.shape != y_pred.shape[:-1]:
        advice = " They look one-hot; use the metric without 'sparse'." if y_true.shape == y_pred.shape else ""
        raise ValueError(
            f"{name}: y_true has shape {tuple(y_true.shape)}, but for outputs {tuple(y_pred.shape)} class numbers have "
            f"{tuple(y_pred.shape[:-1])}.{advice}"
        )
    return y_true


def _check_k(k: int, y_pred: Tensor) -> None:
    """Raise an error if there are fewer than `k` outputs."""
    if k > y_pred.shape[-1]:
        raise ValueError(f"k={k}, but there are {y_pred.shape[-1]} outputs; give a smaller k.")


def _in_top_k(classes: Tensor, y_pred: Tensor, k: int) -> Tensor:
    """Return whether the score of a class is at least the k-th largest, as 0 and 1; NaN is not."""
    _check_k(k, y_pred)
    score = y_pred.gather(-1, classes.unsqueeze(-1))
    n_larger = (y_pred > score).sum(-1)
    return ((n_larger < k) & ~score.squeeze(-1).isnan()).to(_float(y_pred))


FUNCTIONS = (
    binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, top_k_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
)  # fmt: skip
for _function in FUNCTIONS:
    register(_function, f"metrics.{_function.__name__}")
