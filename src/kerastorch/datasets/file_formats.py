"""Readers of the files of the datasets: `.npz` archives, IDX files, word indices, and folders or archives of files."""

from __future__ import annotations

import gzip
import json
import math
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from kerastorch.datasets import restricted_pickle
from kerastorch.datasets.restricted_pickle import Array, ArrayRecord

Split = tuple[tuple[Array, Array], tuple[Array, Array]]  # (x_train, y_train), (x_test, y_test)

_IDX_UINT8 = 8  # code of unsigned bytes in the header of an IDX file


@contextmanager
def reading(path: Path, content: str) -> Iterator[None]:
    """Raise every error of the block as a `ValueError` that names the file.

    Args:
        path: The file.
        content: What the file should hold, for the message.
    """
    try:
        yield
    except PermissionError:
        raise
    except Exception as error:  # damaged files raise errors of every kind
        raise ValueError(f"{path} is damaged, or does not hold {content}: {error or type(error).__name__}.") from error


def read_npz(path: Path, numeric: Sequence[str], ragged: Sequence[str] = ()) -> dict[str, Array]:
    """Return arrays of an `.npz` file without executing anything that it contains.

    Args:
        path: The file.
        numeric: Names of arrays of numbers.
        ragged: Names of arrays of lists of integers; they are returned as one-dimensional arrays of objects.

    Raises:
        ValueError: The file is damaged, lacks an array, or holds something else.
    """
    with reading(path, f"the arrays {', '.join((*numeric, *ragged))}"), zipfile.ZipFile(path) as archive:
        for name in (*numeric, *ragged):
            if f"{name}.npy" not in archive.namelist():
                raise ValueError(f"it has no array {name}")
        arrays = {name: _read_numeric(archive, name) for name in numeric}
        return arrays | {name: _read_ragged(archive, name) for name in ragged}


def _read_numeric(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(f"{name}.npy") as stream:
        array: Array = np.lib.format.read_array(stream, allow_pickle=False)
        return array


def _read_ragged(archive: zipfile.ZipFile, name: str) -> Array:
    """Return the array of lists that follows the header of an `.npy` file as a pickle."""
    with archive.open(f"{name}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = read_header(stream)
        if dtype != np.dtype(object):
            raise ValueError(f"{name} has the dtype {dtype}, not object")
        record = restricted_pickle.load(stream)
    if not isinstance(record, ArrayRecord):
        raise ValueError(f"{name} is no array")
    return as_objects([_integers(name, sequence) for sequence in record.to_list()])


def _integers(name: str, sequence: Any) -> list[int]:
    """Return a list of integers as it is, else raise."""
    numbers: list[int] = sequence.to_numpy().tolist() if isinstance(sequence, ArrayRecord) else sequence
    if not isinstance(numbers, list) or not set(map(type, numbers)) <= {int}:
        raise ValueError(f"{name} holds more than lists of integers")
    return numbers


def as_objects(sequences: Sequence[list[int]]) -> Array:
    """Return lists as a one-dimensional array of objects, also if all have the same length."""
    return np.fromiter(sequences, dtype=object, count=len(sequences))


def read_idx(content: bytes) -> Array:
    """Return the array in an IDX file of unsigned bytes, compressed by gzip or not.

    The header has two zero bytes, a code of the type, the number of axes, and the size of each axis as a big-endian
    32-bit integer. Source: the description of the format on the page of the MNIST database, yann.lecun.com/exdb/mnist.

    Raises:
        ValueError: It is another file; damaged gzip data raise other errors too.
    """
    data = bytearray(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    if data[:3] != bytes((0, 0, _IDX_UINT8)) or len(data) < 4 + 4 * data[3]:
        raise ValueError("it is no IDX file of unsigned bytes")
    start = 4 + 4 * data[3]
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    if len(data) - start != math.prod(shape):
        raise ValueError(f"its header says {' x '.join(map(str, shape))} bytes, and {len(data) - start} follow")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_word_index(path: Path) -> dict[str, int]:
    """Return the dict from words to numbers in a JSON file.

    Raises:
        ValueError: The file is damaged, or holds something else.
    """
    with reading(path, "a word index"):
        index = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(index, dict) or not set(map(type, index.values())) <= {int}:
            raise ValueError("it is no dict from words to integers")
        return index


def read_members(path: Path, names: Sequence[str], subfolder: str = "") -> dict[str, bytes]:
    """Return files of a folder, or of a tar or zip archive, which is read in memory and never extracted.

    Only regular files count, and only the last part of their paths, so that no path of an archive is followed.

    Args:
        path: The folder or archive.
        names: Names of the files; one that ends in `.gz` may also be there without this ending.
        subfolder: Folder within `path` that may hold the files instead. Default: none.

    Raises:
        ValueError: `path` is neither a folder nor an archive, a file is missing, or an archive has two of its name.
    """
    found: dict[str, bytes] = {}
    for member, content in _contents(path, subfolder, {_unpacked(name) for name in names}):
        name = next(name for name in names if _unpacked(name) == _unpacked(member))
        if name in found:
            raise ValueError(f"it has two files {name}")
        found[name] = content
    for name in names:
        if name not in found:
            raise ValueError(f"it has no file {name}")
    return found


def _unpacked(name: str) -> str:
    return name.removesuffix(".gz")


def _contents(path: Path, subfolder: str, names: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the regular files with these names, the ending `.gz` aside."""
    if path.is_dir():
        folder = path / subfolder if (path / subfolder).is_dir() else path
        for file in sorted(folder.iterdir()):
            if _unpacked(file.name) in names and file.is_file():
                yield file.name, file.read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            for info in zipped.infolist():
                name = PurePosixPath(info.filename).name
                if _unpacked(name) in names and not info.is_dir():
                    yield name, zipped.read(info)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                stream = tar.extractfile(member) if _unpacked(name) in names and member.isreg() else None
                if stream is not None:
                    yield name, stream.read()
    else:
        raise ValueError("it is no folder, tar archive or zip archive")


def check_rows(path: Path, **arrays: Array) -> None:
    """Raise if arrays of a file have different numbers of rows.

    Raises:
        ValueError: The message names the file, the arrays and their rows.
    """
    with reading(path, "inputs and labels that belong together"):
        if len({len(array) for array in arrays.values()}) > 1:
            raise ValueError(", ".join(f"{name} has {len(array)} rows" for name, array in arrays.items()))
