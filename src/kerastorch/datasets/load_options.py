"""The options of `load_data` as Keras applies them: order of rows, rows of the test set, sequences and words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerastorch.core.errors import check_float, check_int
from kerastorch.datasets.file_formats import Split, as_objects
from kerastorch.datasets.restricted_pickle import Array


@dataclass(frozen=True)
class WordFilter:
    """The options, with the meaning that Keras' code gives them.

    Attributes:
        num_words: Numbers from `num_words` on are replaced, after `index_from` was added. None: the largest number of
            all sequences, so that only this one is replaced.
        skip_top: Numbers below `skip_top` are replaced, after `index_from` was added.
        maxlen: Sequences of this length and longer ones are left out; the start counts. None: all stay.
        start_char: Number before each sequence; None adds nothing.
        oov_char: Number that replaces others; None removes them.
        index_from: Number that is added to each word.
    """

    num_words: int | None
    skip_top: int
    maxlen: int | None
    start_char: int | None
    oov_char: int | None
    index_from: int

    def __post_init__(self) -> None:
        for name in ("num_words", "maxlen"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name))
        for name in ("start_char", "oov_char"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 0)
        check_int("skip_top", self.skip_top, 0)
        check_int("index_from", self.index_from, 0)

    def select(self, sequences: Array, labels: Array) -> tuple[list[list[int]], Array]:
        """Return the sequences that are short enough, with start and shifted numbers, and their labels.

        Raises:
            ValueError: `maxlen` leaves none.
        """
        start = [] if self.start_char is None else [self.start_char]
        shifted = [start + [word + self.index_from for word in words] for words in sequences]
        if self.maxlen is None:
            return shifted, labels
        short = [len(words) < self.maxlen for words in shifted]
        if not any(short):
            raise ValueError(f"No sequence is shorter than maxlen={self.maxlen}. Increase maxlen.")
        return [words for words, is_short in zip(shifted, short, strict=True) if is_short], labels[short]

    def replace_words(self, sequences: list[list[int]], largest: int) -> Array:
        """Return the sequences as an array of objects, without the numbers that are too small or too large.

        Args:
            sequences: Lists of numbers.
            largest: The largest number of all sequences, see `largest_number`.
        """
        lowest, end, other = self.skip_top, largest if self.num_words is None else self.num_words, self.oov_char
        if other is None:
            return as_objects([[word for word in words if lowest <= word < end] for words in sequences])
        return as_objects([[word if lowest <= word < end else other for word in words] for words in sequences])


def largest_number(sequences: Iterable[list[int]]) -> int:
    """Return the largest number in lists, or 0 if there is none."""
    return max((max(words, default=0) for words in sequences), default=0)


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
