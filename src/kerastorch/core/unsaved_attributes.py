"""Detecting state of users' objects that checkpoints do not contain, in order to warn about it."""

from __future__ import annotations

import weakref
from collections.abc import Collection
from typing import Any

import numpy as np
from torch import Tensor, nn

from kerastorch.core.ownership import is_third_party
from kerastorch.core.torch_private import base_of, write_count

Snapshot = dict[str, Any]

MAX_DEPTH = 3  # levels of nested lists and dicts whose entries are compared
MAX_ENTRIES = 64  # of longer lists and dicts only the length is compared
MAX_BYTES = 2**16  # of larger arrays the values are not compared
_NO_STATE = object()


def declares_state(holder: Any, base: type, words: Collection[str]) -> bool:
    """Return whether an object declares which of its state a checkpoint contains.

    Args:
        holder: An object of the user, such as a callback.
        base: The base class of such objects, whose own attributes do not count.
        words: Names of attributes or methods, one of which a class or instance with declared state defines.
    """
    if not is_third_party(holder):
        return True
    namespaces = [vars(holder), *(vars(part) for part in type(holder).__mro__ if part is not base)]
    return any(word in namespace for namespace in namespaces for word in words)


def snapshot(holder: Any, exclude: Collection[str] = ()) -> Snapshot:
    """Return a fingerprint of each attribute that may be state, for `changed_attributes`.

    State is numbers, text, tensors, arrays, and lists, tuples, sets and dicts of them.

    >>> import torch
    >>> class Counter:
    ...     count, names = 0, ()
    >>> counter = Counter()
    >>> before = snapshot(counter)
    >>> counter.count += 1
    >>> changed_attributes(counter, before)
    ['count']
    >>> counter.hidden = (torch.zeros(2), torch.zeros(2))
    >>> changed_attributes(counter, before)
    ['count', 'hidden']
    """
    found = {name: _fingerprint(value, MAX_DEPTH) for name, value in vars(holder).items() if name not in exclude}
    return {name: fingerprint for name, fingerprint in found.items() if fingerprint is not _NO_STATE}


def _fingerprint(value: Any, depth: int) -> Any:
    """Return an object that stays equal as long as the value is the same, or `_NO_STATE`."""
    if isinstance(value, (int, float, str, type(None))):
        return value
    if isinstance(value, nn.Parameter) or isinstance(base_of(value), nn.Parameter):
        return _NO_STATE  # weights and views of them are saved with the model
    if isinstance(value, (Tensor, np.ndarray)):
        return _ArrayIdentity(value)
    if isinstance(value, (list, tuple, dict)) and depth and len(value) <= MAX_ENTRIES:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return len(value), [(str(key), _fingerprint(one, depth - 1)) for key, one in parts]
    if isinstance(value, (list, set, dict)):
        return len(value)
    return _NO_STATE


class _ArrayIdentity:
    """The identity of a tensor or array, and of its content: by the count of writes, not by the values."""

    def __init__(self, value: Tensor | np.ndarray) -> None:
        self._value = weakref.ref(value)
        self._version = _version(value)

    def __eq__(self, other: object) -> bool:
        own = self._value()
        return (
            own is not None
            and isinstance(other, _ArrayIdentity)
            and own is other._value()
            and self._version == other._version
        )

    __hash__ = None  # type: ignore[assignment]


def _version(value: Tensor | np.ndarray) -> Any:
    """Return torch's count of writes to a tensor, or the bytes of a small array."""
    if isinstance(value, Tensor):
        return None if value.is_inference() else write_count(value)
    return value.tobytes() if value.nbytes <= MAX_BYTES and value.dtype != object else None


def changed_attributes(holder: Any, before: Snapshot, exclude: Collection[str] = ()) -> list[str]:
    """Return the names of the attributes whose fingerprint differs from that in `before`."""
    return [name for name, value in snapshot(holder, exclude).items() if name not in before or before[name] != value]
