"""Modules that `fully_shard` changed: their own class, and the parameters that a forward pass leaves gathered."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from torch import nn

_MODULE = "torch.distributed.fsdp"


def class_before_sharding(kind: type) -> type:
    """Return the class in whose place `fully_shard` has put a subclass; every other class is returned unchanged."""
    base = _sharded_class()
    while base is not None and len(kind.__bases__) == 2 and kind.__bases__[0] is base:
        kind = kind.__bases__[1]
    return kind


def is_fully_sharded(module: nn.Module) -> bool:
    """Return whether `fully_shard` was called with a module."""
    base = _sharded_class()
    return base is not None and isinstance(module, base)


def reshard(parts: Iterable[nn.Module]) -> None:
    """Let modules hold their shards of the parameters again.

    A forward pass without a backward pass leaves the parameters of the outermost module gathered: they are other
    tensors then than those that the optimizer updates.

    Args:
        parts: The modules of a model, none of which is running.
    """
    base = _sharded_class()
    for part in parts if base is not None else ():
        if isinstance(part, base):
            part.reshard()


def _sharded_class() -> Any:
    """Return the class that `fully_shard` adds; `None` while torch's module of it is not imported."""
    module = sys.modules.get(_MODULE)
    return None if module is None else module.FSDPModule
