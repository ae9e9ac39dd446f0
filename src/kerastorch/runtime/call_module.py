"""How a module is called on what the data holds."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def call_module(module: nn.Module, x: Any) -> Any:
    """`module` on one tensor, on several in a tuple or list, or on a dict.

    Several are spread over the parameters of `forward` where it takes as many, a dict where its keys are their
    names; otherwise the module is given the tuple, list or dict itself.
    """
    if isinstance(x, Tensor):
        return module(x)
    args, kwargs = split_arguments(module, x)
    return module(*args, **kwargs)


def split_arguments(module: nn.Module, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What `call` calls `module` with, by position and by name."""
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
