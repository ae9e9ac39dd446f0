"""Nested state as JSON, with its tensors apart; and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import CheckpointError, damaged_file

KIND, VALUE = "$", "value"  # of what JSON has no word for: {"$": "tuple", "value": [...]}
_COLLISIONS = 64  # keys that may share a hash with another: a file could make a dict search for hours


class Packed(NamedTuple):
    """JSON, and the tensors it names."""

    json: Any
    tensors: dict[str, Tensor]


def pack(value: Any) -> Packed:
    """`value` without its tensors, which are named after their places in it: `optimizer.0.exp_avg`.

    It may hold numbers, text, `None`, lists, tuples, sets, mappings with any such keys, tensors, NumPy arrays and
    scalars, dtypes and devices. What comes back is of the same types, mappings as `dict`, NumPy scalars as Python's.

    Raises:
        CheckpointError: it is nested too deeply, or holds itself.
        TypeError: something else, with its place.

    >>> pack({"a": (1, torch.zeros(2))}).json
    {'a': {'$': 'tuple', 'value': [1, {'$': 'tensor', 'value': 'a.1'}]}}
    """
    tensors: dict[str, Tensor] = {}
    try:
        return Packed(_packed(value, "", tensors), tensors)
    except RecursionError:
        raise CheckpointError("What is to be saved is nested too deeply, or holds itself.") from None


def _packed(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else {KIND: "float", VALUE: repr(number)}
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Tensor):
        return {KIND: "tensor", VALUE: _put(value, place, tensors)}
    if isinstance(value, np.ndarray):
        return {KIND: "array", VALUE: _put(_from_numpy(value, place), place, tensors)}
    if isinstance(value, (torch.dtype, torch.device)):
        return {KIND: type(value).__name__, VALUE: str(value).removeprefix("torch.")}
    if isinstance(value, Mapping):
        return _mapping(value, place, tensors)
    if isinstance(value, (Sequence, Set)) and not isinstance(value, (bytes, bytearray, memoryview)):
        items = [_packed(item, _inside(place, at), tensors) for at, item in enumerate(value)]
        if isinstance(value, Set):
            return {KIND: "frozenset" if isinstance(value, frozenset) else "set", VALUE: items}
        return {KIND: "tuple", VALUE: items} if isinstance(value, tuple) else items
    raise TypeError(f"{place or 'the state'} is a {type(value).__name__}, which cannot be saved.")


def _mapping(value: Mapping[Any, Any], place: str, tensors: dict[str, Tensor]) -> Any:
    if all(isinstance(key, str) for key in value) and KIND not in value:
        return {key: _packed(item, _inside(place, key), tensors) for key, item in value.items()}
    pairs = [[_packed(key, place, tensors), _packed(item, _inside(place, key), tensors)] for key, item in value.items()]
    return {KIND: "map", VALUE: pairs}


def _inside(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


def _put(tensor: Tensor, place: str, tensors: dict[str, Tensor]) -> str:
    name, number = place or "value", 0
    while name in tensors or name == "__metadata__":
        number += 1
        name = f"{place}#{number}"
    tensors[name] = tensor
    return name


def _from_numpy(array: np.ndarray[Any, Any], place: str) -> Tensor:
    try:
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("=")))
    except TypeError:
        raise TypeError(f"{place} is an array of {array.dtype}, which cannot be saved.") from None


def unpack(json: Any, tensors: Mapping[str, Tensor], name: str) -> Any:
    """What `pack` was given.

    Args:
        json: as `pack` made it, or as anybody may have written it.
        tensors: by name.
        name: of the file, for messages.

    Raises:
        CheckpointCorruptError: `pack` does not write such a thing.
    """
    try:
        return _unpacked(json, tensors)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as error:
        raise damaged_file(name, repr(error)) from error


def _unpacked(json: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(json, list):
        return [_unpacked(item, tensors) for item in json]
    if not isinstance(json, dict):
        return json
    if KIND not in json:
        return {key: _unpacked(item, tensors) for key, item in json.items()}
    kind, value = json[KIND], json[VALUE]
    if kind == "tensor":
        return tensors[value]
    if kind == "array":
        return tensors[value].numpy()
    if isinstance(value, list):
        return _gathered(kind, [_unpacked(item, tensors) for item in value])
    if kind == "float" and value in ("nan", "inf", "-inf"):
        return float(value)
    if kind == "dtype":
        return _DTYPES[value]
    if kind == "device" and isinstance(value, str):
        return torch.device(value)
    raise ValueError(f"{kind!r} is not known")


def _gathered(kind: Any, items: list[Any]) -> Any:
    if kind == "tuple":
        return tuple(items)
    if kind in ("set", "frozenset"):
        _tell_apart(items)
        return set(items) if kind == "set" else frozenset(items)
    if kind == "map" and all(isinstance(pair, list) and len(pair) == 2 for pair in items):
        _tell_apart(key for key, _ in items)
        return dict(items)
    raise ValueError(f"{kind!r} is not known")


def _tell_apart(keys: Iterable[Any]) -> None:
    hashes = [hash(key) for key in keys]
    if len(hashes) - len(set(hashes)) > _COLLISIONS:
        raise ValueError("too many keys have the same hash")


_DTYPES = {str(found).removeprefix("torch."): found for found in vars(torch).values() if isinstance(found, torch.dtype)}
