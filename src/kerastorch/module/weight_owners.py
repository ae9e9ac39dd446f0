"""Which module made a weight its own, and under which name; for the names that Keras' scripts ask for.

There is no weak reference to a weight, with which torch could not exchange it, as `to` of divided weights does.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

from torch import Tensor, nn

_owners: dict[int, tuple[weakref.ref[nn.Module], str]] = {}  # by the id of the weight


def note_owner(weight: Tensor, module: nn.Module, name: str) -> None:
    """Note that a module has registered a weight under a name; the first one counts."""
    if owner_of(weight) is None:
        key = id(weight)
        _owners[key] = weakref.ref(module, partial(_forget, key)), name


def owner_of(weight: Tensor) -> tuple[nn.Module, str] | None:
    """Return the module that has registered a weight, and the name; `None` if no layer of kerastorch has."""
    found, name = _owners.get(id(weight), (None, ""))
    module = None if found is None else found()
    if module is None or module._parameters.get(name) is not weight:  # another weight may have had the id before
        return None
    return module, name


def _forget(key: int, reference: Any) -> None:
    """Forget a module that is no longer there."""
    if key in _owners and _owners[key][0] is reference:
        del _owners[key]
