"""Detection of side effects in a traced step: a graph would not repeat them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.rng_state import capture_host_rng_states, host_rng_states_changed, restore_host_rng_states
from kerastorch.core.torch_private import RNN_WEIGHT_MIRRORS, write_count
from kerastorch.training.jit.errors import UntraceableError

# attribute name -> (value, shallow copy of a mutable container or copy of a tensor)
_Snapshot = dict[str, tuple[Any, Any]]


@contextmanager
def forbid_side_effects(objects: Iterable[object]) -> Iterator[None]:
    """Raise an error after a block that has side effects which a graph would not repeat.

    Attributes and the random states of Python and NumPy are restored.

    Args:
        objects: Modules and losses; `None` is skipped.

    Raises:
        UntraceableError: The block changed an attribute, or used the random numbers of Python or NumPy.
    """
    snapshots = [(instance, _snapshot(instance)) for instance in objects if instance is not None]
    host_states = capture_host_rng_states()
    changes = []
    try:
        yield
    finally:
        for instance, snapshot in snapshots:
            changes += [
                f"{type(instance).__name__} changes its attribute {name!r} in each call"
                for name, value in vars(instance).items()
                if name not in RNN_WEIGHT_MIRRORS and _is_changed(name, value, snapshot)
            ]
            _restore(instance, snapshot)
        if host_rng_states_changed(host_states):
            changes.append("forward draws random numbers from Python or NumPy; draw them from torch")
            restore_host_rng_states(host_states)
    if changes:
        raise UntraceableError(changes[0])


def _snapshot(instance: object) -> _Snapshot:
    return {name: (value, _copied(value)) for name, value in vars(instance).items()}


def _copied(value: Any) -> Any:
    """Return a shallow copy of a container, a copy of a plain tensor with its count of writes, or `None`."""
    if isinstance(value, (list, dict, set, np.ndarray)):
        return copy.copy(value)
    if type(value) is Tensor and not value.is_inference():
        return _TensorCopy(value.detach().clone(), write_count(value))
    return None


class _TensorCopy(NamedTuple):
    values: Tensor
    writes: int


def _is_changed(name: str, value: Any, snapshot: _Snapshot) -> bool:
    if name not in snapshot:
        return True
    value_before, copied = snapshot[name]
    return value is not value_before or not _has_same_entries(value, copied)


def _has_same_entries(value: Any, copied: Any) -> bool:
    """Return whether a container is as it was when it was copied.

    Args:
        value: Any object.
        copied: What `_copied` returned for it.
    """
    if copied is None:
        return True
    if isinstance(copied, _TensorCopy):
        return write_count(value) == copied.writes
    if isinstance(value, np.ndarray):
        return np.array_equal(value, copied)
    if len(value) != len(copied):
        return False
    if isinstance(value, dict):
        return all(key in copied and copied[key] is entry for key, entry in value.items())
    return isinstance(value, set) or all(new is old for new, old in zip(value, copied, strict=True))


def _restore(instance: object, snapshot: _Snapshot) -> None:
    attributes = vars(instance)
    for name in set(attributes) - set(snapshot):
        del attributes[name]
    for name, (value, copied) in snapshot.items():
        attributes[name] = value
        if copied is None or _has_same_entries(value, copied):
            continue
        if isinstance(copied, _TensorCopy):
            with torch.no_grad():
                value.copy_(copied.values)
        elif isinstance(value, np.ndarray):
            value[...] = copied
        else:
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(copied)
