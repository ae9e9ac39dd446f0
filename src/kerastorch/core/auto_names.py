"""Names of layers and models that were given none, such as `dense_1`, as in Keras.

Layers and models of `kerastorch.keras` have such names. These are no part of a config, and name no weights: the names
of weights depend on the model alone, and not on what else the process has made.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

from torch import nn

from kerastorch.core.name_lookup import own_name, snake_case

_ENTRY = "_auto_name"  # in the dict of a module
_counters: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)


def add_auto_name(module: nn.Module) -> None:
    """Give a module the name of its class, with a number from the second of this class on; `functional` is one."""
    name = "functional" if getattr(module, "is_functional", False) else snake_case(type(module).__name__)
    number = next(_counters[name])
    vars(module)[_ENTRY] = f"{name}_{number}" if number else name


def auto_name(module: nn.Module) -> str | None:
    """Return the name that `add_auto_name` gave to a module; `None` if it gave none."""
    name: str | None = vars(module).get(_ENTRY)
    return name


def copy_auto_name(module: nn.Module, copy: nn.Module) -> None:
    """Give a copy of a module the name that `add_auto_name` gave to the module, if it did."""
    if auto_name(module) is not None:
        vars(copy)[_ENTRY] = auto_name(module)


def given_name(thing: Any) -> Any:
    """Return the `name` of an object, but `None` in place of what `add_auto_name` gave."""
    has_own = not isinstance(thing, nn.Module) or auto_name(thing) is None
    return thing.name if has_own else own_name(thing)


def reset_auto_names() -> None:
    """Let the numbers begin again."""
    _counters.clear()
