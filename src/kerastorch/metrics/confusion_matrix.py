"""Accumulators of metrics by name that take sample weights: confusion matrices, ranked scores, and other losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from kerastorch.losses.base import Loss
from kerastorch.metrics.built_in_metric import divide_or_zero, to_widest_float, widest_float


class ConfusionMatrix:
    """A number that is computed from a weighted confusion matrix.

    Args:
        kind: The task: `'binary'`, `'multiclass'` or `'multilabel'`.
        classes: Number of classes, or of labels.
        value: Makes the number of matrices `(n, classes, classes)`, with a row for each true class: one matrix, or one
            for each label of a multilabel task.
    """

    def __init__(self, kind: str, classes: int, value: Callable[[Tensor], Tensor]) -> None:
        self._value = value
        self._is_multiclass = kind == "multiclass" and classes > 2
        self._n_matrices = classes if kind == "multilabel" else 1
        self._classes = classes if self._is_multiclass else 2
        self.matrix = torch.zeros(self._n_matrices, self._classes, self._classes, dtype=torch.float64)

    def to(self, device: torch.device) -> None:
        self.matrix = self.matrix.to(device, widest_float(device))

    def update(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> None:
        n, device, dtype = self._classes, y_pred.device, self.matrix.dtype
        if self._is_multiclass:
            predicted = y_pred.argmax(1) if y_pred.ndim == y_true.ndim + 1 else y_pred
        else:
            predicted = (y_pred > 0.5).to(torch.int64)
        cells = y_true.to(torch.int64) * n + predicted
        if cells.ndim == 1:
            cells = cells.unsqueeze(-1)
        cells = cells + torch.arange(self._n_matrices, device=device) * n * n
        ones = torch.ones(cells.shape, dtype=dtype, device=device)
        weights = ones if weight is None else weight.to(dtype).reshape(len(cells), -1).expand(cells.shape)
        sums = torch.zeros(self._n_matrices * n * n, dtype=dtype, device=device)
        self.matrix = self.matrix + sums.scatter_add_(0, cells.flatten(), weights.flatten()).reshape(-1, n, n)

    def compute(self) -> Tensor:
        return self._value(self.matrix).to(torch.get_default_dtype())

    def merge(self, others: Sequence[Any]) -> None:
        self.matrix = self.matrix + sum(one.matrix.to(self.matrix) for one in others)

    def reset(self) -> None:
        self.matrix = torch.zeros_like(self.matrix)


def precision(matrix: Tensor) -> Tensor:
    """Return `tp / (tp + fp)`, for two classes that of the second, else the mean over the classes."""
    tp, fp, fn, _ = _counts(matrix)
    return _mean(divide_or_zero(tp, tp + fp), tp + fp + fn > 0)


def recall(matrix: Tensor) -> Tensor:
    """Return `tp / (tp + fn)`, averaged like `precision`."""
    tp, fp, fn, _ = _counts(matrix)
    return _mean(divide_or_zero(tp, tp + fn), tp + fp + fn > 0)


def f1(matrix: Tensor) -> Tensor:
    """Return `2 tp / (2 tp + fp + fn)`, averaged like `precision`."""
    tp, fp, fn, _ = _counts(matrix)
    return _mean(divide_or_zero(2 * tp, 2 * tp + fp + fn), tp + fp + fn > 0)


def specificity(matrix: Tensor) -> Tensor:
    """Return `tn / (tn + fp)`, averaged like `precision`."""
    tp, fp, fn, tn = _counts(matrix)
    return _mean(divide_or_zero(tn, tn + fp), tp + fp + fn > 0)


def iou(matrix: Tensor) -> Tensor:
    """Return `tp / (tp + fp + fn)`, averaged like `precision`."""
    tp, fp, fn, _ = _counts(matrix)
    return _mean(divide_or_zero(tp, tp + fp + fn), tp + fp + fn > 0)


def mean_iou(matrix: Tensor) -> Tensor:
    """Return the mean over all classes, the first of two included, of `tp / (tp + fp + fn)`."""
    tp = matrix.diagonal(dim1=1, dim2=2)
    union = matrix.sum(1) + matrix.sum(2) - tp
    return _mean(divide_or_zero(tp, union), union > 0)


def cohen_kappa(matrix: Tensor) -> Tensor:
    """Return Cohen's kappa: by how much the agreement exceeds that by chance (Cohen 1960)."""
    total = matrix.sum((1, 2))
    expected = (matrix.sum(1) * matrix.sum(2)).sum(1) / total
    return ((matrix.diagonal(dim1=1, dim2=2).sum(1) - expected) / (total - expected)).mean()


def matthews_corrcoef(matrix: Tensor) -> Tensor:
    """Return the Matthews correlation coefficient of all classes (Gorodkin 2004), or of all elements of labels."""
    matrix = matrix.sum(0)
    total, right = matrix.sum(), matrix.diagonal().sum()
    predicted, true = matrix.sum(0), matrix.sum(1)
    covariance = right * total - (predicted * true).sum()
    scale = ((total**2 - predicted.square().sum()) * (total**2 - true.square().sum())).sqrt()
    return divide_or_zero(covariance, scale)


def _counts(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return `tp`, `fp`, `fn` and `tn` by matrix and class; of two classes only those of the second."""
    tp = matrix.diagonal(dim1=1, dim2=2)
    fp, fn = matrix.sum(1) - tp, matrix.sum(2) - tp
    tn = matrix.sum((1, 2)).unsqueeze(-1) - tp - fp - fn
    first = 1 if matrix.shape[-1] == 2 else 0
    return tp[:, first:], fp[:, first:], fn[:, first:], tn[:, first:]


def _mean(values: Tensor, occurs: Tensor) -> Tensor:
    """Return the mean over labels, or over the classes that occur in targets or predictions."""
    if values.shape[0] > 1:
        return values.mean()
    return divide_or_zero(values.where(occurs, 0.0).sum(), occurs.sum())


class WeightedRanking:
    """The area under the ROC curve or the average precision of weighted rows, exact; rows are stored.

    Args:
        value: `'auc'` or `'average_precision'`, of which the mean over the classes or labels is computed.
    """

    def __init__(self, value: Literal["auc", "average_precision"]) -> None:
        self._kind = value
        self.rows: list[tuple[Tensor, ...]] = []

    def to(self, device: torch.device) -> None:
        """Do nothing: rows stay on the device that they come from."""

    def update(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> None:
        scores = y_pred if y_pred.ndim > 1 else y_pred.unsqueeze(-1)
        if y_true.ndim == 1 and scores.shape[1] > 1:
            label = torch.nn.functional.one_hot(y_true.to(torch.int64), scores.shape[1])
        else:
            label = y_true.reshape(scores.shape)
        weights = torch.ones_like(scores) if weight is None else weight.reshape(len(scores), -1).expand(scores.shape)
        self.rows.append((scores, label > 0, weights.to(widest_float(scores.device))))

    def compute(self) -> Tensor:
        scores, is_positive, weights = (torch.cat(parts) for parts in zip(*self.rows, strict=True))
        columns = zip(scores.unbind(1), is_positive.unbind(1), weights.unbind(1), strict=True)
        area = _roc_area if self._kind == "auc" else _average_precision
        return torch.stack([area(*_cumulative(*column)) for column in columns]).mean().to(torch.get_default_dtype())

    def merge(self, others: Sequence[Any]) -> None:
        self.rows = [*self.rows, *(row for one in others for row in one.rows)]

    def reset(self) -> None:
        self.rows = []


def _cumulative(scores: Tensor, is_positive: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of true and false positives at each threshold, from the highest score to the lowest."""
    values, group = scores.unique(return_inverse=True)  # in ascending order
    sums = torch.zeros(2, len(values), dtype=weight.dtype, device=weight.device)
    sums.scatter_add_(1, group.expand(2, -1), torch.stack((weight * is_positive, weight * ~is_positive)))
    above = sums.flip(1).cumsum(1)
    return above[0], above[1]


def _roc_area(tp: Tensor, fp: Tensor) -> Tensor:
    """Return the area under the ROC curve."""
    start = torch.zeros(1, dtype=tp.dtype, device=tp.device)
    return torch.trapezoid(torch.cat((start, tp)) / tp[-1], torch.cat((start, fp)) / fp[-1])


def _average_precision(tp: Tensor, fp: Tensor) -> Tensor:
    """Return `sum((R_n - R_(n-1)) * P_n)`, for recall `R` and precision `P` at each threshold."""
    step = torch.diff(tp, prepend=torch.zeros(1, dtype=tp.dtype, device=tp.device)) / tp[-1]
    return (step * divide_or_zero(tp, tp + fp)).sum()


class LossObjectMean:
    """The mean of a loss over all rows, from its values for many rows at once.

    Args:
        loss: A loss whose value is a mean.
        sign: Factor of the value.
    """

    def __init__(self, loss: Loss, sign: float = 1.0) -> None:
        self.loss, self._sign = loss, sign
        self._sum: Tensor | float = 0.0
        self._count: Any = 0

    @property
    def can_merge(self) -> bool:
        """Whether the sums of parts of the rows add up; if not, the loss of a batch depends on all of its rows."""
        return self.loss.is_mean_over_rows()

    def to(self, device: torch.device) -> None:
        """Do nothing: the sum is made on the device of the first rows."""

    def update(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> None:
        rows = self.loss.count(y_true, None)
        y_true, y_pred = to_widest_float(y_true), to_widest_float(y_pred)
        self._sum = self._sum + self.loss(y_true, y_pred, weight).to(widest_float(y_pred.device)) * rows
        self._count = self._count + (rows if weight is None else weight.to(widest_float(weight.device)).mean() * rows)

    def compute(self) -> Tensor:
        return torch.as_tensor(self._sign * self._sum / self._count if self._count else float("nan"))

    def merge(self, others: Sequence[Any]) -> None:
        self._sum = self._sum + sum(one._sum for one in others)
        self._count = self._count + sum(one._count for one in others)

    def reset(self) -> None:
        self._sum, self._count = 0.0, 0
