"""The device of the layer or model that runs, on which operations without tensors, such as `ops.zeros`, make theirs."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any

import torch
from torch import Tensor, nn

_device: ContextVar[torch.device | None] = ContextVar("device of the running call", default=None)


def call_device() -> torch.device | None:
    """Return the device of the running call, or `None` for torch's default device.

    In compiled code it is always `None`, because torch.compile cannot trace the variable.
    """
    return None if torch.compiler.is_compiling() else _device.get()


def set_call_device(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Token[torch.device | None] | None:
    """Begin a call; the caller passes the result to `reset_call_device` when it ends.

    Args:
        module: The module that is called, for the device of its weights if no input is a tensor.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
    """
    if torch.compiler.is_compiling():
        return None
    if args and isinstance(args[0], Tensor):
        return _device.set(args[0].device)
    inputs = (one for one in (*args, *kwargs.values()) if isinstance(one, Tensor))
    found = next(inputs, None)
    found = next(module.parameters(), None) if found is None else found
    return _device.set(_device.get() if found is None else found.device)


def reset_call_device(token: Token[torch.device | None] | None) -> None:
    """End a call."""
    if token is not None:
        _device.reset(token)
