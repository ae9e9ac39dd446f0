"""Calling a module on one batch of inputs; recording symbolic calls is `symbolic_tensor.call`, public as `kt.call`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def call_module(module: nn.Module, x: Any) -> Any:
    """Call a module on the inputs of one batch.

    Args:
        module: A module.
        x: A tensor; or a tuple or list, passed as one argument each if `forward` takes at least as many; or a dict,
            passed by name if `forward` takes these names. In other cases `x` is passed as one argument.
    """
    if isinstance(x, Tensor):
        return module(x)
    args, kwargs = split_arguments(module, x)
    return module(*args, **kwargs)


def split_arguments(module: nn.Module, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments with which `call_module` calls a module on `x`."""
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
