"""Structures of tensors: one tensor, or tensors nested in tuples, lists and dicts (pytrees)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

_LEAF = (Tensor, np.ndarray)  # checked first: `isinstance(x, Mapping)` is slower


def map_structure(function: Callable[..., Any], data: Any, *others: Any) -> Any:
    """Apply a function to each leaf of a structure and return the results in the same structure.

    Args:
        function: Called with a leaf of `data` and the matching leaves of `others`; not called for `None`.
        data: Tensors, arrays or other objects, alone or in tuples, lists and dicts.
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
    return function(data, *others)


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
        and all(part is None or getattr(part, "ndim", 0) >= 1 or isinstance(part, Mapping) for part in data)
    )


def batch_rows(x: Any) -> int:
    """Return the number of rows of a batch: the length of its first leaf, or 1 if it has none."""
    if isinstance(x, Tensor):
        return x.shape[0] if x.ndim else 1
    return next((len(leaf) for _, leaf in leaves(x)), 1)
