"""Decode what `serializer.Writer` encoded; names are looked up in closed tables and in the user's custom objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.errors import unknown
from kerastorch.core.image_format import restored_formats
from kerastorch.core.ownership import is_third_party
from kerastorch.core.serialization import decode, find_class
from kerastorch.layers.base import Layer
from kerastorch.saving import torch_allowlist, torch_modules
from kerastorch.saving.registry import find
from kerastorch.saving.serializer import has_encoded_config

# Limit of the calls in one model. A file could nest modules that each contain the next one twice, which doubles the
# number of calls at every level.
MOST_WORK = 20_000


Decoder = Callable[["Reader", Any], Any]


class Reader:
    """The codec that decodes whole models.

    Args:
        custom: The user's classes and functions by name.
        complete: Whether the encoding has all shapes and the weights are loaded afterwards, as from a file. Then no
            layer is built by a call, weights are not initialized, and the number of calls is limited.

    Attributes:
        complete: The argument of this name.
        initializes_weights: Whether layers that are made by this codec initialize their weights.
    """

    def __init__(
        self, custom: Mapping[str, Any], *, complete: bool = False, initializes_weights: bool | None = None
    ) -> None:
        self.complete = complete
        self.initializes_weights = not complete if initializes_weights is None else initializes_weights
        self._custom = custom
        self._work: dict[nn.Module, int] = {}  # upper limit of the calls that one call of a module makes
        self._called = [0]  # calls in each of the functional models being decoded, the innermost last
        self._modules: dict[int, nn.Module] = {}  # decoded modules by number
        self._tables: list[list[Any]] = []  # symbolic tensors of the models being decoded, the innermost last

    def encode(self, value: Any) -> Any:
        """Return `NotImplemented`, because this codec only decodes."""
        return NotImplemented

    def decode(self, value: Mapping[Any, Any]) -> Any:
        """Return the object that `value` encodes, or `NotImplemented` for a plain dict.

        Raises:
            ValueError: A name is in no table, or `Writer` does not encode such a thing.
        """
        keys = frozenset(value)
        if {"module", "class_name", "config"} <= keys <= _MODULE_KEYS:
            return self._module(value)
        if keys == {"class_name", "config"}:
            return self._object(value["class_name"], value["config"])
        if keys == {"torchmetric", "config"}:
            from kerastorch.saving.torch_metrics import make

            return make(value["torchmetric"], decode(value["config"]))
        if len(keys) != 1:
            return NotImplemented
        (tag,) = keys
        return _DECODERS[tag](self, value[tag]) if tag in _DECODERS else NotImplemented

    # --- names ------------------------------------------------------------------------------------------------

    def custom(self, name: Any) -> Any:
        """Return the user's class or function of this name.

        Raises:
            ValueError: There is none.
        """
        found = find(name, self._custom) if isinstance(name, str) else None
        if found is None:
            known = f" Known: {', '.join(sorted(self._custom))}." if self._custom else ""
            bare = str(name).rpartition(">")[2]
            raise ValueError(
                f"Unknown class or function {name!r}; custom_objects={{{name!r}: {bare}}} names it.{known}"
            )
        return found

    def _class_named(self, name: Any) -> Any:
        """Return the class of this name: of torch or kerastorch if it has a dot, else of the user."""
        if isinstance(name, str) and "." in name:
            return torch_modules.KINDS[name] if name in torch_modules.KINDS else find_class(name)
        return self.custom(name)

    def _object(self, name: Any, config: Any) -> Any:
        """Return an object made from the name of its class and its encoded config."""
        kind = self._class_named(name)
        if not isinstance(config, Mapping):
            raise ValueError(f"the config of {name} is {type(config).__name__}, not a dict.")
        if kind in torch_modules.NAMES:
            return torch_modules.make(name, decode(config))
        make = getattr(kind, "from_config", None)
        if not hasattr(kind, "get_config") or not has_encoded_config(kind):
            config = decode(config)
        return kind(**config) if make is None else make(config)

    # --- modules ----------------------------------------------------------------------------------------------

    def _module(self, value: Mapping[str, Any]) -> nn.Module:
        """Return a new module, built for the shapes in its encoding, and note it under its number."""
        self._called.append(0)
        with restored_formats(value.get("formats", {})):
            module = self._object(value["class_name"], value["config"])
        called = self._called.pop()
        if not isinstance(module, nn.Module):
            raise ValueError(f"{value['class_name']} made {type(module).__name__}, which is no module.")
        if value.get("keras_layout") is True:
            _use_keras_layout(module)
        build(module, decode(value.get("built", {})))
        number = value["module"]
        if type(number) is not int or number in self._modules:
            raise ValueError(f"two modules have the number {number!r}.")
        self._modules[number] = module
        self._work[module] = max(called, self._work_of_children(module))
        self._check_work(self._work[module])
        return module

    def module_numbered(self, number: Any) -> nn.Module:
        """Return the module that was decoded under this number."""
        if type(number) is not int or number not in self._modules:
            raise ValueError(f"module {number!r} is referred to before it was made.")
        return self._modules[number]

    def count_call(self, target: Any) -> None:
        """Count a call in the graph of the functional model that is being decoded.

        Args:
            target: The module or function that is called.

        Raises:
            ValueError: The module is not built although the encoding should have its shapes, or the graph has too many
                calls.
        """
        if self.complete and isinstance(target, nn.Module) and _has_unbuilt_layers(target):
            raise ValueError(f"{type(target).__name__} is called, and the shapes of its parameters are not written.")
        self._called[-1] += self._work_of(target) if isinstance(target, nn.Module) else 1
        self._check_work(self._called[-1])

    def _work_of(self, module: nn.Module) -> int:
        """Return an upper limit of the modules and functions that a call of `module` or a walk through it visits."""
        if module not in self._work:
            self._work[module] = self._work_of_children(module)
        return self._work[module]

    def _work_of_children(self, module: nn.Module) -> int:
        """Return the work of a module that calls each of its children once."""
        return 1 + sum(self._work_of(child) for child in module._modules.values() if child is not None)

    def _check_work(self, work: int) -> None:
        """Raise `ValueError` if the limit of calls is exceeded."""
        if work > MOST_WORK:
            raise ValueError(f"a model that calls its parts more than {MOST_WORK} times, one inside the other.")

    # --- symbols ----------------------------------------------------------------------------------------------

    @contextmanager
    def numbering(self, table: list[Any]) -> Iterator[None]:
        """Decode numbers of symbolic tensors as positions in `table` meanwhile; the table may grow."""
        self._tables.append(table)
        try:
            yield
        finally:
            self._tables.pop()

    def _symbol(self, number: Any) -> Any:
        """Return the symbolic tensor of this number."""
        table = self._tables[-1] if self._tables else []
        if type(number) is not int or not 0 <= number < len(table):
            raise ValueError(f"symbol {number!r} is referred to before it was made.")
        return table[number]


def _has_unbuilt_layers(module: nn.Module) -> bool:
    """Return whether a layer of kerastorch is not built; modules of the user and layers in them are not considered."""
    if is_third_party(module):
        return False
    return vars(module).get("built") is False or any(_has_unbuilt_layers(c) for c in module._modules.values() if c)


def build(module: nn.Module, shapes: Mapping[str, Any]) -> None:
    """Build layers for the input shapes in a file.

    Args:
        module: The module with the layers in it.
        shapes: For the path of each layer a tuple with the shapes of its inputs.

    Raises:
        ValueError: There is no layer at a path, or something else in place of its shapes.
    """
    for path, input_shapes in shapes.items():
        part = module.get_submodule(path)
        if not isinstance(part, Layer) or not _are_shapes(input_shapes):
            raise ValueError(f"{path or type(module).__name__} cannot be built for {input_shapes!r}.")
        part.ensure_built(*input_shapes)


def _are_shapes(value: Any) -> bool:
    """Return whether a value is nested tuples of sizes; -1 is a size that varies."""
    if type(value) is int:
        return value >= -1
    return isinstance(value, tuple) and all(map(_are_shapes, value))


def names_in(value: Any) -> Iterator[str]:
    """Yield the names of the user's classes and functions in an encoded value."""
    if isinstance(value, list):
        for item in value:
            yield from names_in(item)
    elif isinstance(value, Mapping):
        for tag in ("class_name", "custom"):
            name = value.get(tag)
            if isinstance(name, str) and (tag == "custom" or "." not in name):
                yield name
        for item in value.values():
            yield from names_in(item)


def _make_type_check(kind: type, what: str) -> Decoder:
    """Return a decoder of values that an archive stores as they are, which checks their type."""

    def check(reader: Reader, value: Any) -> Any:  # noqa: ARG001
        if not isinstance(value, kind):
            raise ValueError(f"{what} is written as {type(value).__name__}.")
        return value

    return check


def _decode_torch_name(reader: Reader, name: Any) -> Any:  # noqa: ARG001
    """Return the function, class or setting of torch of this name, if it is in the tables."""
    table = torch_allowlist.VALUES | torch_modules.KINDS
    if not isinstance(name, str) or name not in table:
        raise unknown("function of torch", str(name), table)
    return table[name]


def _decode_partial(reader: Reader, value: Any) -> functools.partial[Any]:  # noqa: ARG001
    """Return a `functools.partial` of its function, arguments and keywords."""
    function, args, kwargs = map(decode, value)
    if not callable(function):
        raise ValueError(f"a partial of {function!r}, which is no function.")
    return functools.partial(function, *args, **kwargs)


# tag of an encoded object -> function that decodes it
def _use_keras_layout(module: nn.Module) -> None:
    """Let a layer return the arrays of Keras."""
    if isinstance(module, Layer):
        module.use_keras_layout()


_MODULE_KEYS = {"module", "class_name", "config", "built", "formats", "keras_layout"}
_DECODERS: dict[Any, Decoder] = {
    "again": Reader.module_numbered,
    "symbol": Reader._symbol,
    "custom": Reader.custom,
    "kind": lambda reader, value: find_class(value),
    "torch": _decode_torch_name,
    "partial": _decode_partial,
    "tuple": lambda reader, value: tuple(decode(item) for item in value),
    "pairs": lambda reader, value: {decode(key): decode(item) for key, item in value},
    "slice": lambda reader, value: slice(*map(decode, value)),
    "ellipsis": lambda reader, value: Ellipsis,
    "tensor": _make_type_check(Tensor, "a tensor"),
    "array": _make_type_check(np.ndarray, "an array"),
    "device": lambda reader, value: torch.device(value),
}
