"""Modules as they were before their weights were divided among processes: with whole weights, and without values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.sharded_modules import class_before_sharding, is_fully_sharded


@contextmanager
def undivided(root: nn.Module) -> Iterator[None]:
    """Let a module have whole weights without values within the block, so that shapes are found without other ranks.

    Args:
        root: A module; one whose weights are not divided stays as it is.
    """
    divided = [part for part in root.modules() if any(map(is_distributed_tensor, part.parameters(recurse=False)))]
    if not divided and not any(map(is_fully_sharded, root.modules())):
        yield
        return
    before = [(part, type(part), _dicts(part)) for part in root.modules()]
    try:
        for part, kind, attributes in before:
            part.__class__ = class_before_sharding(kind)
            vars(part).update({name: _without_division(held) for name, held in attributes.items()})
        yield
    finally:
        for part, kind, attributes in before:
            part.__class__ = kind
            vars(part).update(attributes)


def _dicts(part: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module that have its parameters, its hooks, and what torch notes about it."""
    return {name: value for name, value in vars(part).items() if isinstance(value, dict) and name != "_modules"}


def _without_division(held: dict[Any, Any]) -> Any:
    """Return an attribute with whole weights, and without what divides them among processes."""
    return type(held)({key: _whole(value) for key, value in held.items() if not _divides(value)})


def _whole(value: Any) -> Any:
    if isinstance(value, Tensor) and is_distributed_tensor(value):
        return nn.Parameter(torch.empty(value.shape, dtype=value.dtype, device=value.device), value.requires_grad)
    return value


def _divides(value: Any) -> bool:
    """Return whether a hook, or a note about a module, belongs to the functions that divide weights."""
    function = getattr(value, "hook", value)  # torch wraps the hooks of state dicts
    module = getattr(getattr(function, "func", function), "__module__", None) or ""
    return not isinstance(value, Tensor) and module.startswith(("torch.distributed.", "kerastorch.distribution."))
