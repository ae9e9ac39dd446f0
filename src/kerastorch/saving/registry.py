"""Names of the user's own classes and functions, which a file may name beside those of kerastorch and torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

T = TypeVar("T")

_REGISTERED: dict[str, Any] = {}
_NAMES: dict[Any, str] = {}
_scope: ContextVar[Mapping[str, Any]] = ContextVar("scope", default=MappingProxyType({}))


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Return a decorator that registers a class or function, so that models load without `custom_objects`.

    Args:
        package: Prefix of the registered name, `"package>Name"`, which keeps the names of two libraries apart.
        name: The name to register. Default: the name of the class or function.

    Raises:
        ValueError: The decorated object is not a class or function with a name, or another one is registered under the
            same name.

    >>> @register_keras_serializable("docs")
    ... def double(x):
    ...     return 2 * x
    >>> get_registered_name(double)
    'docs>double'
    """

    def register(thing: T) -> T:
        own = name or getattr(thing, "__name__", None)
        if not callable(thing) or not isinstance(own, str):
            raise ValueError(f"register_keras_serializable takes a class or a function, got {thing!r}.")
        full = f"{package}>{own}"
        before = _REGISTERED.get(full)
        # the same definition may be registered again, because a cell of a notebook may run twice
        if before is not None and _definition(before) != _definition(thing):
            raise ValueError(f"{full!r} is registered already, for {before!r}; give another name.")
        _REGISTERED[full] = thing
        _NAMES[thing] = full
        return thing

    return register


def _definition(thing: Any) -> tuple[Any, Any]:
    """Return the module and the qualified name of a class or function."""
    return getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)


def get_registered_name(thing: Any) -> str:
    """Return the name that a class or function is saved under: `"package>Name"` if it is registered, else its own."""
    return _NAMES.get(thing) or str(thing.__name__)


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Let `load_model` and `from_config` find classes and functions by these names, within a `with` block.

    Args:
        custom_objects: Classes and functions by name; they take precedence over registered ones.

    Raises:
        TypeError: `custom_objects` is not a dict with names as keys.

    >>> def half(x):
    ...     return x / 2
    >>> with custom_object_scope({"half": half}):
    ...     known_objects()["half"] is half
    True
    """
    token = _scope.set({**_scope.get(), **check_custom_objects(custom_objects)})
    try:
        yield
    finally:
        _scope.reset(token)


CustomObjectScope = custom_object_scope


def check_custom_objects(custom_objects: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `custom_objects` as a dict, which is empty for `None`.

    Raises:
        TypeError: It is not a dict with names as keys.
    """
    if custom_objects is None:
        return {}
    if not isinstance(custom_objects, Mapping) or not all(isinstance(name, str) for name in custom_objects):
        raise TypeError(f"custom_objects must be a dict of names to classes and functions, got {custom_objects!r}.")
    return dict(custom_objects)


def known_objects() -> dict[str, Any]:
    """Return registered classes and functions and those of the current scopes by name; scopes take precedence."""
    return {**_REGISTERED, **_scope.get()}


def get_custom_objects() -> dict[str, Any]:
    """Return the registered classes and functions by name; entries that are added to the dict are registered.

    >>> get_custom_objects()["docs>halve"] = lambda x: x / 2
    >>> get_registered_object("docs>halve")(4)
    2.0
    >>> del get_custom_objects()["docs>halve"]
    """
    return _REGISTERED


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the class or function that is registered under a name, or `None`.

    Args:
        name: The name, with or without a package.
        custom_objects: More classes and functions by name. Default none.
    """
    return find(name, {**known_objects(), **check_custom_objects(custom_objects)})


def find(name: str, table: Mapping[str, Any]) -> Any:
    """Return the entry of `table` under `name`, or under its bare name without a package, as in Keras; else `None`."""
    return table[name] if name in table else table.get(name.rpartition(">")[2])
