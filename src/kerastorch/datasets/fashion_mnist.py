"""Fashion-MNIST: pictures of clothes, in the form of MNIST."""

from __future__ import annotations

import os
from pathlib import Path

from kerastorch.core.traceback_filter import public_api
from kerastorch.datasets.fetch import fetch_file, local_path
from kerastorch.datasets.file_formats import Split, check_rows, read_idx, read_members, reading
from kerastorch.datasets.restricted_pickle import Array

__all__ = ["load_data"]

_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


@public_api
def load_data(path: str | os.PathLike[str] = "fashion-mnist") -> Split:
    """Return 60,000 training and 10,000 test images of clothes, as Keras does.

    The four files (31 MB) are downloaded at the first call. Zalando SE has the copyright and gives them under the MIT
    licence. The classes are: 0 T-shirt or top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker,
    8 bag, 9 ankle boot.

    Args:
        path: Name of the folder in the cache. A `pathlib.Path`, or a string with a folder, is a local folder, or a tar
            or zip archive, with the four files `train-images-idx3-ubyte.gz` and so on, which are read as they are;
            unpacked files without `.gz` will do.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays of uint8. Pixels are from 0 to 255, labels from 0 to 9.

    Shape: `x_train` is `(60000, 28, 28)`, `y_train` `(60000,)`, `x_test` `(10000, 28, 28)`, `y_test` `(10000,)`.

    Raises:
        FileNotFoundError: `path` is a local path, and nothing is there.
        ImportError: A file must be downloaded, and pooch is not installed.
        ConnectionError: A download failed; the message says where to put the file by hand.
        ValueError: A download or a local file is damaged.

    >>> import pathlib, tempfile
    >>> images = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]) + bytes([1, 2, 3, 4])  # 2 images of 1 x 2
    >>> labels = bytes([0, 0, 8, 1, 0, 0, 0, 2]) + bytes([9, 0])
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = pathlib.Path(name)
    ...     for part in ("train", "t10k"):
    ...         _ = (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
    ...         _ = (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    ...     (x_train, y_train), (x_test, y_test) = load_data(folder)
    >>> x_train.shape, y_train
    ((2, 1, 2), array([9, 0], dtype=uint8))
    """
    found = local_path(path)
    if found is None:
        files = [fetch_file("datasets.fashion_mnist.load_data", name, name, str(path)) for name in _FILES]
        x_train, y_train, x_test, y_test = (_read_file(file) for file in files)
    else:
        x_train, y_train, x_test, y_test = _read_local(found)
        check_rows(found, x_train=x_train, y_train=y_train)
        check_rows(found, x_test=x_test, y_test=y_test)
    return (x_train, y_train), (x_test, y_test)


def _read_file(path: Path) -> Array:
    with reading(path, "an array in the IDX format"):
        return read_idx(path.read_bytes())


def _read_local(path: Path) -> list[Array]:
    """Return the arrays of the four files, packed by gzip or not."""
    with reading(path, f"the files {', '.join(_FILES)}"):
        members = read_members(path, _FILES)
        return [read_idx(members[name]) for name in _FILES]


def __dir__() -> list[str]:
    return __all__
