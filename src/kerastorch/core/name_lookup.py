"""Looking a name up as Keras does: `'mean_squared_error'`, `'MeanSquaredError'` and `'MEAN_SQUARED_ERROR'` are one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kerastorch.core.errors import unknown

T = TypeVar("T")


def snake_case(name: str) -> str:
    """`'MulticlassF1Score'` -> `'multiclass_f1_score'`, `'BCELoss'` -> `'bce_loss'`, `'Conv2D'` -> `'conv2d'`."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])|(?<=\d)(?=[A-Z]\d)", "_", name)
    return parted.lower()


def look_up(kind: str, name: str, table: Mapping[str, T]) -> T:
    """The entry of `table` under `name`, its snake case or its lower case; else an error that suggests one."""
    for candidate in (name, snake_case(name), name.lower()):
        if candidate in table:
            return table[candidate]
    raise unknown(kind, name, table)


def resolve(kind: str, identifier: Any, table: Mapping[str, Any], check: Callable[[Any], bool]) -> Any:
    """What a user wrote -> an object that passes `check`: a name and a class are called without arguments."""
    given = identifier
    if isinstance(identifier, str):
        identifier = look_up(kind, identifier, table)
    if isinstance(identifier, type):
        identifier = identifier()
    if not check(identifier):
        raise TypeError(f"A {kind} is a name, a class, an instance or a callable, got {given!r}.")
    return identifier


def public_name(thing: Any) -> str:
    """The name a user would call `thing` by: a function's own, through partials, else the class in snake case."""
    inner = thing
    while hasattr(inner, "func"):
        inner = inner.func
    name = getattr(inner, "__name__", None)
    return name if isinstance(name, str) else snake_case(type(inner).__name__)


def own_name(part: Any) -> str | None:
    """The name that a layer or model was given."""
    name = vars(part).get("name")
    return name if isinstance(name, str) else None
