"""Converting objects to JSON types and back; only classes and functions in a closed table are restored."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol, Self

import torch

from kerastorch.core.auto_names import given_name
from kerastorch.core.channel_tracking import axis_checks_disabled
from kerastorch.core.errors import unknown
from kerastorch.core.image_format import restored_formats
from kerastorch.core.keyword_hints import KeywordHints
from kerastorch.core.lazy_loading import load
from kerastorch.core.ownership import PACKAGE, is_own
from kerastorch.core.representation import represent
from kerastorch.core.torch_class import declared_class

_TABLE: dict[str, Any] = {}  # "layers.Dense" -> the class, "activations.relu" -> the function
_NAMES: dict[Any, str] = {}
_DTYPES = {str(found).removeprefix("torch."): found for found in vars(torch).values() if isinstance(found, torch.dtype)}


class Codec(Protocol):
    """An extension of `encode` and `decode`, for whole models, whose parts refer to each other.

    Attributes:
        initializes_weights: Whether layers created while the codec is in use run their initializers.
    """

    initializes_weights: bool

    def encode(self, value: Any) -> Any:
        """Return a value in JSON types and tensors, or `NotImplemented` to leave it to `encode`."""

    def decode(self, value: Mapping[Any, Any]) -> Any:
        """Return the value that `encode` was given, or `NotImplemented` to leave it to `decode`."""


class Proxy:
    """A temporary replacement of an object, of which `original` is serialized instead."""

    original: Any


_codec: ContextVar[Codec | None] = ContextVar("codec", default=None)


def current_codec() -> Codec | None:
    """Return the codec in use, if any."""
    return _codec.get()


@contextmanager
def use_codec(codec: Codec) -> Iterator[None]:
    """Let `encode` and `decode` ask a codec first, within the block."""
    token = _codec.set(codec)
    try:
        with axis_checks_disabled():
            yield
    finally:
        _codec.reset(token)


def register(thing: Any, name: str) -> Any:
    """Add a class or function to the table of what can be serialized, and return it.

    Args:
        thing: A class with `get_config` and `from_config`, or a function.
        name: Under which it is serialized, such as `"layers.Dense"`.
    """
    _TABLE[name] = thing
    _NAMES.setdefault(thing, name)
    return thing


class Configurable(KeywordHints):
    """An object with a config: each argument of `__init__` is an attribute of the same name."""

    excluded_args: frozenset[str] = frozenset()  # not in the config, such as initial weights

    def __init_subclass__(cls, *, is_serialized: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if is_serialized and is_own(cls) and not cls.__name__.startswith("_") and declared_class(cls) is cls:
            room = cls.__module__.split(".")[1]
            register(cls, f"{room}.{cls.__name__}")

    def __repr__(self) -> str:
        return represent(self)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__` that create an equal object, in JSON types.

        Raises:
            TypeError: An argument cannot be serialized, such as a function of the user.
        """
        return init_arguments(self, self.excluded_args)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Create an object from what `get_config` returned."""
        with restored_formats() if is_own(cls) else nullcontext():  # what is not given then was not given before
            return cls(**{name: decode(value) for name, value in config.items()})


def init_arguments(thing: Any, excluded_args: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the encoded arguments of `__init__`, read from the attributes of the same names.

    Args:
        thing: Any object.
        excluded_args: Names of arguments that are left out.

    Raises:
        TypeError: An attribute is missing, or its value cannot be serialized.
    """
    config = {}
    for name in argument_names(type(thing)):
        if name in excluded_args:
            continue
        if not hasattr(thing, name):
            raise TypeError(
                f"{type(thing).__name__} has no attribute {name!r} for its argument; set it, or write get_config()."
            )
        try:
            config[name] = encode(given_name(thing) if name == "name" else getattr(thing, name))
        except TypeError as error:
            raise TypeError(f"{type(thing).__name__}: {name} cannot be written down. {error}") from None
    return config


def argument_names(kind: type) -> list[str]:
    """Return the names of the arguments of `__init__`.

    They include those that `**kwargs` passes to base classes.
    """
    found: dict[str, None] = {}
    for one in declared_class(kind).__mro__:
        if one is object or "__init__" not in vars(one):
            continue
        parameters = list(inspect.signature(vars(one)["__init__"]).parameters.values())[1:]
        found |= {p.name: None for p in parameters if p.kind is not p.VAR_KEYWORD}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(found)


def encode(value: Any) -> Any:
    """Return a value in JSON types.

    An object becomes `{"class_name": ..., "config": ...}`, a function `{"function": ...}`, a dtype `{"dtype": ...}`.

    Raises:
        TypeError: The value, or one within it, is not in the table of what can be serialized.

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
    name = name_of(type(value)) if isinstance(value, Configurable) else None
    if name is not None:
        return {"class_name": name, "config": value.get_config()}
    try:
        if value in _NAMES:
            return {"function": _NAMES[value]}
    except TypeError:  # unhashable
        pass
    raise TypeError(f"{value!r} is none of kerastorch's own.")


def decode(value: Any) -> Any:
    """Return the value that `encode` was given.

    Raises:
        ValueError: A name is not in the table.
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
        return _find("function", value["function"], {name: one for name, one in _table().items() if not _is_class(one)})
    if set(value) == {"dtype"}:
        return _find("dtype", value["dtype"], _DTYPES)
    return {key: decode(one) for key, one in value.items()}


def name_of(kind: Any) -> str | None:
    """Return the name of a class or function in the table, or `None`."""
    return _NAMES.get(declared_class(kind) if isinstance(kind, type) else kind)


def find_class(name: Any) -> Any:
    """Return the class of this name in the table.

    Raises:
        ValueError: The table has no such class.
    """
    if isinstance(name, str) and (name.startswith("keras.") or name == f"{PACKAGE}.FeatureSpace"):
        _load_keras()
    return _find("class", name, {known: one for known, one in _table().items() if _is_class(one)})


def find_function(name: str) -> Any:
    """Return the function of this name in any part of the table, as `"relu"`; `None` if there is none."""
    return next((one for known, one in _table().items() if known.endswith(f".{name}") and not _is_class(one)), None)


def _table() -> Mapping[str, Any]:
    """Return the table with all classes and functions of this package, most of which are loaded when they are read.

    What is loaded does not depend on the names in a file: it is the same each time.
    """
    load(f"{PACKAGE}.sequential")  # above all rooms whose classes a file may name, but for `keras`
    return _TABLE


def _load_keras() -> None:
    """Load the classes of `kerastorch.keras` that files may name; apart from files, scripts import that room first."""
    for module in ("feature_space", "torch_module_wrapper"):
        load(f"{PACKAGE}.keras.{module}")


def _is_class(thing: Any) -> bool:
    return isinstance(thing, type)


def _find(kind: str, name: Any, table: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or name not in table:
        raise unknown(kind, str(name), table)
    return table[name]
