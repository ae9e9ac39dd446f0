"""CIFAR-10: small colour images of ten classes."""

from __future__ import annotations

import os

import numpy as np

from kerastorch.core.traceback_filter import public_api
from kerastorch.datasets.cifar import read_batches
from kerastorch.datasets.fetch import find_file
from kerastorch.datasets.file_formats import Split

__all__ = ["load_data"]

_TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))


@public_api
def load_data(path: str | os.PathLike[str] = "cifar-10-python.tar.gz") -> Split:
    """Return 50,000 training and 10,000 test images of ten classes, as Keras does.

    The archive (170 MB) is downloaded at the first call and stays packed. Its page, cs.toronto.edu/~kriz/cifar.html,
    names no licence and asks to cite Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The
    classes are: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    The batches are pickles. They are read by a reader of arrays, lists and dicts, which executes nothing.

    Args:
        path: Name of the archive in the cache. A `pathlib.Path`, or a string with a folder, is a local archive, or a
            folder with the unpacked batches, which are read as they are.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays of uint8. Pixels are from 0 to 255, labels from 0 to 9.

    Shape: `x_train` is `(50000, 32, 32, 3)`, `y_train` `(50000, 1)`, `x_test` `(10000, 32, 32, 3)`, `y_test`
    `(10000, 1)`. Channels are last, as in Keras; layers take them first, as `x_train.transpose(0, 3, 1, 2)`.

    Raises:
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: The archive must be downloaded, and pooch is not installed.
        ConnectionError: The download failed; the message says where to put the archive by hand.
        ValueError: The download or the local file is damaged.

    >>> import pathlib, pickle, tempfile
    >>> batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [3, 9]}
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = pathlib.Path(name)
    ...     for part in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
    ...         _ = (folder / part).write_bytes(pickle.dumps(batch, protocol=2))
    ...     (x_train, y_train), (x_test, y_test) = load_data(folder)
    >>> x_train.shape, y_train.shape, x_test.shape
    ((10, 32, 32, 3), (10, 1), (2, 32, 32, 3))
    """
    file = find_file("datasets.cifar10.load_data", path, "cifar-10-python.tar.gz")
    batches = read_batches(file, (*_TRAINING, "test_batch"), "cifar-10-batches-py", b"labels")
    x_test, y_test = batches["test_batch"]
    x_train = np.concatenate([batches[name][0] for name in _TRAINING])
    y_train = np.concatenate([batches[name][1] for name in _TRAINING])
    return (x_train, y_train.astype(np.uint8)), (x_test, y_test.astype(np.uint8))


def __dir__() -> list[str]:
    return __all__
