"""The kind of data that a user gives, as messages name it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from torch.nn.utils.rnn import PackedSequence
from torch.utils.data import DataLoader, Dataset, IterableDataset

from kerastorch.core.tables import check_is_read
from kerastorch.data import arrays
from kerastorch.data.item_lists import is_one_object, list_kind
from kerastorch.data.prepared_batches import advice_for_an_object
from kerastorch.data.sequences import is_py_dataset, is_sequence_of_batches

SEQUENCE = "sequence of batches"
OBJECT = "single object"


def kind_of(x: Any, y: Any, name: str, row_axes: int) -> str:
    """Return the kind of data, as messages name it."""
    if isinstance(x, (str, bytes, os.PathLike)):
        raise TypeError(f"{name} is {x!r}, and data are arrays. Read the file first, as pandas.read_csv(path) does.")
    check_is_read(x, name)
    if isinstance(x, DataLoader):
        return "DataLoader"
    if isinstance(x, IterableDataset):
        return "IterableDataset"
    if isinstance(x, Dataset):
        return "Dataset"
    if isinstance(x, PackedSequence):  # a tuple, too
        return OBJECT
    listed = list_kind(x, name, row_axes) if y is None else None
    if listed is not None:
        return "list of batches" if listed == "batches" else "Dataset"
    if arrays.is_array(x):
        return "arrays"
    if is_one_object(x):
        return OBJECT
    if hasattr(x, "__getitem__") and (hasattr(x, "__len__") or is_py_dataset(x)):
        return SEQUENCE if is_sequence_of_batches(x) else "Dataset"
    if isinstance(x, Iterator):
        return "generator"
    if callable(x):
        return "function that returns batches"
    if isinstance(x, Iterable):
        return "iterable"
    raise TypeError(
        f"{name} must be arrays, a Dataset, a DataLoader, a generator or a function that returns one, "
        f"got {type(x).__name__}.{advice_for_an_object(x)}"
    )
