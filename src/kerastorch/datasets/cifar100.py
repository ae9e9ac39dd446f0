"""CIFAR-100: small colour images of a hundred classes in twenty groups."""

from __future__ import annotations

import os

from kerastorch.core.errors import check_choice
from kerastorch.core.traceback_filter import public_api
from kerastorch.datasets.cifar import read_batches
from kerastorch.datasets.fetch import find_file
from kerastorch.datasets.file_formats import Split

__all__ = ["load_data"]


@public_api
def load_data(label_mode: str = "fine", path: str | os.PathLike[str] = "cifar-100-python.tar.gz") -> Split:
    """Return 50,000 training and 10,000 test images of a hundred classes, as Keras does.

    The archive (169 MB) is downloaded at the first call and stays packed. Its page, cs.toronto.edu/~kriz/cifar.html,
    names no licence and asks to cite Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    The batches are pickles. They are read by a reader of arrays, lists and dicts, which executes nothing.

    Args:
        label_mode: `'fine'` returns the classes, from 0 to 99; `'coarse'` their groups, from 0 to 19.
        path: Name of the archive in the cache. A `pathlib.Path`, or a string with a folder, is a local archive, or a
            folder with the unpacked files `train` and `test`, which are read as they are.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays; pixels are uint8 from 0 to 255, labels int64, as in Keras.

    Shape: `x_train` is `(50000, 32, 32, 3)`, `y_train` `(50000, 1)`, `x_test` `(10000, 32, 32, 3)`, `y_test`
    `(10000, 1)`. Channels are last, as in Keras; layers take them first, as `x_train.transpose(0, 3, 1, 2)`.

    Raises:
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: The archive must be downloaded, and pooch is not installed.
        ConnectionError: The download failed; the message says where to put the archive by hand.
        ValueError: `label_mode` is another word, or the download or the local file is damaged.

    >>> import pathlib, pickle, tempfile
    >>> import numpy as np
    >>> batch = {b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [71], b"coarse_labels": [10]}
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = pathlib.Path(name)
    ...     for part in ("train", "test"):
    ...         _ = (folder / part).write_bytes(pickle.dumps(batch, protocol=2))
    ...     (x_train, y_train), _ = load_data("coarse", folder)
    >>> x_train.shape, y_train
    ((1, 32, 32, 3), array([[10]]))
    """
    label_mode = check_choice("label_mode", label_mode, ("fine", "coarse"))
    file = find_file("datasets.cifar100.load_data", path, "cifar-100-python.tar.gz")
    batches = read_batches(file, ("train", "test"), "cifar-100-python", f"{label_mode}_labels".encode())
    return batches["train"], batches["test"]


def __dir__() -> list[str]:
    return __all__
