"""Selecting rows of a batch: of its arrays, and of lists that have an item for each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from kerastorch.core.nested import batch_rows, is_list_of_texts, is_object, map_structure
from kerastorch.data.batches import Batch
from kerastorch.data.sample_lists import is_list_of_dicts


class NoRowsError(ValueError):
    """A batch holds something that has no rows."""


def number_of_rows(batch: Batch) -> int:
    """Return the number of rows of a batch: of a list of dicts, if there is one, as the targets of detection models."""
    return _length_of_dicts(tuple(batch)) or batch_rows(batch.x)


def cut_batch(batch: Batch, rows: range) -> Batch:
    """Return consecutive rows of a batch.

    Lists with an item for each row, such as texts, are cut as arrays are. If the batch has a list of dicts, so are its
    lists of arrays, such as images of different sizes.

    Args:
        batch: The batch; what it holds is not copied.
        rows: The numbers of the rows.

    Raises:
        NoRowsError: It holds something that has no rows.
    """
    total, has_dicts = number_of_rows(batch), bool(_length_of_dicts(tuple(batch)))

    def select(value: Any) -> Any:
        if not isinstance(value, (Tensor, np.ndarray)) or not value.ndim or value.shape[0] != total:
            raise NoRowsError(f"a batch of {total} rows holds {_describe(value)}")
        return value[rows.start : rows.stop]

    def cut(part: Any) -> Any:
        if is_object(part) or hasattr(part, "_fields"):
            return map_structure(select, part)
        if isinstance(part, (list, tuple)):
            has_items = len(part) == total and (has_dicts or is_list_of_texts(part))
            return part[rows.start : rows.stop] if has_items else type(part)(map(cut, part))
        if isinstance(part, Mapping):
            return {name: cut(one) for name, one in part.items()}
        return map_structure(select, part)

    return Batch(*map(cut, batch))


def _length_of_dicts(value: Any) -> int | None:
    """Return the length of the first list of dicts in a structure."""
    if is_list_of_dicts(value):
        return len(value)
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return next(filter(None, map(_length_of_dicts, value)), None) if isinstance(value, (list, tuple)) else None


def _describe(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
