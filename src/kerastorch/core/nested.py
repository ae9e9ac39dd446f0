"""Structures of tensors: one tensor, or tensors nested in tuples, lists, dicts and dataclasses (pytrees)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

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
    if is_object(data):
        return function(data, *others)
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


def map_tensors(function: Callable[[Tensor], Any], data: Any) -> Any:
    """Apply a function to each tensor of a structure; other leaves stay as they are."""
    return map_structure(lambda leaf: function(leaf) if isinstance(leaf, Tensor) else leaf, data)


def is_object(data: Any) -> bool:
    """Return whether a value is a leaf that moves itself to a device by its method `to`.

    Packed sequences, graphs, and dicts and dataclasses with such a method are objects; tensors and arrays are not.
    """
    return not isinstance(data, _LEAF) and callable(getattr(type(data), "to", None))


def is_record(data: Any) -> bool:
    """Return whether an object is a dataclass with tensors or arrays in its fields; others are leaves."""
    if not dataclasses.is_dataclass(data) or isinstance(data, type) or is_object(data):
        return False
    values = (getattr(data, field.name) for field in dataclasses.fields(data))
    return any(isinstance(leaf, _LEAF) for value in values for _, leaf in leaves(value))


def holds_tensors(data: Any) -> bool:
    """Return whether an instance of a plain class has tensors or arrays among its attributes.

    Dataclasses, iterators, and what can be called or turned into an array, are not meant.

    >>> import types
    >>> holds_tensors(types.SimpleNamespace(a=Tensor([1.0]))), holds_tensors([Tensor([1.0])])
    (True, False)
    """
    if isinstance(data, (*_LEAF, type)) or dataclasses.is_dataclass(data) or not hasattr(data, "__dict__"):
        return False
    if any(hasattr(data, name) for name in ("__call__", "__next__", "__array__")):
        return False
    return any(isinstance(leaf, _LEAF) for value in vars(data).values() for _, leaf in leaves(value))


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
    if data is None:
        return
    if isinstance(data, _LEAF) or is_object(data):
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
    else:
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
    if getattr(part, "ndim", 0) >= 1 or isinstance(part, Mapping):
        return True
    shape = getattr(part, "shape", None)  # tables of polars and pyarrow have no `ndim`
    return isinstance(shape, tuple) and len(shape) > 0


def _is_nested_sequence(part: Any) -> bool:
    return isinstance(part, (list, tuple)) and is_sequence_of_arrays(part)


def _has_tensor(part: Any) -> bool:
    """Return whether a list holds tensors; arrays in lists of equal lengths may be one array of more axes."""
    return isinstance(part, (list, tuple)) and any(isinstance(one, Tensor) or _has_tensor(one) for one in part)


def batch_rows(x: Any) -> int:
    """Return the number of rows of a batch, or 1 if nothing shows it.

    The first tensor or array counts, else the first object that knows its size, else the first list of texts.
    """
    if isinstance(x, Tensor):
        return x.size(0) if x.ndim else 1  # nested tensors have no `shape`
    found = [leaf for _, leaf in leaves(x)]
    for leaf in found:
        if isinstance(leaf, _LEAF):
            return (leaf.size(0) if isinstance(leaf, Tensor) else len(leaf)) if leaf.ndim else 1
    rows = next((size for size in map(_rows_of_object, found) if size is not None), None)
    return rows or _length_of_texts(x) or 1


def _rows_of_object(value: Any) -> int | None:
    """Return the number of samples in a packed sequence, a batch of graphs, or an object with a batch size."""
    if isinstance(value, PackedSequence):
        return int(value.batch_sizes[0])  # always on the CPU
    for name in ("num_graphs", "batch_size"):
        size = getattr(value, name, None)
        size = size[0] if isinstance(size, torch.Size) and size else size
        if isinstance(size, int) and not isinstance(size, bool):
            return size
    return None


def is_list_of_texts(value: Any) -> bool:
    """Return whether a value is a list or tuple of strings, and not empty."""
    return isinstance(value, (tuple, list)) and len(value) > 0 and all(isinstance(one, str) for one in value)


def _length_of_texts(x: Any) -> int | None:
    """Return the length of the first list of texts in a structure."""
    if is_list_of_texts(x):
        return len(x)
    if isinstance(x, (tuple, list)):
        return next(filter(None, map(_length_of_texts, x)), None)
    return next(filter(None, map(_length_of_texts, x.values())), None) if isinstance(x, Mapping) else None


def copy_leaf(value: Any) -> Any:
    """Return a copy of a tensor, an array or an object, with memory of its own as far as it can be copied."""
    if isinstance(value, Tensor) or callable(getattr(value, "clone", None)):
        return value.clone()
    if not is_object(value):
        return copy.copy(value)
    try:
        return copy.deepcopy(value)
    except Exception:  # a tensor with a history cannot be copied deeply
        return copy.copy(value)
