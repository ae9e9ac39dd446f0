"""Approximate quantiles of numbers that come in batches, from a weighted sample of bounded size."""

from __future__ import annotations

from typing import Any

import numpy as np

Points = np.ndarray[Any, np.dtype[np.float32]]


class Quantiles:
    """Summary of a stream of numbers, as in Keras: about `1 / epsilon` values with weights.

    Args:
        epsilon: Maximum error of a quantile, as a fraction of all numbers.

    >>> quantiles = Quantiles(0.01)
    >>> quantiles.add(np.arange(1000.0))
    >>> len(quantiles.boundaries(4))
    3
    """

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon
        # first row: values in ascending order; second row: the number of numbers that each value represents
        self.points: Points = np.zeros((2, 0), np.float32)

    def add(self, numbers: np.ndarray[Any, Any]) -> None:
        """Add a batch of numbers, of any shape, to the summary."""
        values = np.sort(numbers.astype(np.float32), axis=None)
        step = max(values.size * self.epsilon, 1.0)
        sample = values[int(step - 1) :: int(step)]
        merged = np.concatenate([np.stack([sample, np.full_like(sample, step)]), self.points], axis=1)
        self.points = _compress(merged[:, np.argsort(merged[0])], self.epsilon)

    def boundaries(self, bins: int) -> np.ndarray[Any, Any]:
        """Return the `bins - 1` boundaries between bins that have about the same number of numbers."""
        return _compress(self.points, 1.0 / bins)[0, :-1]


def _compress(points: Points, epsilon: float) -> Points:
    """Return at most about `1 / epsilon` points, evenly spaced by weight."""
    if points.shape[1] * epsilon < 1:
        return points
    fractions = epsilon + np.arange(0.0, 1.0, epsilon)
    sums = points[1].cumsum()
    values = np.interp(fractions, sums / sums[-1], points[0])
    weights = np.diff(np.interp(fractions, sums / sums[-1], sums), prepend=0.0)
    return np.stack([values, weights]).astype(np.float32)
