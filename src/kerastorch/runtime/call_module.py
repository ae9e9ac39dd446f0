"""Calling a module on one batch of inputs; recording symbolic calls is `symbolic_tensor.call`, public as `kt.call`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.forward_inputs import ForwardInputs
from kerastorch.core.module_tree import module_within
from kerastorch.core.nested import is_list_of_texts, is_object
from kerastorch.functional.functional_model import Functional
from kerastorch.runtime.first_layers import unwrap_once


def call_module(module: nn.Module, x: Any) -> Any:
    """Call a module on the inputs of one batch.

    Args:
        module: A module.
        x: A tensor; or a tuple or list, passed as one argument each if `forward` takes at least as many; or a dict,
            passed by name if `forward` takes these names. In other cases, and if it is a list of texts, `x` is passed
            as one argument.
    """
    if isinstance(x, Tensor):
        return module(x)
    args, kwargs = split_arguments(module, x)
    return module(*args, **kwargs)


def split_arguments(module: nn.Module, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments with which `call_module` calls a module on `x`."""
    if is_object(x) or not isinstance(x, (Mapping, tuple, list)) or is_list_of_texts(x):
        return (x,), {}
    inputs = ForwardInputs.of(module_within(module).forward)
    if isinstance(x, Mapping):
        return ((), dict(x)) if all(map(inputs.takes, x)) else ((x,), {})
    if len(x) == 1 or inputs.n_positional is None or inputs.n_positional >= len(x):
        return tuple(x), {}
    return (x,), {}


def forward_inputs(module: nn.Module) -> ForwardInputs:
    """Return what the `forward` of a module takes, seen through views and wrappers."""
    while True:
        plan = module._plan if isinstance(module, Functional) else None
        if plan is not None:
            return ForwardInputs.of_names(plan.names, plan.keys)
        inner = unwrap_once(module)
        if inner is module:
            return ForwardInputs.of(module.forward)
        module = inner
