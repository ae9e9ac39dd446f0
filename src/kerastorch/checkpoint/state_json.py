"""Conversion of nested state to JSON and separate tensors, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import CheckpointError, damaged_file

KIND, VALUE = "$", "value"  # keys of a value whose type JSON lacks: {"$": "tuple", "value": [...]}
_MAX_COLLISIONS = 64  # keys with the same hash as another one: with many, a dict from a file would take hours to build
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}


class Packed(NamedTuple):
    """State as JSON, and the tensors that the JSON refers to by name."""

    json: Any
    tensors: dict[str, Tensor]


def pack(value: Any) -> Packed:
    """Separate nested state into JSON and tensors.

    Tensors are named by their paths: `optimizer.0.exp_avg`. Numbers, text, `None`, lists, tuples, sets, mappings with
    any such keys, tensors, NumPy arrays and scalars, dtypes and devices are supported. `unpack` restores the same
    types, except that mappings become `dict` and NumPy scalars become Python numbers.

    Raises:
        CheckpointError: The state is nested too deeply, or contains itself.
        TypeError: A value has another type; the message has its path.

    >>> pack({"a": (1, torch.zeros(2))}).json
    {'a': {'$': 'tuple', 'value': [1, {'$': 'tensor', 'value': 'a.1'}]}}
    """
    tensors: dict[str, Tensor] = {}
    try:
        return Packed(_pack(value, "", tensors), tensors)
    except RecursionError:
        raise CheckpointError("What is to be saved is nested too deeply, or holds itself.") from None


def _pack(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Return a value as JSON; add its tensors to `tensors`."""
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
        return {KIND: "tensor", VALUE: _add_tensor(value, path, tensors)}
    if isinstance(value, np.ndarray):
        return {KIND: "array", VALUE: _add_tensor(_from_numpy(value, path), path, tensors)}
    if isinstance(value, (torch.dtype, torch.device)):
        return {KIND: type(value).__name__, VALUE: str(value).removeprefix("torch.")}
    if isinstance(value, Mapping):
        return _pack_mapping(value, path, tensors)
    if isinstance(value, (Sequence, Set)) and not isinstance(value, (bytes, bytearray, memoryview)):
        items = [_pack(item, _join(path, index), tensors) for index, item in enumerate(value)]
        if isinstance(value, Set):
            return {KIND: "frozenset" if isinstance(value, frozenset) else "set", VALUE: items}
        return {KIND: "tuple", VALUE: items} if isinstance(value, tuple) else items
    raise TypeError(f"{path or 'the state'} is a {type(value).__name__}, which cannot be saved.")


def _pack_mapping(value: Mapping[Any, Any], path: str, tensors: dict[str, Tensor]) -> Any:
    """Return a mapping as a JSON object if its keys are text, else as a list of pairs."""
    if all(isinstance(key, str) for key in value) and KIND not in value:
        return {key: _pack(item, _join(path, key), tensors) for key, item in value.items()}
    pairs = [[_pack(key, path, tensors), _pack(item, _join(path, key), tensors)] for key, item in value.items()]
    return {KIND: "map", VALUE: pairs}


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _add_tensor(tensor: Tensor, path: str, tensors: dict[str, Tensor]) -> str:
    """Add a tensor under its path, with a number if this name is taken; return the name."""
    name, number = path or "value", 0
    while name in tensors or name == "__metadata__":  # which safetensors reserves
        number += 1
        name = f"{path}#{number}"
    tensors[name] = tensor
    return name


def _from_numpy(array: np.ndarray[Any, Any], path: str) -> Tensor:
    try:
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("=")))
    except TypeError:
        raise TypeError(f"{path} is an array of {array.dtype}, which cannot be saved.") from None


def unpack(json: Any, tensors: Mapping[str, Tensor], name: str) -> Any:
    """Return the state that `pack` has separated.

    Args:
        json: JSON as `pack` returns it; it comes from a file, so any other JSON raises an error.
        tensors: Tensors by name.
        name: Name of the file, for error messages.

    Raises:
        CheckpointCorruptError: `pack` does not return such JSON.
    """
    try:
        return _unpack(json, tensors)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as error:
        raise damaged_file(name, repr(error)) from error


def _unpack(json: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(json, list):
        return [_unpack(item, tensors) for item in json]
    if not isinstance(json, dict):
        return json
    if KIND not in json:
        return {key: _unpack(item, tensors) for key, item in json.items()}
    kind, value = json[KIND], json[VALUE]
    if kind == "tensor":
        return tensors[value]
    if kind == "array":
        return tensors[value].numpy()
    if isinstance(value, list):
        return _make_collection(kind, [_unpack(item, tensors) for item in value])
    if kind == "float" and value in ("nan", "inf", "-inf"):
        return float(value)
    if kind == "dtype":
        return _DTYPES[value]
    if kind == "device" and isinstance(value, str):
        return torch.device(value)
    raise ValueError(f"{kind!r} is not known")


def _make_collection(kind: Any, items: list[Any]) -> Any:
    """Return the tuple, set, frozenset or mapping of these items."""
    if kind == "tuple":
        return tuple(items)
    if kind in ("set", "frozenset"):
        _check_collisions(items)
        return set(items) if kind == "set" else frozenset(items)
    if kind == "map" and all(isinstance(pair, list) and len(pair) == 2 for pair in items):
        _check_collisions(key for key, _ in items)
        return dict(items)
    raise ValueError(f"{kind!r} is not known")


def _check_collisions(keys: Iterable[Any]) -> None:
    hashes = [hash(key) for key in keys]
    if len(hashes) - len(set(hashes)) > _MAX_COLLISIONS:
        raise ValueError("too many keys have the same hash")
