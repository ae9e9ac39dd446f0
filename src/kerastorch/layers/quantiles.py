"""Quantiles of numbers that come in pieces, from a summary of some points and what each stands for."""

from __future__ import annotations

from typing import Any

import numpy as np

Points = np.ndarray[Any, np.dtype[np.float32]]


class Quantiles:
    """Keras' summary: after each piece, about `1 / epsilon` points with weights.

    Args:
        epsilon: the error that is allowed, as a share of all numbers.
    """

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon
        self.points: Points = np.zeros((2, 0), np.float32)  # values, in order; how many numbers each stands for

    def add(self, numbers: np.ndarray[Any, Any]) -> None:
        """Look at some more."""
        values = np.sort(numbers.astype(np.float32), axis=None)
        step = max(values.size * self.epsilon, 1.0)
        taken = values[int(step - 1) :: int(step)]
        both = np.concatenate([np.stack([taken, np.full_like(taken, step)]), self.points], axis=1)
        self.points = _thinned(both[:, np.argsort(both[0])], self.epsilon)

    def boundaries(self, bins: int) -> np.ndarray[Any, Any]:
        """The `bins - 1` numbers between bins that hold about as many numbers each."""
        return _thinned(self.points, 1.0 / bins)[0, :-1]


def _thinned(points: Points, epsilon: float) -> Points:
    """At most about `1 / epsilon` points, evenly spaced by weight."""
    if points.shape[1] * epsilon < 1:
        return points
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    sums = points[1].cumsum()
    values = np.interp(shares, sums / sums[-1], points[0])
    weights = np.diff(np.interp(shares, sums / sums[-1], sums), prepend=0.0)
    return np.stack([values, weights]).astype(np.float32)
