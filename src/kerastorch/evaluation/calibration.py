"""Calibration: whether predictions made with a confidence of 80 % are right in 80 % of the cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerastorch.evaluation.predictions import Array, ClassPredictions, LabelPredictions


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence and accuracy in bins of equal width, and their expected difference.

    The confidence of a prediction is the probability of the most probable class. Bin `m` of `M` holds the predictions
    with a confidence in `((m - 1) / M, m / M]`. The expected calibration error is the mean over the predictions of the
    distance between accuracy and mean confidence in their bin (Guo et al. 2017, "On Calibration of Modern Neural
    Networks").

    Attributes:
        edges: Edges of the bins, `(bins + 1,)`.
        counts: Number of predictions in each bin, or the sum of their weights, `(bins,)`.
        confidence: Mean confidence in each bin; NaN in an empty one.
        accuracy: Fraction of right predictions in each bin; NaN in an empty one.
        ece: The expected calibration error.
        mce: The largest distance in a bin, the maximum calibration error.
    """

    edges: Array
    counts: Array
    confidence: Array
    accuracy: Array
    ece: float
    mce: float


class Calibrator:
    """The predictions of a report, assigned to bins once.

    Args:
        found: Predictions with probabilities.
        n_bins: Number of bins.
    """

    def __init__(self, found: ClassPredictions | LabelPredictions, n_bins: int) -> None:
        assert found.probabilities is not None
        self._edges = np.linspace(0, 1, n_bins + 1)
        self._n_labels = 1
        if isinstance(found, ClassPredictions):
            best = found.probabilities.argmax(1)
            self._confidence = np.take_along_axis(found.probabilities, best[:, None], 1)[:, 0]
            self._is_right = best == found.y
        else:
            self._n_labels = len(found.names)
            self._confidence = np.maximum(found.probabilities, 1 - found.probabilities).ravel()
            self._is_right = ((found.probabilities > 0.5) == found.y).ravel()
        self._bins = np.searchsorted(self._edges[1:-1], self._confidence, side="left")

    def __call__(self, weight: Array) -> Calibration:
        """Return the calibration.

        Args:
            weight: Weight of each place, `(places,)`.
        """
        counts, confidence, accuracy = (one[0] for one in self._sums(weight[None]))
        is_filled = counts > 0
        divisor = np.where(is_filled, counts, np.nan)
        confidence, accuracy = confidence / divisor, accuracy / divisor
        gaps = np.abs(accuracy - confidence)[is_filled]
        return Calibration(
            self._edges, counts, confidence, accuracy, float(self.errors(weight[None])[0]), float(gaps.max())
        )

    def errors(self, weights: Array) -> Array:
        """Return the expected calibration errors for several weightings, `(k,)`.

        Args:
            weights: Weights of the places, `(k, places)`.
        """
        counts, confidence, accuracy = self._sums(weights)
        total = counts.sum(1)
        found: Array = np.abs(accuracy - confidence).sum(1) / np.where(total > 0, total, np.nan)
        return found

    def _sums(self, weights: Array) -> tuple[Array, Array, Array]:
        """Return the sums of the weights, and of confidence and accuracy times weight, in each bin, `(k, bins)`."""
        weights = np.repeat(weights, self._n_labels, axis=1) if self._n_labels > 1 else weights
        n_bins = len(self._edges) - 1
        return (
            bin_sums(self._bins, weights, n_bins),
            bin_sums(self._bins, weights * self._confidence, n_bins),
            bin_sums(self._bins, weights * self._is_right, n_bins),
        )


def bin_sums(bins: Array, weights: Array, n_bins: int) -> Array:
    """Return the sum of the weights in each bin, for several weightings, `(k, bins)`.

    Args:
        bins: Bin of each place, `(places,)`.
        weights: `(k, places)`.
        n_bins: Number of bins.
    """
    count = len(weights)
    places = bins + n_bins * np.arange(count)[:, None]
    return np.bincount(places.ravel(), weights.ravel(), count * n_bins).reshape(count, n_bins)
