"""AUC: the area under a curve of two rates over thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, check_int, mismatch
from kerastorch.losses.regression import EPSILON
from kerastorch.metrics.built_in_metric import BuiltInMetric, divide_or_zero, match_shapes, spread_weight
from kerastorch.metrics.confusion import Counts, count_at
from kerastorch.metrics.operating_point import even_thresholds
from kerastorch.metrics.variable import MetricVariable

_CURVES = {"roc": "ROC", "pr": "PR", "prgain": "PRGAIN"}
_METHODS = ("interpolation", "minoring", "majoring")


class AUC(BuiltInMetric):
    """The area under the ROC curve or the precision-recall curve, from counts at fixed thresholds.

    The name `"auc"` in `compile` is a different metric: the exact area, for which all outputs are stored.

    Args:
        num_thresholds: Number of thresholds, evenly spaced in 0..1, >= 2. More are more exact.
        curve: `'ROC'`: true positive rate over false positive rate. `'PR'`: precision over recall. `'PRGAIN'`:
            precision gain over recall gain (Flach and Kull 2015).
        summation_method: Height of the curve between two thresholds. `'interpolation'`: the mean of both ends; for
            `'PR'`, true positives are interpolated instead of the precision (Davis and Goadrich 2006). `'minoring'`:
            the lower end. `'majoring'`: the upper end.
        name: As in `Metric`.
        dtype: As in `Metric`.
        thresholds: Thresholds in 0..1, in place of `num_thresholds`.
        multi_label: Whether each column is a curve of its own, and the result the mean of their areas. If not, all
            elements are on one curve.
        num_labels: Number of columns, with `multi_label`. Default: from the first batch.
        label_weights: Weights of the columns, in the mean of the areas or in the counts. Default: 1 each.
        from_logits: Whether outputs are logits.

    >>> metric = AUC(num_thresholds=3)
    >>> metric.update_state([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    >>> metric.result()
    tensor(0.7500)
    """

    higher_is_better = True
    output_format = "probabilities"
    true_positives: MetricVariable
    false_positives: MetricVariable
    true_negatives: MetricVariable
    false_negatives: MetricVariable

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        if str(curve).lower() not in _CURVES:
            raise mismatch("curve", curve, f"one of {', '.join(map(repr, _CURVES.values()))}")
        if str(summation_method).lower() not in _METHODS:
            raise mismatch("summation_method", summation_method, f"one of {', '.join(map(repr, _METHODS))}")
        if num_labels is not None and not multi_label:
            raise ValueError("num_labels is for multi_label=True; leave it out, or set multi_label.")
        self.curve, self.summation_method = _CURVES[str(curve).lower()], str(summation_method).lower()
        self.thresholds = None if thresholds is None else [_check_threshold(one) for one in thresholds]
        self.num_thresholds = check_int("num_thresholds", num_thresholds, 2)
        if self.thresholds is not None:
            self.num_thresholds = len(self.thresholds) + 2
        self.multi_label, self.num_labels, self.from_logits = multi_label, num_labels, from_logits
        self.label_weights = None if label_weights is None else [float(one) for one in label_weights]
        inner = even_thresholds(self.num_thresholds)[1:-1] if self.thresholds is None else sorted(self.thresholds)
        self._thresholds = [-EPSILON, *inner, 1 + EPSILON]  # every probability is above the first, none above the last
        self._n_columns = 1 if not multi_label else num_labels
        if self._n_columns is not None:
            self._build()

    def _build(self) -> None:
        """Create the variables, when the number of columns is known."""
        shape = (self.num_thresholds, self._n_columns) if self.multi_label else (self.num_thresholds,)
        for count in Counts._fields:
            setattr(self, count, self.add_sum(count, shape))  # type: ignore[arg-type]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add one batch.

        Args:
            y_true: Labels 0 and 1, `(batch, ...)`. Any label above 0 means yes.
            y_pred: Outputs, in the shape of the labels.
            sample_weight: `(batch,)` or more of the axes of the outputs. Default: 1 each.

        Raises:
            ValueError: The shapes do not fit.
        """
        y_true, y_pred, weight = self.convert(y_true, y_pred, sample_weight)
        y_true, y_pred = match_shapes(self.name, y_true, y_pred)
        y_pred = y_pred if y_pred.is_floating_point() else y_pred.to(torch.get_default_dtype())
        y_pred = y_pred.sigmoid() if self.from_logits else y_pred.clamp(0, 1)
        weight = None if weight is None else spread_weight(self.name, weight, y_pred.shape)
        if self.multi_label:
            self._check_columns(y_pred)
        elif self.label_weights is not None:
            of_columns = torch.tensor(self.label_weights, device=y_pred.device)
            if of_columns.shape != y_pred.shape[1:]:
                raise ValueError(f"{self.name} has {len(of_columns)} label_weights for outputs {tuple(y_pred.shape)}.")
            weight = of_columns.expand(y_pred.shape) * (1 if weight is None else weight)
        n = self._n_columns or 1
        counts = count_at(
            self._thresholds,
            (y_true > 0).reshape(-1, n),
            y_pred.reshape(-1, n),
            None if weight is None else weight.reshape(-1, n),
        )
        for count, value in counts._asdict().items():
            getattr(self, count).assign_add(value if self.multi_label else value[:, 0])

    def _check_columns(self, y_pred: Tensor) -> None:
        """Raise an error if outputs are not `(batch, labels)`; create the variables at the first batch."""
        if y_pred.ndim != 2:
            raise ValueError(f"{self.name} with multi_label needs outputs (batch, labels), got {tuple(y_pred.shape)}.")
        if self._n_columns is None:
            self._n_columns = y_pred.shape[1]
            self._build()
            self.to(y_pred.device)
        n_weights = self._n_columns if self.label_weights is None else len(self.label_weights)
        if not y_pred.shape[1] == self._n_columns == n_weights:
            raise ValueError(
                f"{self.name} is for {self._n_columns} labels with {n_weights} weights, got {y_pred.shape[1]} columns."
            )

    def result(self) -> Tensor:
        """Return the area; with `multi_label`, the mean of the areas of the columns."""
        if self._n_columns is None:  # no batch yet
            return self.finish(torch.zeros(()))
        areas = self._areas()
        if not self.multi_label:
            return self.finish(areas)
        if self.label_weights is None:
            return self.finish(areas.mean())
        weights = torch.tensor(self.label_weights, dtype=areas.dtype, device=areas.device)
        return self.finish(divide_or_zero((areas * weights).sum(), weights.sum()))

    def _areas(self) -> Tensor:
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._interpolated_pr_area()
        x, y = self._curve()
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2
        else:
            heights = (torch.minimum if self.summation_method == "minoring" else torch.maximum)(y[:-1], y[1:])
        return ((x[:-1] - x[1:]) * heights).sum(0)

    def _curve(self) -> tuple[Tensor, Tensor]:
        """Return `x` and `y` of the curve by threshold."""
        tp, fp, tn, fn = (getattr(self, count).detach() for count in Counts._fields)
        recall = divide_or_zero(tp, tp + fn)
        if self.curve == "ROC":
            return divide_or_zero(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, divide_or_zero(tp, tp + fp)
        odds = divide_or_zero(tp + fn, tn + fp)
        recall_gain = (1 - odds * divide_or_zero(fn, tp)).where(tp > 0, 0.0).clamp(min=0)
        return recall_gain, (1 - odds * divide_or_zero(fp, tp)).where(tp > 0, 1.0)

    def _interpolated_pr_area(self) -> Tensor:
        """Return the area under the precision-recall curve, with `tp` linear in `tp + fp` between two thresholds."""
        tp, yes = self.true_positives.detach(), self.true_positives + self.false_positives
        d_tp, d_yes = tp[:-1] - tp[1:], yes[:-1] - yes[1:]
        slope = divide_or_zero(d_tp, d_yes.clamp(min=0))
        intercept = tp[1:] - slope * yes[1:]
        is_ratio = (yes[:-1] > 0) & (yes[1:] > 0)
        ratio = torch.where(is_ratio, divide_or_zero(yes[:-1], yes[1:].clamp(min=0)), 1.0)
        positives = (tp[1:] + self.false_negatives[1:]).clamp(min=0)
        return divide_or_zero(slope * (d_tp + intercept * ratio.log()), positives).sum(0)


def _check_threshold(threshold: Any) -> float:
    return check_float("thresholds", threshold, least=0, most=1)
