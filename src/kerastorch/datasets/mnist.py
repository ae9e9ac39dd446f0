"""MNIST: handwritten digits."""

from __future__ import annotations

import os

from kerastorch.core.traceback_filter import public_api
from kerastorch.datasets.fetch import find_file
from kerastorch.datasets.file_formats import Split, check_rows, read_npz

__all__ = ["load_data"]


@public_api
def load_data(path: str | os.PathLike[str] = "mnist.npz") -> Split:
    """Return 60,000 training and 10,000 test images of handwritten digits, as Keras does.

    The file (11 MB) is downloaded at the first call. It has a copyright of Yann LeCun and Corinna Cortes, and the
    licence CC BY-SA 3.0.

    Args:
        path: Name of the file in the cache. A `pathlib.Path`, or a string with a folder, is a local `.npz` file with
            the arrays `x_train`, `y_train`, `x_test` and `y_test`, which is read as it is.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays of uint8. Pixels are from 0 to 255, labels from 0 to 9.

    Shape: `x_train` is `(60000, 28, 28)`, `y_train` `(60000,)`, `x_test` `(10000, 28, 28)`, `y_test` `(10000,)`.

    Raises:
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: The file must be downloaded, and pooch is not installed.
        ConnectionError: The download failed; the message says where to put the file by hand.
        ValueError: The download or the local file is damaged.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> images, labels = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = pathlib.Path(folder) / "small.npz"
    ...     np.savez(small, x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
    ...     (x_train, y_train), (x_test, y_test) = load_data(small)
    >>> x_train.shape, y_train, x_test.shape
    ((3, 28, 28), array([0, 1, 2], dtype=uint8), (1, 28, 28))
    """
    file = find_file("datasets.mnist.load_data", path, "mnist.npz")
    arrays = read_npz(file, ("x_train", "y_train", "x_test", "y_test"))
    train, test = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    check_rows(file, x_train=train[0], y_train=train[1])
    check_rows(file, x_test=test[0], y_test=test[1])
    return train, test


def __dir__() -> list[str]:
    return __all__
