"""Reading tables and columns of pandas, polars, pyarrow and Hugging Face datasets as NumPy arrays.

None of these packages is imported: an object that comes from one shows that it is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kerastorch.core.ownership import is_from

Array = np.ndarray[Any, Any]
_NUMBERS = "biuf"


def is_column(data: Any) -> bool:
    """Return whether an object is a column of a Hugging Face dataset, `dataset["name"]`."""
    return is_from(data, "datasets") and hasattr(data, "column_name") and hasattr(data, "source")


def check_is_read(data: Any, name: str) -> None:
    """Raise if data are a query of polars, whose rows are not read yet.

    Args:
        data: Anything.
        name: Name of the argument, for messages.

    Raises:
        TypeError: The data are a `LazyFrame`.
    """
    if is_from(data, "polars") and callable(getattr(data, "collect", None)):
        raise TypeError(f"{name} is a {type(data).__name__}, whose rows are not read yet. Pass {name}.collect().")


def table_to_numpy(data: Any, name: str) -> Array | None:
    """Return a table or a column as an array of numbers, `(rows, columns)` or `(rows,)`; `None` for other objects.

    Missing numbers become NaN.

    Args:
        data: A DataFrame or Series of pandas or polars, a table or array of pyarrow, a column of a Hugging Face
            dataset.
        name: Name of the argument, for messages.

    Raises:
        TypeError: A column does not hold numbers; the message names it.
    """
    check_is_read(data, name)
    if is_column(data):
        return _nested(_column_values(data), f"{name} column {data.column_name!r}")
    columns = _columns(data)
    if columns is not None:
        whole = _shared_memory(data)
        if whole is not None:
            return whole
        arrays = [_checked(_values(column), f"{name} column {label!r}", column) for label, column in columns]
        return np.stack(arrays, axis=1) if arrays else np.empty((len(data), 0))
    if not _is_series(data):
        return None
    label = getattr(data, "name", None)
    return _nested(_values(data), f"{name} column {label!r}" if label else name)


def _shared_memory(data: Any) -> Array | None:
    """Return the array of a pandas DataFrame whose columns have one NumPy dtype, which is not copied; else `None`."""
    dtypes = set(getattr(data, "dtypes", ())) if hasattr(data, "iloc") else set()
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    return np.asarray(data) if isinstance(dtype, np.dtype) and dtype.kind in _NUMBERS else None


def column_names(data: Any) -> list[Any] | None:
    """Return the column names of a table, or `None` for other data."""
    columns = _columns(data)
    return None if columns is None else [label for label, _ in columns]


def _columns(data: Any) -> list[tuple[Any, Any]] | None:
    """Return name and values of each column of a table."""
    if is_from(data, "polars") and callable(getattr(data, "get_columns", None)):
        return [(column.name, column) for column in data.get_columns()]
    if hasattr(data, "columns") and hasattr(data, "dtypes") and hasattr(data, "iloc"):
        return [(label, data.iloc[:, at]) for at, label in enumerate(data.columns)]
    if is_from(data, "pyarrow") and hasattr(data, "column_names") and hasattr(data, "columns"):
        return list(zip(data.column_names, data.columns, strict=True))
    return None


def _is_series(data: Any) -> bool:
    if is_from(data, "pyarrow"):
        return hasattr(data, "type") and callable(getattr(data, "to_numpy", None))
    return (is_from(data, "polars") or hasattr(data, "iloc")) and callable(getattr(data, "to_numpy", None))


def _values(column: Any) -> Array:
    """Return the values of a column, with NaN for missing numbers."""
    if is_from(column, "pyarrow"):
        return np.asarray(column)
    if is_from(column, "polars"):
        values = np.asarray(column.to_numpy())
        return values.astype(np.float64) if str(column.dtype).startswith("Decimal") else values
    kind = getattr(column.dtype, "kind", "O")
    if isinstance(column.dtype, np.dtype) or kind not in _NUMBERS:
        return np.asarray(column)
    dtype = column.dtype.numpy_dtype
    if column.isna().any():  # an integer or boolean cannot be missing in NumPy
        dtype = dtype if kind == "f" else np.dtype(np.float64)
        return np.asarray(column.to_numpy(dtype, na_value=np.nan))
    return np.asarray(column.to_numpy(dtype))


def _column_values(column: Any) -> Any:
    """Return all values of a column of a Hugging Face dataset as an array or a list."""
    source = column.source
    if callable(getattr(source, "with_format", None)) and source.format["type"] != "custom":
        return source.select_columns([column.column_name]).with_format("numpy")[:][column.column_name]
    return list(column)


def _nested(values: Any, name: str) -> Array:
    """Return the values of one column, which may be lists or arrays of equal lengths."""
    array = np.asarray(values) if not isinstance(values, list) else _rectangular(values, name)
    if array.dtype.kind == "O" and len(array) and _is_list(array[0]):
        array = _rectangular(list(array), name)
    return _checked(array, name, values)


def _rectangular(rows: list[Any], name: str) -> Array:
    lengths = {len(row) for row in rows if _is_list(row)}
    if len(lengths) > 1:
        raise ValueError(
            f"{name} has lists of {min(lengths)} to {max(lengths)} values. Pad them to one length, as "
            "utils.pad_sequences does."
        )
    return np.asarray([np.asarray(row) for row in rows])


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _checked(array: Array, name: str, column: Any) -> Array:
    """Return the values of a column if they are numbers, else raise a TypeError."""
    if array.dtype.kind in _NUMBERS:
        return array
    dtype = getattr(column, "dtype", None) or getattr(column, "type", None) or array.dtype
    first = next((value for value in array.flat if value is not None), None)
    is_text = array.dtype.kind in "UST" or isinstance(first, str)
    advice = ""
    if is_text:
        advice = (
            " layers.StringLookup numbers the words of an input, numpy.unique(labels, return_inverse=True)[1] the "
            "classes of a target."
        )
    raise TypeError(f"{name} has dtype {dtype}; encode it as numbers first.{advice}")
