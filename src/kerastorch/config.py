"""What an object was made with, as JSON can hold it, and the object made again; no name outside a closed table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Self

import torch

from kerastorch.errors import unknown

_TABLE: dict[str, Any] = {}  # "layers.Dense" -> the class, "activations.relu" -> the function
_NAMES: dict[Any, str] = {}


def register(thing: Any, name: str) -> Any:
    """Put a class or a function in the table; what is not in it is neither written nor made.

    Args:
        thing: a class with `get_config` and `from_config`, or a function.
        name: under which it is written, `"layers.Dense"`.
    """
    _TABLE[name] = thing
    _NAMES.setdefault(thing, name)
    return thing


class Configurable:
    """Knows what it was made with: each argument of `__init__` is an attribute of the same name."""

    unwritten: frozenset[str] = frozenset()  # arguments that are only a start, as first weights

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        package, _, inside = cls.__module__.partition(".")
        if package == "kerastorch" and not cls.__name__.startswith("_"):
            register(cls, f"{inside.partition('.')[0]}.{cls.__name__}")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like this, of JSON's types.

        Raises:
            TypeError: an argument that cannot be written down, as a function of your own.
        """
        config = {}
        for name in _arguments(type(self)):
            if name in self.unwritten:
                continue
            if not hasattr(self, name):
                raise TypeError(
                    f"{type(self).__name__} has no attribute {name!r} for its argument; set it, or write get_config()."
                )
            try:
                config[name] = encode(getattr(self, name))
            except TypeError as error:
                raise TypeError(f"{type(self).__name__}: {name} cannot be written down. {error}") from None
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A new one from what `get_config` gave."""
        return cls(**{name: decode(value) for name, value in config.items()})


def _arguments(kind: type) -> list[str]:
    """What `__init__` takes by name; for its `**kwargs`, what that of the next class takes."""
    found: dict[str, None] = {}
    for one in kind.__mro__:
        if one is object or "__init__" not in vars(one):
            continue
        parameters = list(inspect.signature(vars(one)["__init__"]).parameters.values())[1:]
        found |= {p.name: None for p in parameters if p.kind is not p.VAR_KEYWORD}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(found)


def encode(value: Any) -> Any:
    """`value` in JSON's types; an object as `{"class_name": ..., "config": ...}`, a function as `{"function": ...}`.

    >>> encode((1, None, torch.float32))
    [1, None, {'dtype': 'float32'}]
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [encode(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): encode(one) for key, one in value.items()}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, Configurable) and type(value) in _NAMES:
        return {"class_name": _NAMES[type(value)], "config": value.get_config()}
    try:
        if value in _NAMES:
            return {"function": _NAMES[value]}
    except TypeError:  # unhashable
        pass
    raise TypeError(f"{value!r} is none of kerastorch's own.")


def decode(value: Any) -> Any:
    """What `encode` wrote, made again.

    Raises:
        ValueError: a name that is not in the table.
    """
    if isinstance(value, list):
        return [decode(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"class_name", "config"}:
        return _find(value["class_name"]).from_config(value["config"])
    if set(value) == {"function"}:
        return _find(value["function"])
    if set(value) == {"dtype"}:
        dtype = getattr(torch, str(value["dtype"]), None)
        if not isinstance(dtype, torch.dtype):
            raise unknown("dtype", str(value["dtype"]), [])
        return dtype
    return {key: decode(one) for key, one in value.items()}


def _find(name: Any) -> Any:
    if not isinstance(name, str) or name not in _TABLE:
        raise unknown("class", str(name), _TABLE)
    return _TABLE[name]
