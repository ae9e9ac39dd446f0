"""Structures of tensors: one tensor, or tensors nested in tuples, lists, dicts and dataclasses (pytrees)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

_LEAF = (Tensor, np.ndarray)  # checked first: `isinstance(x, Mapping)` is slower


def map_structure(function: Callable[..., Any], data: Any, *others: Any) -> Any:
    """Apply a function to each leaf of a structure and return the results in the same structure.

    Args:
        function: Called with a leaf of `data` and the matching leaves of `others`; not called for `None`.
        data: Tensors, arrays or other objects, alone or in tuples, lists, dicts and dataclasses.
        others: Structures like `data`.

    Raises:
        ValueError: A list in `others` has a different length, or a dict has different keys.
    """
    if isinstance(data, _LEAF):
        return function(data, *others)
    if data is None:
        return None
    if isinstance(data, Mapping):
        for other in others:
            if data.keys() != other.keys():
                raise ValueError(f"the keys {list(data)} and {list(other)} differ.")
        return {key: map_structure(function, data[key], *(other[key] for other in others)) for key in data}
    if isinstance(data, (tuple, list)):
        parts = [map_structure(function, *items) for items in zip(data, *others, strict=True)]
        return type(data)(*parts) if hasattr(data, "_fields") else type(data)(parts)
    if is_record(data):
        return _map_fields(function, data, *others)
    return function(data, *others)


def is_record(data: Any) -> bool:
    """Return whether an object is a dataclass with tensors or arrays in its fields; others are leaves."""
    if not dataclasses.is_dataclass(data) or isinstance(data, type):
        return False
    values = (getattr(data, field.name) for field in dataclasses.fields(data))
    return any(isinstance(leaf, _LEAF) for value in values for _, leaf in leaves(value))


def _map_fields(function: Callable[..., Any], data: Any, *others: Any) -> Any:
    """Return a copy of a dataclass with the mapped fields; its `__init__` is not called."""
    mapped = copy.copy(data)
    for field in dataclasses.fields(data):
        values = (getattr(one, field.name) for one in (data, *others))
        object.__setattr__(mapped, field.name, map_structure(function, *values))
    return mapped


def leaves(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each leaf but `None`.

    >>> [label for label, _ in leaves({"a": [1, 2], "b": 3}, "x")]
    ["x['a'][0]", "x['a'][1]", "x['b']"]
    """
    if isinstance(data, _LEAF):
        yield name, data
    elif isinstance(data, Mapping):
        for key, part in data.items():
            yield from leaves(part, f"{name}[{key!r}]")
    elif isinstance(data, (tuple, list)):
        for index, part in enumerate(data):
            yield from leaves(part, f"{name}[{index}]")
    elif is_record(data):
        for field in dataclasses.fields(data):
            yield from leaves(getattr(data, field.name), f"{name}.{field.name}")
    elif data is not None:
        yield name, data


def first_rows(data: Any) -> int:
    """Return the number of rows of the first leaf of a structure.

    Raises:
        ValueError: There is no leaf.
    """
    if isinstance(data, _LEAF):
        return int(data.shape[0])
    for _, leaf in leaves(data):
        return len(leaf)
    raise ValueError("There is no data.")


def is_sequence_of_arrays(data: Any) -> bool:
    """Return whether a list or tuple holds several arrays, and is not one array as a list."""
    return (
        isinstance(data, Sequence)
        and not isinstance(data, str)
        and any(part is not None for part in data)
        and all(part is None or _is_array_or_mapping(part) or _is_nested_sequence(part) for part in data)
        and any(_is_array_or_mapping(part) or _has_tensor(part) for part in data)
    )


def _is_array_or_mapping(part: Any) -> bool:
    return getattr(part, "ndim", 0) >= 1 or isinstance(part, Mapping)


def _is_nested_sequence(part: Any) -> bool:
    return isinstance(part, (list, tuple)) and is_sequence_of_arrays(part)


def _has_tensor(part: Any) -> bool:
    """Return whether a list holds tensors; arrays in lists of equal lengths may be one array of more axes."""
    return isinstance(part, (list, tuple)) and any(isinstance(one, Tensor) or _has_tensor(one) for one in part)


def batch_rows(x: Any) -> int:
    """Return the number of rows of a batch: the length of its first leaf, or 1 if it has none."""
    if isinstance(x, Tensor):
        return x.shape[0] if x.ndim else 1
    return next((len(leaf) for _, leaf in leaves(x)), 1)
