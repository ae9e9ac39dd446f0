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
        starts = np.append(np.flatnonzero(is_first), len(ranked))  # of the groups of equal scores, descending
        self._positive = np.flatnonzero(is_positive[self._order])
        group = np.searchsorted(starts, self._positive, side="right")
        # number of places, and of positive ones, before and up to the end of the group of each positive place
        self._before, self._up_to = starts[group - 1], starts[group]
        self._positive_before = np.searchsorted(self._positive, self._before)
        self._positive_up_to = np.searchsorted(self._positive, self._up_to)

    def areas(self, weights: Array) -> tuple[Array, Array]:
        """Return the areas under the ROC curve, and the average precisions, for several weightings, `(k,)` each.

        They are those of `sklearn.metrics.roc_auc_score` and `average_precision_score`. The first is NaN if the places
        are all of one kind, the second if none is positive.

        Args:
            weights: Weights of the places, `(k, places)`.
        """
        ranked = weights[:, self._order]
        positive = ranked[:, self._positive]  # (k, positive places)
        sums, positive_sums = _cumulated(ranked), _cumulated(positive)
        n_positive = positive_sums[:, -1]
        n_negative = np.maximum(sums[:, -1] - n_positive, 0)
        above, at_least = sums[:, self._before], sums[:, self._up_to]
        positive_above, positive_at_least = (
            positive_sums[:, self._positive_before],
            positive_sums[:, self._positive_up_to],
        )
        average_precision = _quotient((positive * ratio(positive_at_least, at_least)).sum(1), n_positive)
        # negative places with a higher score; those with the same score count half
        higher = (above - positive_above + at_least - positive_at_least) / 2
        has_negative = n_negative > 1e-12 * sums[:, -1]
        pairs = np.where(has_negative, n_positive * n_negative, 0)
        return _quotient((positive * (n_negative[:, None] - higher)).sum(1), pairs), average_precision


def _cumulated(weights: Array) -> Array:
    """Return the sums of the first 0, 1, 2, ... weights, `(k, n + 1)`."""
    found = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=found[:, 1:])
    return found


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return a quotient; 0 where nothing is divided by nothing, as scikit-learn does with `zero_division=0`."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    found: Array = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    return found


def _quotient(numerator: Array, denominator: Array) -> Array:
    """Return a quotient; NaN where the denominator is 0."""
    found: Array = np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
    return found
