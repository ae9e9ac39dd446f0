"""Metrics of predicted values, for several weightings of the places at once, and intervals around predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kerastorch.evaluation.class_metrics import mean_of_known
from kerastorch.evaluation.predictions import Array, ValuePredictions


class ValueScorer:
    """Computes all metrics of predicted values from weights of the places; what does not depend on them is stored.

    Args:
        found: True and predicted values.
    """

    def __init__(self, found: ValuePredictions) -> None:
        self.errors = found.predicted - found.y  # (places, columns)
        self._centered = found.y - found.y.mean(0)
        self._variance = np.where(np.ptp(found.y, axis=0) > 0, self._centered.var(0), 0.0)
        self._sizes = np.abs(self.errors)
        self._orders = np.argsort(self._sizes, axis=0, kind="stable")

    def columns(self, weights: Array) -> dict[str, Array]:
        """Return the metrics of each column by name, `(k, columns)` each.

        Args:
            weights: Weights of the places, `(k, places)`, of which each sum is positive.
        """
        total = weights.sum(1, keepdims=True)
        squares = weights @ self.errors**2
        spread = weights @ self._centered**2 - (weights @ self._centered) ** 2 / total
        is_known = (spread > 1e-12 * total * self._variance) & (self._variance > 0)
        unexplained = np.divide(squares, spread, out=np.full_like(squares, np.nan), where=is_known)
        return {
            "rmse": np.sqrt(squares / total),
            "mae": weights @ self._sizes / total,
            "median_ae": np.stack([self._medians(weights, column) for column in range(self.errors.shape[1])], 1),
            "max_error": np.stack([self._sizes[one > 0].max(0) for one in weights]),
            "bias": weights @ self.errors / total,
            "r2": 1 - unexplained,
        }

    def __call__(self, weights: Array) -> dict[str, Array]:
        """Return the metrics by name, `(k,)`: means over the columns; the largest error is that of all columns."""
        found = self.columns(weights)
        return {name: one.max(1) if name == "max_error" else mean_of_known(one) for name, one in found.items()}

    def _medians(self, weights: Array, column: int) -> Array:
        """Return the medians of the absolute errors of a column, `(k,)`."""
        order = self._orders[:, column]
        errors = self._sizes[order, column]
        cumulated = np.cumsum(weights[:, order], axis=1)
        half, tolerance = cumulated[:, -1:] / 2, 1e-12 * cumulated[:, -1:]
        low = (cumulated < half - tolerance).sum(1)  # the first error at which half of the weight is reached
        high = (cumulated <= half + tolerance).sum(1)  # the first one at which it is exceeded
        found: Array = (errors[low] + errors[np.minimum(high, len(errors) - 1)]) / 2
        return found


@dataclass(frozen=True, eq=False)
class PredictionIntervals:
    """Intervals around predictions that contain the target with a given probability.

    Their ends are quantiles of the residuals, target minus prediction, of the rows of the report: the split conformal
    method. The probability holds for new rows like these if the model was not trained on them.

    Attributes:
        level: The probability.
        low: What is added to a prediction for the lower end, `(columns,)`.
        high: What is added to a prediction for the upper end, `(columns,)`.
        coverage: Fraction of the rows in the intervals that are made from other rows: each half of the rows, drawn at
            random, is checked with the quantiles of the other half, `(columns,)`.
    """

    level: float
    low: Array
    high: Array
    coverage: Array

    def around(self, predictions: Array) -> tuple[Array, Array]:
        """Return the lower and the upper ends of the intervals around predictions of new rows.

        Args:
            predictions: What the model predicts, `(rows,)` for one column, or `(rows, columns)`.
        """
        predictions = np.asarray(predictions, np.float64)
        if predictions.ndim < 2 and len(self.low) == 1:
            return predictions + self.low[0], predictions + self.high[0]
        return predictions + self.low, predictions + self.high


def fewest_rows(level: float) -> int:
    """Return the least number of rows whose residuals give intervals of this level."""
    return math.ceil(2 / (1 - level) - 1 - 1e-9)


def prediction_intervals(found: ValuePredictions, level: float, seed: int) -> PredictionIntervals | None:
    """Return intervals from the quantiles of the residuals, checked on halves; `None` if there are too few rows.

    All rows whose weight is above 0 count the same.

    Args:
        found: True and predicted values.
        level: The probability that an interval contains the target.
        seed: Seed of the random halves.
    """
    found = found.of_rows(found.row_means(found.weights) > 0)
    residuals = found.y - found.predicted
    if found.n_rows < fewest_rows(level):
        return None
    is_first = np.zeros(found.n_rows, bool)
    is_first[np.random.default_rng(seed).permutation(found.n_rows)[: found.n_rows // 2]] = True
    is_first = is_first if found.rows is None else is_first[found.rows]
    halves = residuals[is_first], residuals[~is_first]
    covered = np.zeros(residuals.shape[1])
    for one, other in (halves, halves[::-1]):
        low, high = _quantiles(one, level)
        covered += ((other >= low) & (other <= high)).sum(0)
    low, high = _quantiles(residuals, level)
    return PredictionIntervals(level, low, high, covered / len(residuals))


def _quantiles(residuals: Array, level: float) -> tuple[Array, Array]:
    """Return the ends of an interval that contains a new residual with this probability.

    With `n` residuals, the ends are the `k`-th smallest and the `k`-th largest, `k = floor((n + 1) (1 - level) / 2)`.
    If there are too few for that, they are the smallest and the largest.
    """
    count = max(1, math.floor((len(residuals) + 1) * (1 - level) / 2 + 1e-9))
    ordered = np.sort(residuals, axis=0)
    return ordered[count - 1], ordered[-count]
