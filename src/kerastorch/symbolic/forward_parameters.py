"""The parameters of a module's `forward`, read once for all instances of its class."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any

import torch
from torch import nn

_NONE: Mapping[str, inspect.Parameter] = MappingProxyType({})
# by function, since to read a signature takes longer than to run a small layer
_known: weakref.WeakKeyDictionary[FunctionType, Mapping[str, inspect.Parameter]] = weakref.WeakKeyDictionary()


def forward_parameters(module: nn.Module) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of `forward` by name, in order; none for a `forward` that is not written in Python."""
    forward: Any = module.forward
    function = getattr(forward, "__func__", forward)  # the same object for all instances of a class
    if torch.compiler.is_compiling() or not isinstance(function, FunctionType):
        return _read(forward)
    found = _known.get(function)
    if found is None:
        found = _known[function] = _read(forward)
    return found


def _read(forward: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(forward).parameters
    except (TypeError, ValueError):
        return _NONE
