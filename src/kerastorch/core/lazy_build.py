"""Building lazy modules: the one call, on data or on trial inputs, that lets them make their parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from kerastorch.core.module_tree import is_built, modules
from kerastorch.core.train_mode import evaluation_mode


def _always(error: Exception) -> bool:  # noqa: ARG001
    """Return that any error may depend on the sizes of the input."""
    return True


def build_by_call(
    module: nn.Module,
    call: Callable[[Any], Any],
    inputs: Iterable[Any],
    may_retry: Callable[[Exception], bool] = _always,
) -> None:
    """Make the parameters of a module's lazy parts by one call in evaluation mode.

    Nothing is called if the module has all its parameters. No gradients are computed. Layers of kerastorch and torch's
    `Lazy*` modules are lazy.

    Args:
        module: A module, whose mode is the same afterwards.
        call: Calls `module` on one of `inputs`.
        inputs: What `call` takes, tried in this order until one call succeeds.
        may_retry: Whether the next of `inputs` is tried after this error; by default always.

    Raises:
        Exception: The error of the first call, if none of the calls succeeds.

    >>> lazy = nn.LazyLinear(3)
    >>> build_by_call(lazy, lazy, [torch.zeros(1, 5)])
    >>> lazy.weight.shape
    torch.Size([3, 5])
    """
    if is_built(module):
        return
    first_error: Exception | None = None
    for x in inputs:
        try:
            with evaluation_mode(module), torch.no_grad():
                call(x)
            for part in modules(module):
                vars(part).pop("_last_losses", None)  # terms of `add_loss` for trial inputs
        except Exception as error:
            if not may_retry(error):
                raise
            first_error = first_error or error
        else:
            return
    if first_error is not None:
        raise first_error


def copy_module(module: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    """Return a deep copy of a module; lazy buffers, which torch cannot copy, are created anew.

    Args:
        module: The module.
        memo: Receives the copies by the ids of the originals, as `copy.deepcopy` does. Default: a new dict.
    """
    kind: Any = nn.parameter.UninitializedBuffer
    lazy = [buffer for buffer in module.buffers() if nn.parameter.is_lazy(buffer)]
    memo = {} if memo is None else memo
    memo |= {id(buffer): kind(device=buffer.device, dtype=buffer.dtype) for buffer in lazy}
    return copy.deepcopy(module, memo)
