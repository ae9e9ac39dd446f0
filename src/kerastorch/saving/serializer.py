"""Writer: modules, symbols, functions and settings as JSON and tensors, each module once."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import is_unbuilt
from kerastorch.core.serialization import encode, name_of
from kerastorch.layers.base import Layer
from kerastorch.saving import torch_allowlist, torch_modules
from kerastorch.saving.registry import get_registered_name
from kerastorch.symbolic.symbolic_tensor import Symbol

# keys of what stands for something else: a mapping of the user's with such a key is written as pairs
TAGS = frozenset(
    {
        "module", "again", "symbol", "tuple", "pairs", "tensor", "array", "slice", "ellipsis", "torch", "custom",
        "kind", "partial", "device", "class_name", "config", "function", "dtype", "torchmetric",
    }
)  # fmt: skip


class Writer:
    """The codec that writes.

    Attributes:
        custom: what is not kerastorch's or torch's, under the names that it was written with.
    """

    def __init__(self) -> None:
        self.custom: dict[str, Any] = {}
        self.initializes_weights = True
        self._numbers: dict[nn.Module, int] = {}
        self._symbols: list[dict[Any, int]] = []
        self._inside = 0  # how many modules with shapes of their own are being written

    def encode(self, value: Any) -> Any:
        """See `Codec`.

        Raises:
            TypeError: it has no name that it could be found by, or is nothing that can be written.
        """
        if type(value).__module__.startswith("torchmetrics."):
            from kerastorch.saving.torch_metrics import config_of

            return {"torchmetric": type(value).__name__, "config": encode(config_of(value))}
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, Symbol):
            return {"symbol": self._number(value)}
        simple = _simple(value)
        if simple is not NotImplemented:
            return simple
        if isinstance(value, functools.partial):
            given = (value.func, tuple(value.args), dict(value.keywords))
            return {"partial": [encode(one) for one in given]}
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            return self._named(value)
        if callable(getattr(value, "get_config", None)):
            return {"class_name": self._class(type(value)), "config": self._config(value)}
        return NotImplemented

    def decode(self, value: Mapping[Any, Any]) -> Any:
        """A writer does not read."""
        return NotImplemented

    # --- names ------------------------------------------------------------------------------------------------

    def _class(self, kind: type) -> str:
        return name_of(kind) or torch_modules.NAMES.get(kind) or self._own(kind)

    def _own(self, thing: Any) -> str:
        """The name of a class or function of the user's."""
        name = getattr(thing, "__name__", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise TypeError(f"{thing!r} has no name that it could be found by later; give it one with def or class.")
        name = get_registered_name(thing)
        if self.custom.setdefault(name, thing) is not thing:
            raise TypeError(f"{thing!r} and {self.custom[name]!r} have one name; register one of them under another.")
        return name

    def _named(self, thing: Any) -> Any:
        ours = name_of(thing)
        if ours is not None:
            return {"kind" if isinstance(thing, type) else "function": ours}
        torchs = torch_allowlist.name_of(thing) or torch_modules.NAMES.get(thing)
        if torchs is not None:
            return {"torch": torchs}
        if isinstance(thing, types.BuiltinFunctionType) or str(getattr(thing, "__module__", "")).startswith("torch."):
            raise TypeError(f"{thing!r} is not in the list of what is written of torch and Python.")
        return {"custom": self._own(thing)}

    # --- modules ----------------------------------------------------------------------------------------------

    def _module(self, module: nn.Module) -> Any:
        if module in self._numbers:
            return {"again": self._numbers[module]}
        number = self._numbers[module] = len(self._numbers)
        written: dict[str, Any] = {"module": number, "class_name": self._class(type(module))}
        own: Any = getattr(module, "_holds_layers", None)
        container = own() if own is not None else isinstance(module, (nn.Sequential, nn.ModuleList))
        shapes = {} if container or self._inside else built_shapes(module)
        self._inside += not container
        try:
            written["config"] = self._config(module)
        finally:
            self._inside -= not container
        return written | ({"built": encode(shapes)} if shapes else {})

    def _config(self, thing: Any) -> Any:
        if type(thing) in torch_modules.NAMES:
            if is_unbuilt(thing):
                raise TypeError(f"{thing} has no parameters yet; build the model first.")
            return encode(torch_modules.config_of(thing))
        if not callable(getattr(thing, "get_config", None)):
            kind = type(thing).__name__
            raise TypeError(f"{kind} has no get_config(); write one, which returns the arguments of {kind}(...).")
        config = thing.get_config()
        return config if is_ours(type(thing)) else encode(config)

    # --- symbols ----------------------------------------------------------------------------------------------

    def begin(self, symbols: list[Any]) -> None:
        """Symbols are written as their numbers in this list from now on."""
        self._symbols.append({symbol: number for number, symbol in enumerate(symbols)})

    def end(self) -> None:
        """Back to the list before."""
        self._symbols.pop()

    def _number(self, symbol: Symbol) -> int:
        if not self._symbols or symbol not in self._symbols[-1]:
            raise TypeError("a symbol stands outside of the model that it belongs to.")
        return self._symbols[-1][symbol]


def _simple(value: Any) -> Any:
    """What needs no name."""
    if type(value) is tuple or isinstance(value, torch.Size):
        return {"tuple": [encode(one) for one in value]}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value) and not TAGS & set(value):
            return {key: encode(one) for key, one in value.items()}
        return {"pairs": [[encode(key), encode(one)] for key, one in value.items()]}
    if isinstance(value, slice):
        return {"slice": [encode(one) for one in (value.start, value.stop, value.step)]}
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
    """The shapes that the layers in a module were built for, by their places in it."""
    found: dict[str, Any] = {}
    for place, part in module.named_modules():
        if isinstance(part, Layer) and part.built and part.built_on is not None:
            found[place] = part.built_on
    return found


def is_ours(kind: Any) -> bool:
    """Whether a class has its `get_config` from kerastorch: what that returns is written already."""
    return str(getattr(kind.get_config, "__module__", "")).startswith("kerastorch.")
