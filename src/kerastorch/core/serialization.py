"""What an object was made with, as JSON can hold it, and the object made again; no name outside a closed table."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, Self

import torch

from kerastorch.core.channel_tracking import unchecked
from kerastorch.core.errors import unknown
from kerastorch.core.representation import represent

_TABLE: dict[str, Any] = {}  # "layers.Dense" -> the class, "activations.relu" -> the function
_NAMES: dict[Any, str] = {}
_DTYPES = {str(found).removeprefix("torch."): found for found in vars(torch).values() if isinstance(found, torch.dtype)}


class Codec(Protocol):
    """Writes and reads more than this file knows: whole models, which refer to their parts.

    Attributes:
        fills: whether layers that are made meanwhile get the numbers that they start from.
    """

    initializes_weights: bool

    def encode(self, value: Any) -> Any:
        """`value` in JSON's types and tensors, or `NotImplemented`."""

    def decode(self, value: Mapping[Any, Any]) -> Any:
        """What `encode` was given, or `NotImplemented`."""


class Proxy:
    """In the place of something for a while, as of an activation that a loss listens to; what is written is that."""

    original: Any


_codec: ContextVar[Codec | None] = ContextVar("codec", default=None)


def current_codec() -> Codec | None:
    """The codec in use."""
    return _codec.get()


@contextmanager
def use_codec(codec: Codec) -> Iterator[None]:
    """`encode` and `decode` ask this codec first."""
    token = _codec.set(codec)
    try:
        with unchecked():
            yield
    finally:
        _codec.reset(token)


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

    def __repr__(self) -> str:
        return represent(self)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like this, of JSON's types.

        Raises:
            TypeError: an argument that cannot be written down, as a function of your own.
        """
        return init_arguments(self, self.unwritten)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A new one from what `get_config` gave."""
        return cls(**{name: decode(value) for name, value in config.items()})


def init_arguments(thing: Any, unwritten: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What `__init__` of `thing` takes, from the attributes of the same names, encoded.

    Raises:
        TypeError: there is no such attribute, or it cannot be written down.
    """
    config = {}
    for name in _arguments(type(thing)):
        if name in unwritten:
            continue
        if not hasattr(thing, name):
            raise TypeError(
                f"{type(thing).__name__} has no attribute {name!r} for its argument; set it, or write get_config()."
            )
        try:
            config[name] = encode(getattr(thing, name))
        except TypeError as error:
            raise TypeError(f"{type(thing).__name__}: {name} cannot be written down. {error}") from None
    return config


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
    if isinstance(value, Proxy):
        return encode(value.original)
    codec = current_codec()
    if codec is not None and (found := codec.encode(value)) is not NotImplemented:
        return found
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
    codec = current_codec()
    if codec is not None and (found := codec.decode(value)) is not NotImplemented:
        return found
    if set(value) == {"class_name", "config"}:
        return find_class(value["class_name"]).from_config(value["config"])
    if set(value) == {"function"}:
        return _find("function", value["function"], {name: one for name, one in _TABLE.items() if not _is_class(one)})
    if set(value) == {"dtype"}:
        return _find("dtype", value["dtype"], _DTYPES)
    return {key: decode(one) for key, one in value.items()}


def name_of(kind: Any) -> str | None:
    """The name in the table of a class or function, if it is there."""
    return _NAMES.get(kind)


def find_class(name: Any) -> Any:
    """The class under this name in the table.

    Raises:
        ValueError: there is none.
    """
    return _find("class", name, {known: one for known, one in _TABLE.items() if _is_class(one)})


def _is_class(thing: Any) -> bool:
    return isinstance(thing, type)


def _find(kind: str, name: Any, table: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or name not in table:
        raise unknown(kind, str(name), table)
    return table[name]
