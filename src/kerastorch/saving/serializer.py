"""Encode modules, symbolic tensors, functions and settings as JSON and tensors, each module once."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.image_format import changed_formats
from kerastorch.core.module_tree import is_unbuilt
from kerastorch.core.ownership import is_from, is_own
from kerastorch.core.serialization import encode, name_of
from kerastorch.core.sharded_modules import class_before_sharding
from kerastorch.core.torch_class import declared_class
from kerastorch.layers.base import Layer
from kerastorch.saving import torch_allowlist, torch_modules
from kerastorch.saving.registry import get_registered_name
from kerastorch.symbolic.symbolic_tensor import Symbol

# Keys that mark an encoded object. A mapping of the user that has such a key is encoded as a list of pairs instead.
TAGS = frozenset(
    {
        "module", "again", "symbol", "tuple", "pairs", "tensor", "array", "slice", "ellipsis", "torch", "custom",
        "kind", "partial", "device", "class_name", "config", "function", "dtype", "torchmetric",
    }
)  # fmt: skip


class Writer:
    """The codec that encodes whole models: modules that refer to each other, graphs, and the user's own classes.

    Attributes:
        custom: The user's classes and functions in what was encoded, by the names that they were encoded under.
        initializes_weights: As in `Codec`; not used for encoding.
    """

    def __init__(self) -> None:
        self.custom: dict[str, Any] = {}
        self.initializes_weights = True
        self._numbers: dict[nn.Module, int] = {}
        self._symbols: list[dict[Any, int]] = []
        self._inside = 0  # number of modules being encoded whose input shapes cover the layers in them

    def encode(self, value: Any) -> Any:
        """Return `value` as JSON and tensors, or `NotImplemented` if its type is not known here.

        Raises:
            TypeError: A class or function cannot be found by a name later, or an object cannot be encoded.
        """
        if is_from(value, "torchmetrics"):
            from kerastorch.saving.torch_metrics import config_of

            return {"torchmetric": type(value).__name__, "config": encode(config_of(value))}
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, Symbol):
            return {"symbol": self._symbol_number(value)}
        plain = _encode_plain(value)
        if plain is not NotImplemented:
            return plain
        if isinstance(value, functools.partial):
            parts = (value.func, tuple(value.args), dict(value.keywords))
            return {"partial": [encode(part) for part in parts]}
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            return self._encode_named(value)
        if callable(getattr(value, "get_config", None)):
            return {"class_name": self._class_name(type(value)), "config": self._config(value)}
        return NotImplemented

    def decode(self, value: Mapping[Any, Any]) -> Any:
        """Return `NotImplemented`, because this codec only encodes."""
        return NotImplemented

    # --- names ------------------------------------------------------------------------------------------------

    def _class_name(self, kind: type) -> str:
        """Return the name of a class of kerastorch, torch or the user."""
        return (
            name_of(kind)
            or torch_modules.NAMES.get(class_before_sharding(kind))
            or self._custom_name(declared_class(kind))
        )

    def _custom_name(self, thing: Callable[..., Any]) -> str:
        """Return the name of a user's class or function, and note it in `custom`.

        Raises:
            TypeError: It has no name, as a `lambda`, or shares its name with another class or function in the model.
        """
        name = getattr(thing, "__name__", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise TypeError(f"{thing!r} has no name that it could be found by later; give it one with def or class.")
        name = get_registered_name(thing)
        if self.custom.setdefault(name, thing) is not thing:
            raise TypeError(f"{thing!r} and {self.custom[name]!r} have one name; register one of them under another.")
        return name

    def _encode_named(self, thing: Any) -> dict[str, str]:
        """Return the name of a class or function under a key that says whose it is."""
        own_name = name_of(thing)
        if own_name is not None:
            return {"kind" if isinstance(thing, type) else "function": own_name}
        torch_name = torch_allowlist.name_of(thing) or torch_modules.NAMES.get(thing)
        if torch_name is not None:
            return {"torch": torch_name}
        if isinstance(thing, types.BuiltinFunctionType) or str(getattr(thing, "__module__", "")).startswith("torch."):
            raise TypeError(f"{thing!r} is not in the list of what is written of torch and Python.")
        return {"custom": self._custom_name(thing)}

    # --- modules ----------------------------------------------------------------------------------------------

    def _module(self, module: nn.Module) -> dict[str, Any]:
        """Return class, config and input shapes of a module; of one that was encoded before, its number."""
        if module in self._numbers:
            return {"again": self._numbers[module]}
        number = self._numbers[module] = len(self._numbers)
        written: dict[str, Any] = {"module": number, "class_name": self._class_name(type(module))}
        holds_layers: Any = getattr(module, "_holds_layers", None)
        is_container = (
            isinstance(module, (nn.Sequential, nn.ModuleList)) if holds_layers is None else bool(holds_layers())
        )
        # layers in a container are encoded with their own shapes; those in other modules are listed with that module
        shapes = {} if is_container or self._inside else built_shapes(module)
        self._inside += not is_container
        try:
            written["config"] = self._config(module)
        finally:
            self._inside -= not is_container
        formats = {} if is_own(type(module)) else getattr(module, "made_with_formats", changed_formats())
        layout = {"keras_layout": True} if vars(module).get("keras_layout") else {}  # of `kerastorch.keras`
        return (
            written | ({"built": encode(shapes)} if shapes else {}) | ({"formats": formats} if formats else {}) | layout
        )

    def _config(self, thing: Any) -> Any:
        """Return the encoded arguments that make an object like `thing`."""
        if class_before_sharding(type(thing)) in torch_modules.NAMES:
            if is_unbuilt(thing):
                raise TypeError(f"{thing} has no parameters yet; build the model first.")
            return encode(torch_modules.config_of(thing))
        if not callable(getattr(thing, "get_config", None)):
            kind = declared_class(type(thing)).__name__
            raise TypeError(f"{kind} has no get_config(); write one, which returns the arguments of {kind}(...).")
        config = thing.get_config()
        return config if has_encoded_config(type(thing)) else encode(config)

    # --- symbols ----------------------------------------------------------------------------------------------

    @contextmanager
    def numbering(self, symbols: Iterable[Symbol]) -> Iterator[None]:
        """Encode symbolic tensors as their positions in `symbols` meanwhile; may be nested for models in models."""
        self._symbols.append({symbol: number for number, symbol in enumerate(symbols)})
        try:
            yield
        finally:
            self._symbols.pop()

    def _symbol_number(self, symbol: Symbol) -> int:
        """Return the position of a symbolic tensor in the innermost list of `numbering`."""
        if not self._symbols or symbol not in self._symbols[-1]:
            raise TypeError("a symbol stands outside of the model that it belongs to.")
        return self._symbols[-1][symbol]


def _encode_plain(value: Any) -> Any:
    """Return a container, array or setting of torch as JSON and tensors; `NotImplemented` for other types."""
    if type(value) is tuple or isinstance(value, torch.Size):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value) and not TAGS & set(value):
            return {key: encode(item) for key, item in value.items()}
        return {"pairs": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, slice):
        return {"slice": [encode(item) for item in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, Tensor):
        return {"tensor": value.detach().cpu().clone()}
    if isinstance(value, np.ndarray):
        return {"array": value.copy()}
    if isinstance(value, np.generic) and not isinstance(value, (np.str_, np.bytes_)):
        return value.item()
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, (torch.memory_format, torch.layout)) and torch_allowlist.name_of(value):
        return {"torch": torch_allowlist.name_of(value)}
    return NotImplemented


def built_shapes(module: nn.Module) -> dict[str, Any]:
    """Return the input shapes that the layers in a module were built for, by path."""
    found: dict[str, Any] = {}
    for place, part in module.named_modules():
        if isinstance(part, Layer) and part.built and part.built_on is not None:
            found[place] = part.built_on
    return found


def has_encoded_config(kind: Any) -> bool:
    """Return whether the `get_config` of a class is kerastorch's own, which returns encoded values."""
    return is_own(kind.get_config)
