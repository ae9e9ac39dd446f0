"""IMDB: film reviews as lists of word numbers, with their sentiment."""

from __future__ import annotations

import os

from kerastorch.core.traceback_filter import public_api
from kerastorch.datasets.fetch import find_file
from kerastorch.datasets.file_formats import Split, check_rows, read_npz, read_word_index
from kerastorch.datasets.load_options import WordFilter, largest_number, make_generator, shuffle

__all__ = ["get_word_index", "load_data"]


@public_api
def load_data(
    path: str | os.PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> Split:
    """Return 25,000 training and 25,000 test reviews as lists of word numbers, as Keras does.

    The file (17 MB) is downloaded at the first call. The page of the reviews, ai.stanford.edu/~amaas/data/sentiment,
    names no licence and asks to cite Maas et al., "Learning Word Vectors for Sentiment Analysis", 2011. Word 1 is the
    most frequent one; `index_from` is added to all of them, so that 0 is free for padding.

    The lists are stored as a pickle. It is read by a reader of arrays and lists, which executes nothing.

    Args:
        path: Name of the file in the cache. A `pathlib.Path`, or a string with a folder, is a local `.npz` file with
            the arrays `x_train`, `y_train`, `x_test` and `y_test`, which is read as it is.
        num_words: Numbers from `num_words` on become `oov_char`. Numbers are compared after `index_from` was added.
            Default `None`: all words stay but the one with the largest number, as in Keras' code.
        skip_top: Numbers below `skip_top` become `oov_char`, `start_char` too. Default 0.
        maxlen: Only reviews with fewer than `maxlen` numbers are returned, `start_char` included. Default: all.
        seed: Seed of the order of the reviews, from 0 to 2^32 - 1; Keras' order for the same seed. `None` draws one.
        start_char: Number before each review. `None` adds nothing.
        oov_char: Number in place of those that `num_words` and `skip_top` exclude. `None` removes them.
        index_from: Number that is added to each word, at least 0.

    Returns:
        `(x_train, y_train), (x_test, y_test)`. The `x` are NumPy arrays of lists; `kt.utils.pad_sequences` makes an
        array of numbers of them. The `y` are arrays of int64: 1 positive, 0 negative.

    Shape: all are `(25000,)`, with fewer rows if `maxlen` is given.

    Raises:
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: The file must be downloaded, and pooch is not installed.
        ConnectionError: The download failed; the message says where to put the file by hand.
        ValueError: A number is out of its range, `maxlen` leaves no review, or the file is damaged.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> reviews = np.fromiter([[1, 7, 2], [5]], dtype=object)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = pathlib.Path(folder) / "small.npz"
    ...     np.savez(small, x_train=reviews, y_train=[1, 0], x_test=reviews, y_test=[1, 0])
    ...     (x_train, y_train), _ = load_data(small, num_words=10)
    >>> sorted(x_train.tolist())  # 7 + 3 is not below num_words
    [[1, 4, 2, 5], [1, 8]]
    """
    chosen = WordFilter(num_words, skip_top, maxlen, start_char, oov_char, index_from)
    generator = make_generator(seed)
    file = find_file("datasets.imdb.load_data", path, "imdb.npz")
    arrays = read_npz(file, numeric=("y_train", "y_test"), ragged=("x_train", "x_test"))
    parts = []
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        check_rows(file, **{f"x_{part}": x, f"y_{part}": y})
        parts.append(chosen.select(*shuffle(generator, x, y)))
    (x_train, y_train), (x_test, y_test) = parts
    largest = max(largest_number(x_train), largest_number(x_test))
    return (chosen.replace_words(x_train, largest), y_train), (chosen.replace_words(x_test, largest), y_test)


@public_api
def get_word_index(path: str | os.PathLike[str] = "imdb_word_index.json") -> dict[str, int]:
    """Return the number of each word of the reviews, before `index_from` is added.

    The file (1.6 MB) is downloaded at the first call.

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
    ...     _ = small.write_text('{"the": 1, "film": 19}')
    ...     word_index = get_word_index(small)
    >>> words = {number + 3: word for word, number in word_index.items()}  # 3 is index_from
    >>> [words.get(number, "?") for number in [1, 4, 22]]
    ['?', 'the', 'film']
    """
    return read_word_index(find_file("datasets.imdb.get_word_index", path, "imdb_word_index.json"))


def __dir__() -> list[str]:
    return __all__
