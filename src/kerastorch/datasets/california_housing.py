"""California Housing: house prices of 1990 in districts of California."""

from __future__ import annotations

import os

from kerastorch.core.errors import check_choice
from kerastorch.core.traceback_filter import public_api
from kerastorch.datasets.fetch import find_file
from kerastorch.datasets.file_formats import Split, check_rows, read_npz
from kerastorch.datasets.load_options import check_test_split, make_generator, shuffle, split_rows

__all__ = ["load_data"]

_N_SMALL = 600


@public_api
def load_data(
    version: str = "large",
    path: str | os.PathLike[str] = "california_housing.npz",
    test_split: float = 0.2,
    seed: int | None = 113,
) -> Split:
    """Return the house prices of 20,640 districts of California, split as Keras does.

    The file (0.7 MB) is downloaded at the first call. The data are those of Pace and Barry, "Sparse Spatial
    Autoregressions", 1997, from the census of 1990. StatLib distributes them and names no licence.

    The eight columns are those of StatLib's file: longitude, latitude, median age of the houses, number of rooms,
    number of bedrooms, population, number of households, and median income in 10,000 dollars. Rooms and bedrooms are
    totals of a district. The columns of scikit-learn, which Keras' page names, have means of a household instead.

    Args:
        version: `'large'` returns all districts, `'small'` the first 600 of the file.
        path: Name of the file in the cache. A `pathlib.Path`, or a string with a folder, is a local `.npz` file with
            the arrays `x` and `y`, which is read as it is.
        test_split: Fraction of the districts for the test set, at least 0 and below 1. Default 0.2.
        seed: Seed of the order, from 0 to 2^32 - 1; Keras' order for the same seed. `None` draws one.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays of float32. `y` is the median value of the houses in
        dollars, at most 500,001.

    Shape: with the defaults, `x_train` is `(16512, 8)`, `y_train` `(16512,)`, `x_test` `(4128, 8)`, `y_test` `(4128,)`.

    Raises:
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: The file must be downloaded, and pooch is not installed.
        ConnectionError: The download failed; the message says where to put the file by hand.
        ValueError: An argument is out of its range, or the file is damaged.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = pathlib.Path(folder) / "small.npz"
    ...     np.savez(small, x=np.ones((10, 8), np.float32), y=np.ones(10, np.float32))
    ...     (x_train, y_train), (x_test, y_test) = load_data(path=small)
    >>> x_train.shape, y_test.shape
    ((8, 8), (2,))
    """
    n_rows = _N_SMALL if check_choice("version", version, ("small", "large")) == "small" else None
    test_split, generator = check_test_split(test_split), make_generator(seed)
    file = find_file("datasets.california_housing.load_data", path, "california_housing.npz")
    arrays = read_npz(file, ("x", "y"))
    check_rows(file, x=arrays["x"], y=arrays["y"])
    return split_rows(*shuffle(generator, arrays["x"][:n_rows], arrays["y"][:n_rows]), test_split)


def __dir__() -> list[str]:
    return __all__
