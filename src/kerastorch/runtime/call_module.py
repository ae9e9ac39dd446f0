"""Calling a module on the inputs of a batch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def call_module(module: nn.Module, x: Any) -> Any:
    """Call a module on one tensor, or on several tensors in a tuple, list or dict.

    A tuple or list becomes positional arguments if `forward` takes as many, and a dict becomes keyword arguments if its
    keys are names of parameters of `forward`. If not, the tuple, list or dict is the only argument.

    >>> import torch
    >>> call_module(nn.Bilinear(2, 3, 1), (torch.zeros(4, 2), torch.zeros(4, 3))).shape
    torch.Size([4, 1])
    """
    if isinstance(x, Tensor):
        return module(x)
    args, kwargs = split_arguments(module, x)
    return module(*args, **kwargs)


def split_arguments(module: nn.Module, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the keyword arguments with which `call_module` calls a module."""
    if isinstance(x, Mapping) and _takes_names(module, x):
        return (), dict(x)
    if isinstance(x, (tuple, list)) and (len(x) == 1 or _takes_positions(module, len(x))):
        return tuple(x), {}
    return (x,), {}


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    inner = getattr(module, "module_viewed", None)
    return list(inspect.signature((inner or module).forward).parameters.values())


def _takes_names(module: nn.Module, x: Mapping[Any, Any]) -> bool:
    parameters = _parameters(module)
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return True
    return set(x) <= {p.name for p in parameters}


def _takes_positions(module: nn.Module, count: int) -> bool:
    parameters = _parameters(module)
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= count
