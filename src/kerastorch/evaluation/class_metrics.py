"""Metrics of classes, and of the labels of a multilabel task, for several weightings of the places at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from kerastorch.evaluation.calibration import Calibrator, bin_sums
from kerastorch.evaluation.predictions import Array, ClassPredictions, LabelPredictions
from kerastorch.evaluation.ranking import Ranking, ratio

MOST_STORED = 2 * 10**7  # scores of stored rankings
_EPSILON = np.finfo(np.float64).eps  # probabilities are clipped to it in a logarithm, as in scikit-learn


def mean_of_known(values: Array, is_known: Array | None = None) -> Array:
    """Return the mean over the last axis without NaN; NaN if there is nothing else.

    Args:
        values: `(k, n)`.
        is_known: The values that count, `(k, n)`. Default: those that are not NaN.
    """
    is_known = ~np.isnan(values) if is_known is None else is_known
    count = is_known.sum(-1)
    found: Array = np.where(is_known, values, 0).sum(-1) / np.where(count > 0, count, np.nan)
    return found


class ClassScorer:
    """Computes all metrics of predicted classes from weights of the places; what does not depend on them is stored.

    Args:
        found: True and predicted classes.
        n_bins: Number of bins of the calibration.
        ranks: Whether to compute the areas under curves, for which all scores are sorted.
    """

    def __init__(self, found: ClassPredictions, n_bins: int, ranks: bool = True) -> None:
        self._found, self._n_classes = found, len(found.names)
        self._cells = found.y * self._n_classes + found.predicted
        self.rankings = Rankings(found) if ranks and found.scores is not None else None
        self.calibrator: Calibrator | None = None
        if found.probabilities is not None:
            self.calibrator = Calibrator(found, n_bins)
            self._terms = {"log_loss": log_losses(found), "brier": _squared_distances(found)}

    def confusions(self, weights: Array) -> Array:
        """Return confusion matrices, `(k, classes, classes)`: a row for each true class.

        Args:
            weights: Weights of the places, `(k, places)`.
        """
        size = self._n_classes
        return bin_sums(self._cells, weights, size * size).reshape(-1, size, size)

    def __call__(self, weights: Array) -> dict[str, Array]:
        """Return the metrics by name, `(k,)` each.

        Args:
            weights: Weights of the places, `(k, places)`, of which each sum is positive.
        """
        matrices = self.confusions(weights)
        by_class = class_table(matrices)
        support, total = by_class["support"], matrices.sum((1, 2))
        is_present = support + by_class["predicted"] > 0
        found = {
            "accuracy": np.trace(matrices, axis1=1, axis2=2) / total,
            "balanced_accuracy": mean_of_known(by_class["recall"], support > 0),
        }
        for name in ("precision", "recall", "f1"):
            if self._found.task == "binary":
                found[name] = by_class[name][:, 1]
            else:
                found[f"{name}_macro"] = mean_of_known(by_class[name], is_present)
        if self._found.rows is not None:
            found["mean_iou"] = mean_of_known(by_class["iou"], is_present)
        found["mcc"] = _matthews(matrices)
        found |= mean_areas(self.rankings, weights)
        if self.calibrator is not None:
            found |= {name: weights @ terms / weights.sum(1) for name, terms in self._terms.items()}
            found["ece"] = self.calibrator.errors(weights)
        return found


class LabelScorer:
    """Computes all metrics of a multilabel task from weights of the places; what does not depend on them is stored.

    Args:
        found: True and predicted labels.
        n_bins: Number of bins of the calibration.
        ranks: Whether to compute the areas under curves, for which all scores are sorted.
    """

    def __init__(self, found: LabelPredictions, n_bins: int, ranks: bool = True) -> None:
        self._found = found
        self.rankings = Rankings(found) if ranks else None
        self._are_exact = (found.predicted == found.y).all(1)
        self.calibrator: Calibrator | None = None
        self._terms: dict[str, Array] = {}
        if found.probabilities is not None:
            self.calibrator = Calibrator(found, n_bins)
            self._terms = {"log_loss": log_losses(found), "brier": ((found.probabilities - found.y) ** 2).mean(1)}

    def counts(self, weights: Array) -> Array:
        """Return true positives, false negatives, false positives and true negatives, `(4, k, labels)`.

        Args:
            weights: Weights of the places, `(k, places)`.
        """
        y, predicted = self._found.y, self._found.predicted
        return np.stack([weights @ part for part in (y & predicted, y & ~predicted, ~y & predicted, ~y & ~predicted)])

    def __call__(self, weights: Array) -> dict[str, Array]:
        """Return the metrics by name, `(k,)` each.

        Args:
            weights: Weights of the places, `(k, places)`, of which each sum is positive.
        """
        counts = self.counts(weights)
        by_label = label_table(counts)
        true_positive, false_negative, false_positive, _ = counts.sum(2)
        found = {
            "subset_accuracy": weights @ self._are_exact / weights.sum(1),
            "hamming_loss": (false_negative + false_positive) / counts.sum((0, 2)),
            **{f"{name}_macro": by_label[name].mean(1) for name in ("precision", "recall", "f1")},
            "f1_micro": ratio(2 * true_positive, 2 * true_positive + false_negative + false_positive),
        }
        found |= mean_areas(self.rankings, weights)
        found |= {name: weights @ terms / weights.sum(1) for name, terms in self._terms.items()}
        if self.calibrator is not None:
            found["ece"] = self.calibrator.errors(weights)
        return found


class Rankings:
    """The rankings of the classes or labels; stored, unless there are so much data that memory would run out.

    Args:
        found: Predictions with scores.
    """

    def __init__(self, found: ClassPredictions | LabelPredictions) -> None:
        self._found = found
        assert found.scores is not None
        self._stored = list(self._make()) if found.scores.size <= MOST_STORED else None

    def _make(self) -> Iterator[Ranking]:
        found = self._found
        assert found.scores is not None
        for one in [1] if found.task == "binary" else range(len(found.names)):
            is_positive = found.y[:, one] if isinstance(found, LabelPredictions) else found.y == one
            yield Ranking(found.scores[:, one], is_positive)

    def areas(self, weights: Array) -> Array:
        """Return the areas under the curves of each class, `(classes, 2, k)`: of the second class, if there are two.

        Args:
            weights: Weights of the places, `(k, places)`.
        """
        return np.array([one.areas(weights) for one in (self._make() if self._stored is None else self._stored)])


def mean_areas(rankings: Rankings | None, weights: Array) -> dict[str, Array]:
    """Return the means of the areas under the curves of several classes; none without rankings."""
    if rankings is None:
        return {}
    roc, precision_recall = np.moveaxis(rankings.areas(weights), 0, -1)
    return {"roc_auc": mean_of_known(roc), "average_precision": mean_of_known(precision_recall)}


def class_table(matrices: Array) -> Mapping[str, Array]:
    """Return precision, recall, F1, intersection over union, and the numbers of places, of each class.

    Args:
        matrices: Confusion matrices, `(..., classes, classes)`, with a row for each true class.
    """
    support, predicted = matrices.sum(-1), matrices.sum(-2)
    right = np.diagonal(matrices, axis1=-2, axis2=-1)
    return {
        "precision": ratio(right, predicted),
        "recall": ratio(right, support),
        "f1": ratio(2 * right, support + predicted),
        "iou": ratio(right, support + predicted - right),
        "support": support,
        "predicted": predicted,
    }


def label_table(counts: Array) -> Mapping[str, Array]:
    """Return precision, recall, F1, and the numbers of places, of each label.

    Args:
        counts: As `LabelScorer.counts` returns them, `(4, ..., labels)`.
    """
    true_positive, false_negative, false_positive, _ = counts
    support, predicted = true_positive + false_negative, true_positive + false_positive
    return {
        "precision": ratio(true_positive, predicted),
        "recall": ratio(true_positive, support),
        "f1": ratio(2 * true_positive, support + predicted),
        "support": support,
        "predicted": predicted,
    }


def log_losses(found: ClassPredictions | LabelPredictions) -> Array:
    """Return minus the logarithm of the probability of what is true, of each place; the mean over several labels."""
    probabilities = found.probabilities
    assert probabilities is not None
    if isinstance(found, ClassPredictions):
        of_truth = np.take_along_axis(probabilities, found.y[:, None], 1)[:, 0]
        return np.asarray(-np.log(np.clip(of_truth, _EPSILON, 1 - _EPSILON)))
    of_truth = np.where(found.y, probabilities, 1 - probabilities)
    return np.asarray(-np.log(np.clip(of_truth, _EPSILON, 1 - _EPSILON)).mean(1))


def _squared_distances(found: ClassPredictions) -> Array:
    """Return the terms of the Brier score: for two classes those of the second one, else the sum over the classes."""
    assert found.probabilities is not None
    if found.task == "binary":
        return np.asarray((found.probabilities[:, 1] - found.y) ** 2)
    of_truth = np.take_along_axis(found.probabilities, found.y[:, None], 1)[:, 0]
    return np.asarray((found.probabilities**2).sum(1) - 2 * of_truth + 1)


def _matthews(matrices: Array) -> Array:
    """Return the correlations of true and predicted classes (Gorodkin 2004); 0 if one of them is constant."""
    support, predicted, total = matrices.sum(2), matrices.sum(1), matrices.sum((1, 2))
    covariance = np.trace(matrices, axis1=1, axis2=2) * total - (support * predicted).sum(1)
    spread = (total**2 - (predicted**2).sum(1)) * (total**2 - (support**2).sum(1))
    return ratio(covariance, np.sqrt(np.maximum(spread, 0)))
