"""The arrays of an HDF5 file in Keras' layout: groups named `vars`, in which the arrays have numbers."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import CheckpointError, damaged_file

Groups = Mapping[str, Mapping[str, Tensor]]  # "layers/dense/vars" -> "0" -> the array

# what the arrays of a file may become in memory: bytes for each byte of the file, and bytes beside
MOST_EXPANSION, FREE_EXPANSION = 20, 2**25
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, UnicodeError)


def decode_groups(data: bytes | memoryview, where: str) -> dict[str, dict[str, Tensor]]:
    """Return the arrays of an HDF5 file by group and name.

    Args:
        data: The bytes of the file.
        where: Name of the file, for messages.

    Raises:
        CheckpointCorruptError: The file is damaged.
        CheckpointError: It holds something else than groups and arrays of numbers.
    """
    found: dict[str, dict[str, Tensor]] = {}
    with opened(data, where) as file:
        for path, array in read_arrays(file, where).items():
            group, _, name = path.rpartition("/")
            found.setdefault(group, {})[name] = array
    return found


@contextmanager
def opened(data: bytes | memoryview, where: str) -> Iterator[Any]:
    """Open an HDF5 file; what its content raises becomes an error that names the file.

    Args:
        data: The bytes of the file.
        where: Name of the file, for messages.

    Raises:
        CheckpointCorruptError: The file is damaged.
    """
    h5py = _h5py()
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            yield file
    except CheckpointError:
        raise
    except _DAMAGE as error:
        raise damaged_file(where, f"it is no HDF5 file that can be read: {error}") from error


def child_of(group: Any, name: str, where: str) -> Any:
    """Return a group or array in a group of an open file.

    Raises:
        CheckpointError: It is a link to another place, or its name leads out of the group.
    """
    if name.startswith("/") or not isinstance(group.get(name, getlink=True), _h5py().HardLink):
        path = name if name.startswith("/") else f"{group.name}/{name}".lstrip("/")
        raise CheckpointError(f"{where}: {path} is a link to another place, which is not followed.")
    return group[name]


def read_arrays(group: Any, where: str) -> dict[str, Tensor]:
    """Return all arrays in a group of an open file, by their paths in it.

    Links to other files, arrays that are put together from others, and objects of Python are refused.

    Raises:
        CheckpointError: There is such a link or array, or the arrays would take much more memory than the file.
    """
    h5py = _h5py()
    arrays = dict(_arrays(h5py, group, where))
    size, total = group.file.id.get_filesize(), sum(one.nbytes for one in arrays.values() if one.shape is not None)
    if total > MOST_EXPANSION * size + FREE_EXPANSION:
        largest = max((path for path in arrays if arrays[path].shape is not None), key=lambda path: arrays[path].nbytes)
        raise CheckpointError(f"{where}: {largest} and the other arrays would become {total} bytes from {size}.")
    return {path: _read(h5py, one, path, where) for path, one in arrays.items()}


def encode_groups(groups: Groups) -> bytes:
    """Return an HDF5 file with arrays by group and name."""
    h5py = _h5py()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, arrays in groups.items():
            group = file.require_group(path)
            for name, value in arrays.items():
                _write(group, name, value)
    return buffer.getvalue()


def encode_lists(attributes: Mapping[str, str], lists: Mapping[str, Mapping[str, Tensor]]) -> bytes:
    """Return an HDF5 file of a model in the form of Keras 2: attributes, and arrays by layer, in lists.

    Args:
        attributes: Texts by name.
        lists: The arrays of each layer of the model by name, layers without arrays included.
    """
    h5py = _h5py()
    names = h5py.string_dtype()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update(attributes)
        model = file.create_group("model_weights")
        model.attrs["layer_names"] = np.array([*lists], dtype=names)
        for layer, arrays in lists.items():
            group = model.create_group(layer)
            group.attrs["weight_names"] = np.array([*arrays], dtype=names)
            for name, value in arrays.items():
                _write(group, name, value)
    return buffer.getvalue()


def _h5py() -> Any:
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise ImportError("files of Keras are read and written with h5py: pip install h5py", name="h5py") from error
    return h5py


def _arrays(h5py: Any, group: Any, where: str, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the path and the handle of each array, in the order of their names."""
    if depth > 100:
        raise CheckpointError(f"{where} has groups that are nested too deeply.")
    for name in group:
        path = f"{prefix}{name}"
        one = child_of(group, name, where)
        if isinstance(one, h5py.Group):
            yield from _arrays(h5py, one, where, f"{path}/", depth + 1)
        elif isinstance(one, h5py.Dataset):
            yield path, one


def _read(h5py: Any, one: Any, path: str, where: str) -> Tensor:
    """Return the values of an array, after checking that they are in the file and are numbers."""
    if one.is_virtual or one.external or one.shape is None:
        raise CheckpointError(f"{where}: {path} has its values in other places, which are not read.")
    if one.dtype.kind == "V" and one.attrs.get("dtype") == "bfloat16":
        return torch.from_numpy(np.asarray(one).view(np.int16)).view(torch.bfloat16)
    if one.dtype.kind not in "fiub" or h5py.check_dtype(ref=one.dtype) is not None:
        raise CheckpointError(f"{where}: {path} is an array of {one.dtype}, not of numbers.")
    return torch.from_numpy(np.asarray(one, dtype=one.dtype.newbyteorder("=")))


def _write(group: Any, name: str, value: Tensor) -> None:
    """Write an array; Keras marks those in bfloat16, which HDF5 does not have."""
    value = value.detach().cpu().contiguous()
    if value.dtype == torch.bfloat16:
        group.create_dataset(name, data=value.view(torch.int16).numpy().view("V2")).attrs["dtype"] = "bfloat16"
    else:
        group[name] = value.numpy()
