"""Counts of true and false positives and negatives at thresholds, and the metrics that are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, check_int
from kerastorch.metrics.built_in_metric import BuiltInMetric, divide_or_zero, match_shapes, spread_weight, widest_float
from kerastorch.metrics.variable import MetricVariable

_BELOW_ALL = -1e10  # score of the classes that are not among the largest, as in Keras


class Counts(NamedTuple):
    """Weighted numbers of answers by threshold, `(thresholds,)` or `(thresholds, labels)`."""

    true_positives: Tensor
    false_positives: Tensor
    true_negatives: Tensor
    false_negatives: Tensor


def count_at(thresholds: Sequence[float], is_positive: Tensor, scores: Tensor, weight: Tensor | None) -> Counts:
    """Return the counts for answers that are yes if the score is above a threshold.

    Each score is put in the bin between two thresholds, and the bins are summed from above. The device is not read.

    Args:
        thresholds: Thresholds, in any order.
        is_positive: Labels, `(n, labels)`, boolean.
        scores: Scores, `(n, labels)`.
        weight: Weights, `(n, labels)`, or `None` for 1 each.
    """
    n_bins, n_labels, device = len(thresholds) + 1, scores.shape[1], scores.device
    dtype = widest_float(device)
    in_order = torch.tensor(sorted(thresholds), dtype=torch.float64).to(scores.dtype).to(device)
    # the number of thresholds below the score; NaN is above none
    bins = torch.searchsorted(in_order, scores.contiguous()).where(~scores.isnan(), 0)
    bins = bins * n_labels + torch.arange(n_labels, device=device)
    weight = torch.ones(scores.shape, dtype=dtype, device=device) if weight is None else weight.to(dtype)
    flat = bins.flatten()

    def above(values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums above each threshold, and of all."""
        sums = torch.zeros(n_bins * n_labels, dtype=dtype, device=device).scatter_add_(0, flat, values.flatten())
        from_above = sums.reshape(n_bins, n_labels).flip(0).cumsum(0).flip(0)
        return from_above[1:], from_above[:1]

    order = torch.tensor(sorted(range(len(thresholds)), key=thresholds.__getitem__), device=device).argsort()
    tp, positives = above(weight * is_positive)
    fp, negatives = above(weight * ~is_positive)
    return Counts(*(one[order] for one in (tp, fp, negatives - fp, positives - tp)))


class AtThresholds(BuiltInMetric):
    """Base of the metrics that compare outputs with thresholds.

    Subclasses name in `counted` the counts that they accumulate, as fields of `Counts`.

    Args:
        thresholds: Thresholds in 0..1.
        class_id: Column that counts. Default: all.
        top_k: If given, only the `k` largest outputs of a row can mean yes.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    output_format = "probabilities"
    counted: ClassVar[tuple[str, ...]] = Counts._fields
    true_positives: MetricVariable
    false_positives: MetricVariable
    true_negatives: MetricVariable
    false_negatives: MetricVariable

    def __init__(
        self,
        thresholds: Sequence[float],
        class_id: int | None,
        top_k: int | None,
        name: str | None,
        dtype: str | torch.dtype | None,
    ) -> None:
        super().__init__(dtype, name)
        self._thresholds = list(thresholds)
        self.class_id = None if class_id is None else check_int("class_id", class_id, 0)
        self.top_k = None if top_k is None else check_int("top_k", top_k)
        for count in self.counted:
            setattr(self, count, self.add_sum(count, (len(self._thresholds),)))

    @property
    def takes_logits(self) -> bool:
        """Whether the only threshold is 0, as for logits."""
        return self._thresholds == [0.0]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add one batch.

        Args:
            y_true: Labels 0 and 1, `(batch, ...)`; of several classes, one-hot. Any label above 0 means yes.
            y_pred: Outputs, in the shape of the labels.
            sample_weight: `(batch,)` or more of the axes of the outputs. Default: 1 each.

        Raises:
            ValueError: The shapes do not fit, or there is no column `class_id`.
        """
        y_true, y_pred, weight = self.convert(y_true, y_pred, sample_weight)
        y_true, y_pred = match_shapes(self.name, y_true, y_pred)
        if weight is not None:
            weight = spread_weight(self.name, weight, y_pred.shape)
        if not y_pred.is_floating_point():
            y_pred = y_pred.to(torch.get_default_dtype())
        y_pred = self._prepare(y_pred)
        if self.class_id is not None:
            y_true, y_pred = self._column(y_true), self._column(y_pred)
            weight = None if weight is None else self._column(weight)
        flat = [None if one is None else one.reshape(-1, 1) for one in (y_true > 0, y_pred, weight)]
        counts = count_at(self._thresholds, flat[0], flat[1], flat[2])  # type: ignore[arg-type]
        for count in self.counted:
            getattr(self, count).assign_add(getattr(counts, count)[:, 0])

    def _prepare(self, y_pred: Tensor) -> Tensor:
        """Return the outputs; with `top_k`, the others of each row are below all thresholds."""
        if self.top_k is None:
            return y_pred
        if self.top_k > y_pred.shape[-1]:
            raise ValueError(f"{self.name}: top_k={self.top_k}, but there are {y_pred.shape[-1]} outputs.")
        largest = torch.zeros_like(y_pred, dtype=torch.bool).scatter_(-1, y_pred.topk(self.top_k).indices, True)
        return y_pred.where(largest, _BELOW_ALL)

    def _column(self, values: Tensor) -> Tensor:
        """Return the column `class_id`, `(..., 1)`."""
        assert self.class_id is not None
        if values.ndim < 2 or self.class_id >= values.shape[-1]:
            raise ValueError(
                f"{self.name}: class_id={self.class_id}, but the outputs have shape {tuple(values.shape)}; they need "
                "a column for each class."
            )
        return values[..., self.class_id : self.class_id + 1]

    def _by_threshold(self, value: Tensor) -> Tensor:
        """Return a result for each threshold, or the only one."""
        return self.finish(value[0] if len(self._thresholds) == 1 else value)


class _Count(AtThresholds):
    """Base of the metrics that are one count.

    Args:
        thresholds: A threshold in 0..1, or a list of them. Default: 0.5.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        super().__init__(check_thresholds(thresholds, 0.5), None, None, name, dtype)
        self.thresholds = thresholds

    def result(self) -> Tensor:
        """Return the count, or a vector of one for each threshold."""
        return self._by_threshold(getattr(self, self.counted[0]))


class TruePositives(_Count):
    """The number of labels 1 whose output is above the threshold, or the sum of their weights.

    Args:
        thresholds: A threshold in 0..1, or a list of them, which gives a vector. Default: 0.5.
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = TruePositives()
    >>> metric.update_state([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])
    >>> metric.result()
    tensor(2.)
    """

    counted = ("true_positives",)


class FalsePositives(_Count):
    """The number of labels 0 whose output is above the threshold, or the sum of their weights.

    Args:
        thresholds: A threshold in 0..1, or a list of them, which gives a vector. Default: 0.5.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    counted = ("false_positives",)


class TrueNegatives(_Count):
    """The number of labels 0 whose output is not above the threshold, or the sum of their weights.

    Args:
        thresholds: A threshold in 0..1, or a list of them, which gives a vector. Default: 0.5.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    counted = ("true_negatives",)


class FalseNegatives(_Count):
    """The number of labels 1 whose output is not above the threshold, or the sum of their weights.

    Args:
        thresholds: A threshold in 0..1, or a list of them, which gives a vector. Default: 0.5.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    counted = ("false_negatives",)


class _Share(AtThresholds):
    """Base of `Precision` and `Recall`: a count as a share of two.

    Args:
        thresholds: As in `_Count`. Default: 0.5; with `top_k`, all of the `k` largest outputs mean yes.
        top_k: As in `AtThresholds`.
        class_id: As in `AtThresholds`.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    higher_is_better = True

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        checked = check_thresholds(thresholds, 0.5 if top_k is None else _BELOW_ALL)
        super().__init__(checked, class_id, top_k, name, dtype)
        self.thresholds = thresholds

    def result(self) -> Tensor:
        """Return the share, or a vector of one for each threshold; 0 if there is nothing to divide by."""
        one, other = (getattr(self, count) for count in self.counted)
        return self._by_threshold(divide_or_zero(one, one + other))


class Precision(_Share):
    """`tp / (tp + fp)`: the fraction of the answers yes that are right.

    Of several classes, each element of `y_true`, one-hot, is a yes-or-no question. The name `"precision"` in `compile`
    is a different metric: the mean over the classes.

    Args:
        thresholds: A threshold in 0..1, or a list of them, which gives a vector. An output above it means yes. Default:
            0.5; with `top_k`, each of the `k` largest outputs means yes.
        top_k: If given, only the `k` largest outputs of a row can mean yes.
        class_id: Column that counts. Default: all.
        name: As in `Metric`.
        dtype: As in `Metric`.

    >>> metric = Precision()
    >>> metric.update_state([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])
    >>> metric.result()
    tensor(0.6667)
    """

    counted = ("true_positives", "false_positives")


class Recall(_Share):
    """`tp / (tp + fn)`: the fraction of the labels 1 that are found.

    Of several classes, each element of `y_true`, one-hot, is a yes-or-no question. The name `"recall"` in `compile` is
    a different metric: the mean over the classes.

    Args:
        thresholds: A threshold in 0..1, or a list of them, which gives a vector. An output above it means yes. Default:
            0.5; with `top_k`, each of the `k` largest outputs means yes.
        top_k: If given, only the `k` largest outputs of a row can mean yes.
        class_id: Column that counts. Default: all.
        name: As in `Metric`.
        dtype: As in `Metric`.
    """

    counted = ("true_positives", "false_negatives")


def check_thresholds(thresholds: float | Sequence[float] | None, default: float) -> list[float]:
    """Return thresholds as a list.

    Args:
        thresholds: A number in 0..1, or a list of them; `None` for the default.
        default: Threshold if none is given.

    Raises:
        ValueError: A threshold is outside of 0..1.
    """
    if thresholds is None:
        return [default]
    given = list(thresholds) if isinstance(thresholds, Iterable) else [thresholds]
    if not given:
        raise ValueError("thresholds must be a number in 0..1 or a list of them, got an empty list.")
    return [check_float("thresholds", one, least=0, most=1) for one in given]
