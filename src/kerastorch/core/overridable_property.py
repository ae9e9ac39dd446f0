"""A property of models that an attribute of the user's subclass may replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class overridable_property(Generic[T]):  # noqa: N801
    """A read-only property that a child, parameter, buffer or plain attribute of the same name replaces.

    A subclass may set `self.output = nn.Linear(...)` or `self.layers = nn.ModuleList(...)`. torch stores children in
    `_modules`, where a `property` of the same name would hide them.

    Args:
        get: Computes the value from the instance, if nothing replaces it.
    """

    def __init__(self, get: Callable[[Any], T]) -> None:
        self._get = get
        self.__doc__ = get.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> overridable_property[T]: ...
    @overload
    def __get__(self, instance: Any, owner: type | None = None) -> T: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        for held in ("_modules", "_parameters", "_buffers"):
            own = instance.__dict__.get(held)
            if own is not None and self._name in own:
                return own[self._name]
        return self._get(instance)
