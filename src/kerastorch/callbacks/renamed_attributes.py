"""Old names of callback attributes, which work for this release with a `DeprecationWarning`."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

from kerastorch.core.overridable_property import overridable_property

RENAMED_ATTRIBUTES = {
    "kept": "state_attributes",
    "adds": "logs_added",
    "needs": "required_logs",
    "steers": "modifies_training",
    "keeps_states": "is_checkpointer",
}
_METHODS = ("needs",)  # was a method; its successor is an attribute


class RenamedAttribute:
    """A class attribute under its old name, which reads and sets the attribute of the new name.

    Args:
        owner: Class that declares the attribute of the new name.
        old: Old name.

    Warns:
        DeprecationWarning: The old name is read or set.
    """

    def __init__(self, owner: type, old: str) -> None:
        self._owner, self._old, self._new = owner, old, RENAMED_ATTRIBUTES[old]
        self.__doc__ = f"Old name of `{self._new}`."

    def __get__(self, instance: Any, owner: type) -> Any:
        warn_renamed(f"{owner.__name__}.{self._old}", self._new, stacklevel=2)
        value = self._value(instance, owner)
        return (lambda: list(value)) if self._old in _METHODS and instance is not None else value

    def __set__(self, instance: Any, value: Any) -> None:
        warn_renamed(f"{type(instance).__name__}.{self._old}", self._new, stacklevel=2)
        setattr(instance, self._new, value() if self._old in _METHODS else value)

    def _value(self, instance: Any, owner: type) -> Any:
        if inspect.getattr_static(owner, self._old) is self:
            return getattr(owner if instance is None else instance, self._new)
        value = vars(self._owner)[self._new]  # read by `super()`: the value of the class it comes from
        return value.__get__(instance, owner) if hasattr(value, "__get__") else value


def warn_renamed(old: str, new: str, stacklevel: int) -> None:
    """Warn that `old` is now called `new`.

    Args:
        old: Old name, as the user wrote it.
        new: New name.
        stacklevel: Number of frames up to the user's line; 2 is the caller of the caller.
    """
    warnings.warn(
        f"{old} is deprecated: it is called {new} now. The old name will be removed in the next release.",
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )


def adopt_old_names(cls: type, stacklevel: int) -> None:
    """Move attributes that `cls` declares under old names to the new names.

    Args:
        cls: Class of callbacks.
        stacklevel: Number of frames up to the user's line; 2 is the caller of the caller.

    Warns:
        DeprecationWarning: For each old name that is declared.
    """
    for old, new in RENAMED_ATTRIBUTES.items():
        declared = inspect.getattr_static(cls, old)
        if not isinstance(declared, RenamedAttribute):
            warn_renamed(f"{cls.__name__}.{old}", new, stacklevel + 1)
            setattr(cls, new, _as_property(declared) if old in _METHODS else declared)
        if new in vars(cls) and not isinstance(vars(cls).get(old), RenamedAttribute):
            setattr(cls, old, RenamedAttribute(cls, old))


def _as_property(method: Any) -> overridable_property[list[str]]:
    """Return a property with the result of a method, which may be a static or class method."""

    def call(instance: Any) -> list[str]:
        bound: Callable[[], list[str]] = method.__get__(instance, type(instance))
        return bound()

    return overridable_property(call)
