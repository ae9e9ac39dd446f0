"""Names for a user's own classes and functions: the only ones, beside kerastorch's, that a file may name."""

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
    """A decorator: models that use this class or function can be loaded without `custom_objects`.

    Args:
        package: what the name is put behind, `"package>Name"`, so that two libraries do not meet.
        name: `None` is the name of the class or function.

    Raises:
        ValueError: a class without a name that can be written; another one under this name.

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
        if before is not None and _place(before) != _place(thing):  # a cell of a notebook may run again
            raise ValueError(f"{full!r} is registered already, for {before!r}; give another name.")
        _REGISTERED[full] = thing
        _NAMES[thing] = full
        return thing

    return register


def _place(thing: Any) -> tuple[Any, Any]:
    return getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)


def get_registered_name(thing: Any) -> str:
    """The name that a class or function is saved under: `"package>Name"` where it is registered, else its own."""
    return _NAMES.get(thing) or str(thing.__name__)


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """What `load_model` and `from_config` may find by these names, for the time of a `with` block.

    Args:
        custom_objects: name -> class or function.
    """
    token = _scope.set({**_scope.get(), **checked(custom_objects)})
    try:
        yield
    finally:
        _scope.reset(token)


CustomObjectScope = custom_object_scope


def checked(custom_objects: Mapping[str, Any] | None) -> dict[str, Any]:
    """`custom_objects` as a dict.

    Raises:
        TypeError: no mapping of names.
    """
    if custom_objects is None:
        return {}
    if not isinstance(custom_objects, Mapping) or not all(isinstance(name, str) for name in custom_objects):
        raise TypeError(f"custom_objects must be a dict of names to classes and functions, got {custom_objects!r}.")
    return dict(custom_objects)


def known() -> dict[str, Any]:
    """All that may be found by name now: what is registered, and what the scope says, which comes first."""
    return {**_REGISTERED, **_scope.get()}


def find(name: str, table: Mapping[str, Any]) -> Any:
    """What goes by `name`; a registered class may be given under its bare name too, as in Keras."""
    return table[name] if name in table else table.get(name.rpartition(">")[2])
