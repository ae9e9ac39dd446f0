"""Six data sets of the runs: bundled ones of scikit-learn and synthetic ones, divided into three parts by a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from sklearn import datasets
from sklearn.preprocessing import scale


@dataclass(frozen=True)
class Parts:
    """Rows for training and validation, and held-out rows, which the truth of a run is found with."""

    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_held: np.ndarray
    y_held: np.ndarray

    def but(self, **changes) -> Parts:
        return replace(self, **changes)


@dataclass(frozen=True)
class DataSet:
    """A data set, and a way to train on it that suits it.

    Attributes:
        name: Its name.
        rows: Function of a number of rows and a random generator that returns `x` and `y`; bundled data return all
            their rows.
        classes: Number of classes; 0 for a regression.
        train: Usual number of training rows.
        validation: Usual number of validation rows.
        widths: Usual hidden layers.
        epochs: Usual number of epochs, with Adam at 0.003 and batches of 32.
        is_linear: Whether a linear model is nearly as good as a network.
    """

    name: str
    rows: Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    classes: int
    train: int
    validation: int
    widths: tuple[int, ...]
    epochs: int
    is_linear: bool = False

    def parts(self, train: int, validation: int, seed: int, held: int = 800) -> Parts:
        """Return rows that are divided at random; what is left of bundled data is held out."""
        rng = np.random.default_rng(seed)
        x, y = self.rows(train + validation + held, rng)
        order = rng.permutation(len(x))
        x, y = x[order].astype("float32"), y[order]
        y = y.astype("int64" if self.classes else "float32")
        edges = train, train + validation
        (a, b, c), (d, e, f) = np.split(x, edges), np.split(y, edges)
        return Parts(a, d, b, e, c, f)


@cache
def _digits():
    x, y = datasets.load_digits(return_X_y=True)
    return x / 16, y


@cache
def _breast_cancer():
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return scale(x), y


@cache
def _diabetes():
    x, y = datasets.load_diabetes(return_X_y=True)
    return scale(x), scale(y)


def _moons(n, rng):
    x, y = datasets.make_moons(n, noise=0.2, random_state=int(rng.integers(2**31)))
    return x, y


def _clusters(n, rng):
    """Three classes of two clusters each, in 12 columns of which 6 matter; the clusters are the same for each seed."""
    centers = np.random.default_rng(5).normal(size=(6, 6)) * 1.6
    cluster = rng.integers(6, size=n)
    x = np.hstack([centers[cluster] + rng.normal(size=(n, 6)), rng.normal(size=(n, 6))])
    return x, cluster % 3


def _friedman(n, rng):
    x, y = datasets.make_friedman1(n, 10, noise=1.0, random_state=int(rng.integers(2**31)))
    return (x - 0.5) * 3.46, (y - 14.4) / 5.0


DATA_SETS = {
    one.name: one
    for one in (
        DataSet("digits", lambda n, rng: _digits(), 10, 700, 300, (32,), 30),
        DataSet("breast_cancer", lambda n, rng: _breast_cancer(), 2, 300, 120, (16,), 25, is_linear=True),
        DataSet("diabetes", lambda n, rng: _diabetes(), 0, 250, 90, (8,), 25, is_linear=True),
        DataSet("moons", _moons, 2, 600, 300, (16, 16), 40),
        DataSet("clusters", _clusters, 3, 700, 300, (32,), 30),
        DataSet("friedman", _friedman, 0, 800, 300, (32, 16), 40),
    )
}
