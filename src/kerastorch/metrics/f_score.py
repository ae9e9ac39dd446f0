"""FBetaScore and F1Score: harmonic means of precision and recall."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, mismatch
from kerastorch.losses.regression import EPSILON
from kerastorch.metrics.built_in_metric import BuiltInMetric, match_shapes, spread_weight
from kerastorch.metrics.variable import MetricVariable

_AVERAGES = (None, "micro", "macro", "weighted")
_COUNTS = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")


class FBetaScore(BuiltInMetric):
    """`(1 + beta^2) * precision * recall / (beta^2 * precision + recall)` for each column of labels.

    Args:
        average: Which number is made of the scores of the columns. `'macro'`: their mean. `'weighted'`: their mean,
            weighted by the number of labels 1. `'micro'`: one score of all elements. `None`: a vector of all scores.
        beta: How much more recall counts than precision, > 0.
        threshold: An output above it means yes, 0..1. Default: the largest output of each row means yes.
        name: As in `Metric`.
        dtype: As in `Metric`.

    Shape: `y_true`, of 0 and 1, and `y_pred` are `(batch, labels)`.

    >>> metric = FBetaScore(beta=2.0, threshold=0.5)
    >>> metric.update_state([[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
    >>> metric.result()
    tensor([0.3846, 0.9091, 0.8333])
    """

    higher_is_better = True
    output_format = "probabilities"
    true_positives: MetricVariable
    false_positives: MetricVariable
    false_negatives: MetricVariable
    intermediate_weights: MetricVariable

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: str | torch.dtype | None = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in _AVERAGES:
            raise mismatch("average", average, f"one of {', '.join(map(repr, _AVERAGES))}")
        self.average, self.beta = average, check_float("beta", beta, above=0)
        self.threshold = None if threshold is None else check_float("threshold", threshold, above=0, most=1)
        self._n_columns: int | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add one batch.

        Args:
            y_true: Labels 0 and 1, `(batch, labels)`; of several classes, one-hot.
            y_pred: Outputs, `(batch, labels)`.
            sample_weight: `(batch,)`. Default: 1 each.

        Raises:
            ValueError: The shapes do not fit.
        """
        y_true, y_pred, weight = self.convert(y_true, y_pred, sample_weight)
        if y_pred.ndim == 1:
            y_pred = y_pred.unsqueeze(-1)
        y_true, y_pred = match_shapes(self.name, y_true, y_pred)
        if y_pred.ndim != 2:
            raise ValueError(f"{self.name} needs outputs of shape (batch, labels), got {tuple(y_pred.shape)}.")
        self._build(y_pred)
        if self.threshold is None:
            # a row of zeros has no answer yes
            answer = (y_pred >= y_pred.amax(-1, keepdim=True)) & (y_pred.abs() > 1e-9)
        else:
            answer = y_pred > self.threshold
        dtype = self.true_positives.dtype
        label, yes = y_true.to(dtype), answer.to(dtype)
        factor: Any = 1 if weight is None else spread_weight(self.name, weight, y_pred.shape)
        axes = (0, 1) if self.average == "micro" else (0,)
        counts = yes * label, yes * (1 - label), (1 - yes) * label, label
        for name, count in zip(_COUNTS, counts, strict=True):
            getattr(self, name).assign_add((count * factor).sum(axes))

    def _build(self, y_pred: Tensor) -> None:
        """Create the variables at the first batch."""
        if self._n_columns is None:
            self._n_columns = y_pred.shape[1]
            for name in _COUNTS:
                setattr(self, name, self.add_sum(name, () if self.average == "micro" else (self._n_columns,)))
            self.to(y_pred.device)
        elif self._n_columns != y_pred.shape[1]:
            raise ValueError(f"{self.name} was given {self._n_columns} columns before, and now {y_pred.shape[1]}.")

    def result(self) -> Tensor:
        """Return the score, or with `average=None` a vector of one for each column."""
        if self._n_columns is None:  # no batch yet
            return self.finish(torch.zeros(()))
        tp = self.true_positives
        precision = tp / (tp + self.false_positives + EPSILON)
        recall = tp / (tp + self.false_negatives + EPSILON)
        score = (1 + self.beta**2) * precision * recall / (self.beta**2 * precision + recall + EPSILON)
        if self.average == "weighted":
            score = (score * self.intermediate_weights / (self.intermediate_weights.sum() + EPSILON)).sum()
        return self.finish(score if self.average is None else score.mean() if self.average == "macro" else score)


class F1Score(FBetaScore):
    """`2 * precision * recall / (precision + recall)` for each column of labels.

    The name `"f1_score"` in `compile` is a different metric: the mean over the classes.

    Args:
        average: As in `FBetaScore`.
        threshold: As in `FBetaScore`.
        name: As in `Metric`.
        dtype: As in `Metric`.

    Shape: `y_true`, of 0 and 1, and `y_pred` are `(batch, labels)`.
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: str | torch.dtype | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)
