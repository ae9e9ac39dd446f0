"""State that optimizers of other packages have beside torch's: attributes, and optimizers within them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.ownership import is_from, is_own
from kerastorch.core.torch_private import pytree
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters

_OF_TORCH = ("param_groups", "state", "defaults")


def inner_optimizers(optimizer: TorchOptimizer) -> dict[str, TorchOptimizer]:
    """Return the optimizers that an optimizer of another package has as attributes, such as the base of Lookahead."""
    if _is_plain(optimizer):
        return {}
    return {name: value for name, value in vars(optimizer).items() if isinstance(value, TorchOptimizer)}


def captured_attributes(optimizer: TorchOptimizer) -> dict[str, Any]:
    """Return the attributes that hold numbers, texts and tensors, alone or nested, but no parameters."""
    if _is_plain(optimizer):
        return {}
    parameters = {id(one) for one in optimizer_parameters(optimizer)}

    def is_data(leaf: Any) -> bool:
        return isinstance(leaf, (Tensor, int, float, str, type(None))) and id(leaf) not in parameters

    return {
        name: value
        for name, value in vars(optimizer).items()
        if name not in _OF_TORCH
        and not name.startswith(("_optimizer_", "_zero_grad", "_patched", "_warned", "_opt_called"))
        and all(map(is_data, pytree.tree_leaves(value)))
    }


def restore_attributes(optimizer: TorchOptimizer, saved: Mapping[str, Any]) -> None:
    """Set the attributes that `captured_attributes` returned; others are left as they are."""
    for name in captured_attributes(optimizer):
        if name in saved:
            setattr(optimizer, name, pytree.tree_map(_copy, saved[name]))


def load_in_torch_form(optimizer: TorchOptimizer, state: dict[str, Any]) -> None:
    """Load a state in the form of `torch.optim.Optimizer.state_dict`.

    An optimizer with a `state_dict` of its own form, or without torch's constructor, gets the state in place. Groups
    that it shares with an optimizer within it stay shared.
    """
    inner = [one for one in inner_optimizers(optimizer).values() if _same_groups(one, optimizer)]
    has_own_form = type(optimizer).state_dict is not torch.optim.Optimizer.state_dict
    if not _is_plain(optimizer) and (has_own_form or "step" in vars(optimizer)):
        _load_in_place(optimizer, state)
    else:
        optimizer.load_state_dict(state)
    for one in inner:
        one.param_groups = optimizer.param_groups


def _load_in_place(optimizer: TorchOptimizer, state: Mapping[str, Any]) -> None:
    weights = optimizer_parameters(optimizer)
    optimizer.state.clear()
    optimizer.state.update({weights[number]: about for number, about in state["state"].items()})
    for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
        group.update({name: value for name, value in saved.items() if name != "params"})


def _is_plain(optimizer: TorchOptimizer) -> bool:
    """Return whether all state of an optimizer is in its groups and its `state`."""
    return is_from(optimizer, "torch.optim") or is_own(optimizer)


def _same_groups(one: TorchOptimizer, other: TorchOptimizer) -> bool:
    groups, others = one.param_groups, other.param_groups
    return len(groups) == len(others) and all(a is b for a, b in zip(groups, others, strict=True))


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
