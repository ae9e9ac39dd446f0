"""Reuters: newswires as lists of word numbers, with their topics."""

from __future__ import annotations

import os

from kerastorch.core.traceback_filter import public_api
from kerastorch.datasets.fetch import find_file
from kerastorch.datasets.file_formats import Split, check_rows, read_npz, read_word_index
from kerastorch.datasets.load_options import (
    WordFilter,
    check_test_split,
    largest_number,
    make_generator,
    shuffle,
    split_rows,
)

__all__ = ["get_label_names", "get_word_index", "load_data"]

# The order is that of Keras 3 (keras/src/datasets/reuters.py); the words are the topics of Reuters-21578.
_TOPICS = (
    "cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass "
    "crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi "
    "iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"
)


@public_api
def load_data(
    path: str | os.PathLike[str] = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> Split:
    """Return 11,228 newswires of 46 topics as lists of word numbers, split as Keras does.

    The file (2 MB) is downloaded at the first call. It was made from Reuters-21578, whose copyright is that of Reuters;
    its README allows the use for research. Word 1 is the most frequent one; `index_from` is added to all of them, so
    that 0 is free for padding.

    The lists are stored as a pickle. It is read by a reader of arrays and lists, which executes nothing.

    Args:
        path: Name of the file in the cache. A `pathlib.Path`, or a string with a folder, is a local `.npz` file with
            the arrays `x` and `y`, which is read as it is.
        num_words: Numbers from `num_words` on become `oov_char`. Numbers are compared after `index_from` was added.
            Default `None`: all words stay but the one with the largest number, as in Keras' code.
        skip_top: Numbers below `skip_top` become `oov_char`, `start_char` too. Default 0.
        maxlen: Only newswires with fewer than `maxlen` numbers are returned, `start_char` included. Default: all.
        test_split: Fraction of the newswires for the test set, at least 0 and below 1. Default 0.2.
        seed: Seed of the order, from 0 to 2^32 - 1; Keras' order for the same seed. `None` draws one.
        start_char: Number before each newswire. `None` adds nothing.
        oov_char: Number in place of those that `num_words` and `skip_top` exclude. `None` removes them.
        index_from: Number that is added to each word, at least 0.

    Returns:
        `(x_train, y_train), (x_test, y_test)`. The `x` are NumPy arrays of lists; `kt.utils.pad_sequences` makes an
        array of numbers of them. The `y` are arrays of int64 from 0 to 45, the places in `get_label_names()`.

    Shape: with the defaults, training has `(8982,)` and the test set `(2246,)` rows.

    Raises:
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: The file must be downloaded, and pooch is not installed.
        ConnectionError: The download failed; the message says where to put the file by hand.
        ValueError: A number is out of its range, `maxlen` leaves no newswire, or the file is damaged.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> newswires = np.fromiter([[1, 7], [5], [2, 2], [6]], dtype=object)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = pathlib.Path(folder) / "small.npz"
    ...     np.savez(small, x=newswires, y=[3, 4, 3, 4])
    ...     (x_train, y_train), (x_test, y_test) = load_data(small, test_split=0.25)
    >>> len(x_train), len(x_test)
    (3, 1)
    """
    chosen = WordFilter(num_words, skip_top, maxlen, start_char, oov_char, index_from)
    test_split, generator = check_test_split(test_split), make_generator(seed)
    file = find_file("datasets.reuters.load_data", path, "reuters.npz")
    arrays = read_npz(file, numeric=("y",), ragged=("x",))
    check_rows(file, x=arrays["x"], y=arrays["y"])
    x, y = chosen.select(*shuffle(generator, arrays["x"], arrays["y"]))
    return split_rows(chosen.replace_words(x, largest_number(x)), y, test_split)


@public_api
def get_word_index(path: str | os.PathLike[str] = "reuters_word_index.json") -> dict[str, int]:
    """Return the number of each word of the newswires, before `index_from` is added.

    The file (0.6 MB) is downloaded at the first call.

    Args:
        path: Name of the file in the cache. A `pathlib.Path`, or a string with a folder, is a local JSON file.

    Returns:
        A dict from words to numbers; the most frequent word has the number 1.

    Raises:
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: The file must be downloaded, and pooch is not installed.
        ConnectionError: The download failed; the message says where to put the file by hand.
        ValueError: The download or the local file is damaged.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = pathlib.Path(folder) / "small.json"
    ...     _ = small.write_text('{"the": 1, "mdbl": 10996}')
    ...     get_word_index(small)
    {'the': 1, 'mdbl': 10996}
    """
    return read_word_index(find_file("datasets.reuters.get_word_index", path, "reuters_word_index.json"))


def get_label_names() -> tuple[str, ...]:
    """Return the names of the 46 topics, in the order of the labels.

    >>> get_label_names()[3]
    'earn'
    """
    return tuple(_TOPICS.split())


def __dir__() -> list[str]:
    return __all__
