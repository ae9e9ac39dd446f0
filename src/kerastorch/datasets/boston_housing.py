"""Boston Housing: house prices of the 1970s around Boston."""

from __future__ import annotations

import os

from kerastorch.core.traceback_filter import public_api
from kerastorch.datasets.fetch import find_file
from kerastorch.datasets.file_formats import Split, check_rows, read_npz
from kerastorch.datasets.load_options import check_test_split, make_generator, shuffle, split_rows

__all__ = ["load_data"]


@public_api
def load_data(
    path: str | os.PathLike[str] = "boston_housing.npz", test_split: float = 0.2, seed: int | None = 113
) -> Split:
    """Return the house prices of 506 census tracts around Boston, split as Keras does.

    The file (0.1 MB) is downloaded at the first call. The data are those of Harrison and Rubinfeld, "Hedonic Housing
    Prices and the Demand for Clean Air", 1978. StatLib distributes them and names no licence.

    One of the 13 columns, B, is computed from the share of Black residents and assumes that segregation changes prices.
    Use `california_housing` unless you reproduce older work: `california_housing.load_data("small")` has as few rows.

    Args:
        path: Name of the file in the cache. A `pathlib.Path`, or a string with a folder, is a local `.npz` file with
            the arrays `x` and `y`, which is read as it is.
        test_split: Fraction of the rows for the test set, at least 0 and below 1. Default 0.2.
        seed: Seed of the order, from 0 to 2^32 - 1; Keras' order for the same seed. `None` draws one.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays of float64. `y` is the median value of the houses in
        thousands of dollars.

    Shape: with the defaults, `x_train` is `(404, 13)`, `y_train` `(404,)`, `x_test` `(102, 13)`, `y_test` `(102,)`.

    Raises:
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: The file must be downloaded, and pooch is not installed.
        ConnectionError: The download failed; the message says where to put the file by hand.
        ValueError: An argument is out of its range, or the file is damaged.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = pathlib.Path(folder) / "small.npz"
    ...     np.savez(small, x=np.ones((10, 13)), y=np.ones(10))
    ...     (x_train, y_train), (x_test, y_test) = load_data(small, test_split=0.5)
    >>> x_train.shape, y_test.shape
    ((5, 13), (5,))
    """
    test_split, generator = check_test_split(test_split), make_generator(seed)
    file = find_file("datasets.boston_housing.load_data", path, "boston_housing.npz")
    arrays = read_npz(file, ("x", "y"))
    check_rows(file, x=arrays["x"], y=arrays["y"])
    return split_rows(*shuffle(generator, arrays["x"], arrays["y"]), test_split)


def __dir__() -> list[str]:
    return __all__
