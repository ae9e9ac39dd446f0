"""Slices: groups of rows with the same value of a column, which are evaluated on their own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from kerastorch.core.errors import shown
from kerastorch.core.tables import column_names
from kerastorch.evaluation.predictions import Array

MAX_NUMBERS = 10  # different numbers of a column; more are cut into quarters
MAX_GROUPS = 100
MISSING = "missing"


@dataclass(frozen=True)
class Slice:
    """The rows with one value of a column.

    Attributes:
        column: Name of the column.
        value: The value, or the range of a column of numbers.
        n_rows: Number of rows.
        metrics: Metrics of these rows.
        intervals: Bootstrap intervals of the metrics.
        is_small: Whether there are so few rows that the metrics say little.
    """

    column: str
    value: str
    n_rows: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    is_small: bool

    @property
    def name(self) -> str:
        """Return the column and the value, `"sex=female"`."""
        return f"{self.column}={self.value}"


def find_groups(by: Any, x: Any, n_rows: int) -> dict[str, dict[str, Array]]:
    """Return the rows of each slice: column -> value -> bool `(rows,)`.

    Args:
        by: The name of a column of `x`, or several; an array of labels; or a dict or table of them.
        x: The inputs, for names of columns.
        n_rows: Number of rows of the report.

    Raises:
        ValueError: There is no such column; labels have another number of rows, or too many different values.
    """
    return {name: _groups(name, labels, n_rows) for name, labels in _columns(by, x).items()}


def _columns(by: Any, x: Any) -> dict[str, Any]:
    """Return labels by the name of their column."""
    if by is None:
        return {}
    if isinstance(by, str):
        return {by: _column_of(x, by)}
    table = column_names(by)
    if table is not None:
        return {str(name): by[name] for name in table}
    if isinstance(by, Mapping):
        return {str(name): _column_of(x, one) if isinstance(one, str) else one for name, one in by.items()}
    known = _known_columns(x)
    if isinstance(by, (list, tuple)) and by and known and all(isinstance(one, str) and one in known for one in by):
        return {name: _column_of(x, name) for name in by}
    name = getattr(by, "name", None)
    return {name if isinstance(name, str) and name else "group": by}


def _known_columns(x: Any) -> list[str]:
    found = list(x) if isinstance(x, Mapping) else column_names(x)
    return [str(one) for one in found or []]


def _column_of(x: Any, name: str) -> Any:
    known = _known_columns(x)
    if name in known:
        return x[name]
    if not known:
        raise ValueError(
            f"by={name!r} names a column, and x has no named columns: it is {shown(x)}. Pass the labels themselves, "
            "one for each row: by={'" + name + "': labels}."
        )
    raise ValueError(f"x has no column {name!r}; it has {', '.join(known[:20])}. Or pass the labels: by=labels.")


def _groups(name: str, labels: Any, n_rows: int) -> dict[str, Array]:
    """Return the rows with each value of a column, in the order of the values."""
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu().numpy()
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"by: {name!r} must hold one label for each row, got {shown(labels)}.")
    if len(array) != n_rows:
        raise ValueError(
            f"by: {name!r} has {len(array)} labels, and the report {n_rows} rows. Pass one label for each row. (A mask "
            "leaves out steps, and each step that is left counts as a row.)"
        )
    is_missing = np.array([one is None or one != one or str(one) == "<NA>" for one in array.tolist()])
    found = _numbers(array, is_missing) if array.dtype.kind in "iuf" else _texts(array, is_missing)
    if len(found) > MAX_GROUPS:
        raise ValueError(
            f"by: {name!r} has {len(found)} different values, which are too many slices. Group them first, as "
            "pandas.cut does."
        )
    if is_missing.any():
        found[MISSING] = is_missing
    return found


def _texts(array: Array, is_missing: Array) -> dict[str, Array]:
    texts = np.array([str(one) for one in array.tolist()])
    return {str(value): (texts == value) & ~is_missing for value in np.unique(texts[~is_missing])}


def _numbers(array: Array, is_missing: Array) -> dict[str, Array]:
    """Return the rows of each number, or of the quarters of the numbers if there are many different ones."""
    values = np.unique(array[~is_missing])
    if len(values) <= MAX_NUMBERS:
        return {text: array == value for text, value in zip(texts_of_numbers(values), values, strict=True)}
    edges = np.unique(np.quantile(array[~is_missing].astype(np.float64), [0, 0.25, 0.5, 0.75, 1]))
    texts = texts_of_numbers(edges, 4)
    found = {}
    for number, (low, high) in enumerate(itertools.pairwise(edges.tolist())):
        is_within = (array <= high) & ((array > low) if number else (array >= low))
        found[f"{texts[number]} to {texts[number + 1]}"] = is_within & ~is_missing
    return found


def texts_of_numbers(values: Array, digits: int = 6) -> list[str]:
    """Return different numbers as different texts, with as few digits as that needs.

    Args:
        values: Different numbers, `(n,)`.
        digits: The least number of digits of numbers that are not whole.

    >>> texts_of_numbers(np.array([0.1, 2.0])), texts_of_numbers(np.array([1234567, 1234568]))
    (['0.1', '2'], ['1234567', '1234568'])
    """
    if values.dtype.kind != "f":
        return [str(int(value)) for value in values]
    texts = [f"{value:.{digits}g}" for value in values]
    for more in range(digits, 18):
        if len(set(texts)) == len(texts):
            break
        texts = [np.format_float_positional(value, more, unique=False, fractional=False, trim="-") for value in values]
    return texts
