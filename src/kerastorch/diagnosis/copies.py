"""Rows that come twice: in training and validation, or within the training rows, also with different targets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

_CHANCE = 0.01  # equal rows for one row of the validation that columns without any relation would give
_NEAR = 0.05  # of the usual distance between neighbors
_MOST_ROWS = 4000  # whose distances are computed


class Copies(NamedTuple):
    """How many rows come twice.

    Attributes:
        equal: Validation rows that equal a training row.
        near: Validation rows that nearly equal one, those that equal one included.
        examined: Validation rows that `near` was counted among.
        repeated: Training rows that equal an earlier training row.
        conflicts: Training rows that equal another one, but have a different target.
        by_chance: Whether equal rows are to be expected, since the columns have few different values.
    """

    equal: int = 0
    near: int = 0
    examined: int = 0
    repeated: int = 0
    conflicts: int = 0
    by_chance: bool = False


def find_copies(x: Array, y: Array | None, x_validation: Array | None) -> Copies:
    """Return how many rows come twice.

    Args:
        x: Training inputs, `(rows, columns)`.
        y: Training targets, one or more for each row; `None` if they are unknown.
        x_validation: Validation inputs; `None` if there are none.
    """
    by_chance = _chance_of_equal_rows(x) * len(x) > _CHANCE
    _, first, group = np.unique(_keys(x), return_index=True, return_inverse=True)
    repeated = len(x) - len(first)
    conflicts = 0
    if repeated and y is not None:
        same = np.flatnonzero(np.bincount(group)[group] > 1)
        different = (y != y[first][group]).reshape(len(y), -1).any(axis=1)
        mixed = np.unique(group[different])
        conflicts = int(np.isin(group[same], mixed).sum())
    if x_validation is None or x_validation.shape[1:] != x.shape[1:] or not len(x_validation):
        return Copies(repeated=repeated, conflicts=conflicts, by_chance=by_chance)
    equal = int(np.isin(_keys(x_validation), _keys(x)).sum())
    near, examined = (equal, len(x_validation)) if by_chance else _near_rows(x, x_validation)
    return Copies(equal, near, examined, repeated, conflicts, by_chance)


def _keys(x: Array) -> Array:
    """Return a number for each row, the same for equal rows: a random mixture of its columns."""
    weights = np.random.default_rng(0).normal(size=x.shape[1])
    return np.multiply(x, weights, dtype=np.float64).sum(axis=1) if x.shape[1] else np.zeros(len(x))


def _chance_of_equal_rows(x: Array) -> float:
    """Return the probability that two rows are equal, if the columns had no relation to each other."""
    some = x[:: max(1, len(x) // 1000)]
    logarithm = 0.0
    for column in some.T:
        _, counts = np.unique(column, return_counts=True)
        logarithm += float(np.log(((counts / len(some)) ** 2).sum()))
    return float(np.exp(logarithm))


def _near_rows(x: Array, x_validation: Array) -> tuple[int, int]:
    """Return how many validation rows are much nearer to a training row than such rows are to each other."""
    from sklearn.neighbors import NearestNeighbors

    some = x_validation[: _MOST_ROWS // 2]
    train = x[: 2 * _MOST_ROWS]
    deviation = train.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1)
    if not (np.isfinite(train).all() and np.isfinite(some).all()) or len(train) < 3:
        return 0, len(some)
    search = NearestNeighbors(n_neighbors=2).fit(train / scale)
    among = search.kneighbors((train / scale)[: _MOST_ROWS // 2])[0][:, 1]
    usual = float(np.median(among[among > 0])) if (among > 0).any() else 0.0
    distances = search.kneighbors(some / scale, n_neighbors=1)[0][:, 0]
    return int((distances <= _NEAR * usual).sum()), len(some)
