"""Ranking: the areas under the ROC curve and the precision-recall curve, for any weights of the places."""

from __future__ import annotations

import numpy as np

from kerastorch.evaluation.predictions import Array


class Ranking:
    """The order of the scores of one class, sorted once, so that resampled areas need no sorting.

    Args:
        scores: A number for each place, `(places,)`.
        is_positive: Whether each place is of this class, bool `(places,)`.
    """

    def __init__(self, scores: Array, is_positive: Array) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        is_first = np.ones(len(ranked), bool)
        is_first[1:] = ranked[1:] != ranked[:-1]
        self._starts = np.flatnonzero(is_first)  # of the groups of equal scores, in descending order
        self._is_positive = is_positive[self._order]

    def areas(self, weights: Array) -> tuple[Array, Array]:
        """Return the areas under the ROC curve, and the average precisions, for several weightings, `(k,)` each.

        They are those of `sklearn.metrics.roc_auc_score` and `average_precision_score`. The first is NaN if the places
        are all of one kind, the second if none is positive.

        Args:
            weights: Weights of the places, `(k, places)`.
        """
        ranked = weights[:, self._order]
        total = np.add.reduceat(ranked, self._starts, axis=1)
        positive = np.add.reduceat(ranked * self._is_positive, self._starts, axis=1)
        negative = total - positive
        true_positives, false_positives = np.cumsum(positive, 1), np.cumsum(negative, 1)
        n_positive, n_negative = true_positives[:, -1], false_positives[:, -1]
        precision = ratio(true_positives, true_positives + false_positives)
        average_precision = _quotient((positive * precision).sum(1), n_positive)
        lower = n_negative[:, None] - false_positives + negative / 2  # negatives below; those of equal score half
        roc_area = _quotient((positive * lower).sum(1), n_positive * n_negative)
        return roc_area, average_precision


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return a quotient; 0 where nothing is divided by nothing, as scikit-learn does with `zero_division=0`."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    found: Array = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    return found


def _quotient(numerator: Array, denominator: Array) -> Array:
    """Return a quotient; NaN where the denominator is 0."""
    found: Array = np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
    return found
