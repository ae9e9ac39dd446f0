"""Which module made a weight its own, and under which name; for the names that Keras' scripts ask for."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

_owners: Any = WeakIdKeyDictionary()  # weight -> a weak reference to the module, and the name


def note_owner(weight: Tensor, module: nn.Module, name: str) -> None:
    """Note that a module has registered a weight under a name; the first one counts."""
    if weight not in _owners:
        _owners[weight] = weakref.ref(module), name


def owner_of(weight: Tensor) -> tuple[nn.Module, str] | None:
    """Return the module that has registered a weight, and the name; `None` if no layer of kerastorch has."""
    found, name = _owners.get(weight, (None, ""))
    module = None if found is None else found()
    return None if module is None else (module, name)
