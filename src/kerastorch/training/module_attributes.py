"""State that modules have in plain attributes: saved with a fit if it consists of numbers, text, tensors and arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.core.errors import warn
from kerastorch.core.module_tree import named_modules
from kerastorch.core.torch_private import pytree, storage_key
from kerastorch.core.unsaved_attributes import Snapshot, changed_attributes, declares_state, snapshot

Watched = Mapping[str, tuple[nn.Module, Snapshot]]  # modules by path, with snapshots of their attributes

# attributes of modules that are captured elsewhere, or that are settings
_NOT_COUNTED = {*vars(nn.Module()), "stop_training", "_aux_losses", "_aux_losses_thread", "_last_losses"}


def watch_attributes(model: nn.Module) -> Watched:
    """Return the modules without a state of their own (`get_extra_state`), with snapshots of their attributes."""
    return {
        path: (part, snapshot(part, _NOT_COUNTED))
        for path, part in named_modules(model)
        if not declares_state(part, nn.Module, ("get_extra_state",))
    }


def capture_attributes(model: nn.Module, watched: Watched) -> dict[str, Any]:
    """Return what has changed in the attributes since `watch_attributes`.

    Returns:
        `attributes`: by path and name, the value, and whether its tensors are on the device of the model's weights.
        `unsaved`: by path, the names of the attributes whose value cannot be saved.
    """
    weights = [*model.parameters(), *model.buffers()]
    shared, device = {storage_key(one) for one in weights if one.layout == torch.strided}, _device(model)
    attributes: dict[str, Any] = {}
    unsaved: dict[str, list[str]] = {}
    for path, (part, before) in watched.items():
        for name in changed_attributes(part, before, _NOT_COUNTED):
            value = vars(part)[name]
            if _can_be_saved(value, shared):
                tensors = [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
                moves = any(tensor.device == device for tensor in tensors)
                attributes.setdefault(path, {})[name] = {"value": value, "with_weights": moves}
            else:
                unsaved.setdefault(path, []).append(name)
    return {"attributes": attributes, "unsaved": unsaved}


def restore_attributes(model: nn.Module, watched: Watched, saved: Mapping[str, Any]) -> None:
    """Set the attributes to the values that `capture_attributes` returned; modules that are gone are left out."""
    device = _device(model)
    for path, attributes in saved.items():
        if path in watched:
            for name, one in attributes.items():
                value = _to_device(one["value"], device) if one["with_weights"] else one["value"]
                setattr(watched[path][0], name, value)


def warn_of_lost(unsaved: Mapping[str, Collection[str]]) -> None:
    """Warn about attributes whose value a checkpoint does not contain."""
    for path, names in unsaved.items():
        warn(
            f"{repr(path) if path else 'the model'} starts from its initial state: the checkpoint does not contain its "
            f"{', '.join(names)}. Numbers, text, tensors without gradients, and lists, tuples and dicts of them are "
            "saved; for other state write get_extra_state and set_extra_state."
        )


def _can_be_saved(value: Any, shared: Collection[Any]) -> bool:
    """Return whether a value is data that a checkpoint restores; tensors that share memory with weights are not."""
    if value is None or type(value) in (bool, int, float, str):
        return True
    if isinstance(value, Tensor):
        if type(value) is not Tensor or value.layout != torch.strided or value.is_nested or value.requires_grad:
            return False
        return storage_key(value) not in shared
    if isinstance(value, np.ndarray):
        return bool(value.dtype != object)
    if type(value) in (list, tuple):
        return all(_can_be_saved(one, shared) for one in value)
    return type(value) is dict and all(
        isinstance(key, str) and _can_be_saved(one, shared) for key, one in value.items()
    )


def _to_device(value: Any, device: torch.device) -> Any:
    return pytree.tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, value)


def _device(model: nn.Module) -> torch.device:
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
