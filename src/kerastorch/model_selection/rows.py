"""Rows of data of any kind: counting them, and selecting some of them as data of the same kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from kerastorch.core.array_conversion import from_array, is_scipy_sparse, shape_in_file
from kerastorch.core.errors import shown
from kerastorch.core.nested import is_object, is_record, is_sequence_of_arrays, leaves, map_structure
from kerastorch.core.ownership import is_from
from kerastorch.core.tables import check_is_read, is_column
from kerastorch.data.arrays import is_array_like
from kerastorch.data.batched_dataset import BatchedDataset
from kerastorch.data.finite_check import NonFiniteError
from kerastorch.data.item_lists import list_kind

Rows = np.ndarray[Any, np.dtype[np.int64]]


def is_dataset(data: Any) -> bool:
    """Return whether data yield single samples by their number, inputs and targets together."""
    if is_from(data, "datasets") and callable(getattr(data, "select", None)):
        return True
    return isinstance(data, Dataset) and not isinstance(data, IterableDataset) and hasattr(data, "__len__")


def is_sample_list(x: Any, name: str) -> bool:
    """Return whether a value is a list of samples `(x, y)`; only asked if there are no separate targets."""
    return list_kind(x, name) == "samples"


def count_rows(**data: Any) -> int:
    """Return the common number of rows of all data.

    Args:
        data: Arrays, structures of arrays, or datasets by the name of their argument; `None` has no rows.

    Raises:
        TypeError: Something has no rows that can be selected.
        ValueError: Two parts differ in their number of rows, or have none.
    """
    sizes: dict[str, int] = {}
    for name, one in data.items():
        _map_arrays(lambda leaf, label: sizes.setdefault(label, _length(leaf, label)), one, name)
    if next(iter(data.values())) is None or not sizes:
        raise ValueError(f"{next(iter(data))} must be given: arrays, tables, or a Dataset with a length.")
    first, length = next(iter(sizes.items()))
    for name, size in sizes.items():
        if size != length:
            raise ValueError(f"{first} has {length} rows, {name} has {size}.")
    if not length:
        raise ValueError(f"{first} has 0 rows.")
    return length


def take_rows(data: Any, rows: Rows) -> Any:
    """Return some rows of data as a copy of the same kind; `None` stays `None`.

    A DataFrame stays a DataFrame with its index, a tensor a tensor on its device, a dict of inputs a dict, a list a
    list. Of a `Dataset` a `Subset` is returned, which copies nothing.

    Args:
        data: Arrays, a structure of arrays, or a dataset.
        rows: Numbers of the rows, in the order of the result.
    """
    return _map_arrays(lambda leaf, _: _take(leaf, rows), data, "")


@contextmanager
def rows_of_all(rows: Rows, which: str) -> Iterator[None]:
    """Name rows by their numbers in all data, in the error about NaN or infinity in some of them.

    Args:
        rows: Numbers of the rows that are used within the block.
        which: What these rows are, for the message.

    Raises:
        ValueError: The rows have NaN or infinity.
    """
    try:
        yield
    except NonFiniteError as error:
        row = int(rows[error.row])
        raise ValueError(str(NonFiniteError(f"{error.what} among {which}", row, error.column))) from None


def _map_arrays(function: Callable[[Any, str], Any], data: Any, name: str) -> Any:
    """Apply a function to each array or dataset of a structure, as `fit` tells one array from several inputs."""
    if data is None:
        return None
    if isinstance(data, (Tensor, np.ndarray)) or is_dataset(data) or is_column(data):
        return function(data, name)
    if isinstance(data, Mapping):
        return {key: _map_arrays(function, part, f"{name}[{key!r}]") for key, part in data.items()}
    if is_record(data):
        names = iter([label for label, _ in leaves(data, name)])
        return map_structure(lambda leaf: function(leaf, next(names)), data)
    if is_sequence_of_arrays(data) and not is_object(data):
        parts = [_map_arrays(function, part, f"{name}[{index}]") for index, part in enumerate(data)]
        return type(data)(*parts) if hasattr(data, "_fields") else type(data)(parts)
    return function(data, name)


def _length(data: Any, name: str) -> int:
    """Return the number of rows of an array or a dataset."""
    if is_dataset(data):
        return len(data)
    is_text = isinstance(data, (str, bytes))
    if not is_text and (isinstance(data, (list, tuple, range)) or is_array_like(data)):
        shape = getattr(data, "shape", None)
        if shape is None:
            return len(data)
        if len(shape):
            return int(shape[0])
    check_is_read(data, name)
    advice = " Pass the dataset of the loader, loader.dataset." if hasattr(data, "dataset") else ""
    raise TypeError(
        f"{name} must have rows that can be selected: arrays, tables, or a Dataset with a length; got {shown(data)}."
        f"{advice}"
    )


def _take(data: Any, rows: Rows) -> Any:
    """Return some rows of an array or a dataset."""
    if isinstance(data, Tensor):
        return data[torch.as_tensor(rows, device=data.device)]
    if isinstance(data, np.ndarray):
        return data[rows]
    if is_dataset(data):
        return _take_samples(data, rows)
    if hasattr(data, "iloc"):
        return data.iloc[rows]
    if is_from(data, "polars"):
        return data[rows]
    if is_from(data, "pyarrow"):
        return data.take(rows)
    if is_scipy_sparse(data):
        return (data if hasattr(data, "__getitem__") and data.format == "csr" else data.tocsr())[rows]
    if shape_in_file(data) is not None:  # files are read in ascending order
        ordered, places = np.unique(rows, return_inverse=True)
        return np.asarray(data[ordered])[places]
    if isinstance(data, (list, tuple, range)):
        return [data[row] for row in rows.tolist()]
    return (from_array(data, "data").numpy() if is_column(data) else np.asarray(data))[rows]


def _take_samples(data: Any, rows: Rows) -> Any:
    """Return some samples of a dataset."""
    if isinstance(data, TensorDataset):
        return TensorDataset(*(_take(tensor, rows) for tensor in data.tensors))
    if isinstance(data, BatchedDataset) or is_from(data, "datasets"):
        return data.select(rows.tolist())
    return Subset(data, rows.tolist())
