"""The order of rows, and the rows of the test set, as Keras chooses them for a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerastorch.core.errors import check_float
from kerastorch.datasets.file_formats import Split
from kerastorch.datasets.restricted_pickle import Array


def make_generator(seed: Any) -> np.random.RandomState:
    """Return NumPy's old generator, whose numbers Keras uses and which NumPy keeps unchanged.

    Raises:
        ValueError: `seed` is no integer from 0 to 2^32 - 1.
        TypeError: `seed` is no number.
    """
    return np.random.RandomState(seed)


def shuffle(generator: np.random.RandomState, x: Array, y: Array) -> tuple[Array, Array]:
    """Return the rows of two arrays in the same random order."""
    order = np.arange(len(x))
    generator.shuffle(order)
    return x[order], y[order]


def split_rows(x: Array, y: Array, test_split: float) -> Split:
    """Return the first rows for training and the last `test_split` of them for testing."""
    n_train = int(len(x) * (1 - test_split))
    return (x[:n_train], y[:n_train]), (x[n_train:], y[n_train:])


def check_test_split(test_split: Any) -> float:
    """Return the fraction of test rows if it is at least 0 and below 1, else raise."""
    return check_float("test_split", test_split, least=0, below=1)
