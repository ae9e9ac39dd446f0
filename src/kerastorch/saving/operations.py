"""Names of kerastorch's operations in files: the closed table of `kt.ops` and `kt.random`, loaded when one is read."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

_PREFIXES = ("ops.", "random.")
_INTO_PIECES = tuple(f"ops.{name}" for name in ("split", "array_split", "hsplit", "vsplit", "dsplit"))


@functools.cache
def _table() -> dict[str, Callable[..., Any]]:
    importlib.import_module("kerastorch.random")  # it imports the operations, too
    found: dict[str, Callable[..., Any]] = importlib.import_module("kerastorch.ops.recording").OPERATIONS
    return {name if name.startswith("random.") else f"ops.{name}": function for name, function in found.items()}


def operation_names() -> list[str]:
    """Return the names of all operations."""
    return [*_table()]


def operation_named(name: str) -> Callable[..., Any] | None:
    """Return the operation of a name as `"ops.matmul"`; `None` if there is none."""
    return _table().get(name) if name.startswith(_PREFIXES) else None


def name_of_operation(function: Any) -> str | None:
    """Return the name of an operation; `None` for other functions."""
    module = getattr(function, "__module__", None)
    if not isinstance(module, str) or not module.startswith(("kerastorch.ops", "kerastorch.random")):
        return None
    return next((name for name, one in _table().items() if one is function), None)


def splits_into_a_number(name: str) -> bool:
    """Return whether an operation takes the number of the pieces that it makes of one tensor."""
    return name in _INTO_PIECES
