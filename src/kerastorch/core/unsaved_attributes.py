"""What objects of the user's own remember in attributes that no checkpoint holds: noticed, so that it can be told."""

from __future__ import annotations

import weakref
from collections.abc import Collection
from typing import Any

import numpy as np
from torch import Tensor, nn

from kerastorch.core.ownership import is_third_party
from kerastorch.core.torch_private import base_of, write_count

Snapshot = dict[str, Any]

DEPTH = 3  # of lists in lists
MANY = 64  # entries: of longer lists and dicts only the length is compared
FEW = 2**16  # bytes
_OTHER = object()


def declares_state(holder: Any, base: type, words: Collection[str]) -> bool:
    """Whether an object says itself what of it is kept: by its class, or by one of the words, which `base` has too."""
    if not is_third_party(holder):
        return True
    said = [vars(holder), *(vars(part) for part in type(holder).__mro__ if part is not base)]
    return any(word in about for about in said for word in words)


def snapshot(holder: Any, but: Collection[str] = ()) -> Snapshot:
    """The attributes that may be a state: numbers, text, tensors, arrays, and lists, tuples, sets and dicts of them.

    >>> import torch
    >>> class Counter:
    ...     count, names = 0, ()
    >>> counter = Counter()
    >>> before = seen(counter)
    >>> counter.count += 1
    >>> changed(counter, before)
    ['count']
    >>> counter.hidden = (torch.zeros(2), torch.zeros(2))
    >>> changed(counter, before)
    ['count', 'hidden']
    """
    found = {name: _mark(value, DEPTH) for name, value in vars(holder).items() if name not in but}
    return {name: mark for name, mark in found.items() if mark is not _OTHER}


def _mark(value: Any, depth: int) -> Any:
    """Something that is equal as long as the value is the same; `_OTHER` of what is no state by itself."""
    if isinstance(value, (int, float, str, type(None))):
        return value
    if isinstance(value, nn.Parameter) or isinstance(base_of(value), nn.Parameter):
        return _OTHER  # what it is in training is kept with the model
    if isinstance(value, (Tensor, np.ndarray)):
        return _Array(value)
    if isinstance(value, (list, tuple, dict)) and depth and len(value) <= MANY:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return len(value), [(str(key), _mark(one, depth - 1)) for key, one in parts]
    if isinstance(value, (list, set, dict)):
        return len(value)
    return _OTHER


class _Array:
    """Equal to another of the same tensor or array that nothing was written to; its numbers are not looked at."""

    def __init__(self, value: Tensor | np.ndarray) -> None:
        self._value = weakref.ref(value)
        self._version = _version(value)

    def __eq__(self, other: object) -> bool:
        own = self._value()
        return (
            own is not None and isinstance(other, _Array) and own is other._value() and self._version == other._version
        )

    __hash__ = None  # type: ignore[assignment]


def _version(value: Tensor | np.ndarray) -> Any:
    """What changes with each write in place; of an array, which counts none, its bytes if they are few."""
    if isinstance(value, Tensor):
        return None if value.is_inference() else write_count(value)
    return value.tobytes() if value.nbytes <= FEW and value.dtype != object else None


def changed_attributes(holder: Any, before: Snapshot, but: Collection[str] = ()) -> list[str]:
    """The names of those that are not as they were."""
    return [name for name, value in snapshot(holder, but).items() if name not in before or before[name] != value]
