"""Labels of rows: class labels in targets, groups and times, as NumPy arrays of one value for each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import shown, suggest, unknown
from kerastorch.core.tables import check_is_read, column_names, is_column

Labels = np.ndarray[Any, Any]
MAX_NUMBERS = 20  # floats of more different values are values, not classes


def row_labels(data: Any, name: str, rows: int) -> Labels:
    """Return one label for each row, as given: numbers, texts, dates.

    Args:
        data: An array, column or list of shape `(rows,)` or `(rows, 1)`.
        name: Name of the argument, for messages.
        rows: Number of rows.

    Raises:
        ValueError: The shape is different, or a label is missing.
    """
    check_is_read(data, name)
    array = to_array(data)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must have one value for each row, got {shown(data)}.")
    if len(array) != rows:
        raise ValueError(f"x has {rows} rows, {name} has {len(array)}.")
    missing = [one is None or one != one for one in array.tolist()] if array.dtype.kind == "O" else array != array
    if np.any(missing):
        raise ValueError(f"{name} is missing in row {int(np.argmax(missing))}.")
    return array


def group_labels(given: Any, arrays: Sequence[Any], rows: int) -> Labels:
    """Return the group of each row for the argument `groups`, as values that can be sorted.

    Args:
        given: Groups, or the name of a column.
        arrays: What may be a table with this column.
        rows: Number of rows.
    """
    found = labels_or_column(given, "groups", arrays, rows)
    return found.astype(str) if found.dtype.kind == "O" else found


def class_labels(y: Any) -> Labels | None:
    """Return the class of each row, `(rows,)`; `None` if targets have no single class for each row.

    One-hot rows become class numbers; other targets are returned as they are.

    Args:
        y: Targets: one array, column or list.
    """
    if y is None or isinstance(y, (dict, str)):
        return None
    try:
        array = to_array(y)
    except (TypeError, ValueError):  # several outputs
        return None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind in "biuf" and _is_one_hot(array):
        array = array.argmax(1)
    if array.ndim != 1 or array.dtype.kind not in "biufUSO":
        return None
    return array.astype(str) if array.dtype.kind == "O" else array  # intervals and mixed objects cannot be sorted


def labels_or_column(given: Any, name: str, arrays: Sequence[Any], rows: int) -> Labels:
    """Return the labels of the rows for an argument that holds them, or names a column of a table.

    Args:
        given: Labels, or the name of a column.
        name: Name of the argument, for messages.
        arrays: What may be a table with this column.
        rows: Number of rows.

    Raises:
        ValueError: No table has the column; the shape is different, or a label is missing.
    """
    if not isinstance(given, str):
        return row_labels(given, name, rows)
    tables = {label: one for one in reversed(arrays) for label in column_names(one) or ()}
    if given not in tables:
        known = [label for label in tables if isinstance(label, str)]
        raise unknown("column", given, known, f"{name} names a column.{suggest(given, known)}")
    return row_labels(tables[given][given], name, rows)


def are_classes(labels: Labels, rows_of_class: int) -> bool:
    """Return whether labels look like classes: names, or whole numbers that repeat often enough.

    Args:
        labels: One label for each row.
        rows_of_class: Number of rows that classes must have on average.
    """
    if labels.dtype.kind in "bUSO":
        return True
    kinds = np.unique(labels)
    if len(kinds) * rows_of_class > len(labels):
        return False
    if labels.dtype.kind == "f":
        return len(kinds) <= MAX_NUMBERS and bool(np.isfinite(kinds).all() and (kinds == np.round(kinds)).all())
    return True


def to_array(data: Any) -> Labels:
    """Return a tensor, column, list or array as a NumPy array, of any dtype."""
    if isinstance(data, Tensor):
        found = data.detach().cpu()
        return (found.float() if found.dtype == torch.bfloat16 else found).numpy()
    if is_column(data):
        return np.asarray(list(data))
    array = np.asarray(data)
    if array.dtype.kind == "O" and array.size and all(isinstance(one, str) for one in array.flat):
        return array.astype(str)
    return array


def _is_one_hot(array: Labels) -> bool:
    return array.shape[1] > 1 and bool((((array == 0) | (array == 1)).all(1) & (array.sum(1) == 1)).all())
