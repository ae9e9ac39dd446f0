"""All that training moves in a module: weights, buffers, seeded draws, states kept between batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import CheckpointError, suggest
from kerastorch.core.module_tree import named_modules
from kerastorch.layers.random_generator import RandomGenerator
from kerastorch.layers.rnn import RecurrentBase


def capture_module_state(module: nn.Module) -> dict[str, Any]:
    """What `load_state` takes; tensors are the module's own, not copies."""
    parts = list(_parts(module))
    return {
        "tensors": dict(_tensors(parts)),
        "learning": [name for name, tensor in _tensors(parts) if tensor.requires_grad],
        "trainable": {path: known["_trainable"] for path, part in parts if "_trainable" in (known := vars(part))},
        "draws": {name: draws.count for name, draws in _draws(parts) if draws.count is not None},
        "kept": {path: part.kept_states for path, part in parts if isinstance(part, RecurrentBase)},
        "extra": {path: part.get_extra_state() for path, part in parts if _has_extra(part)},
    }


@torch.no_grad()
def restore_module_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Put back what `state_of` found; tensors are written in place, nothing where one does not fit.

    Raises:
        CheckpointError: the module has other weights or buffers, or of other shapes.
    """
    check_module_state(module, state)
    parts = list(_parts(module))
    here = dict(_tensors(parts))
    learning = set(state["learning"])
    for name, tensor in here.items():
        tensor.copy_(state["tensors"][name])
        if isinstance(tensor, nn.Parameter):
            tensor.requires_grad_(name in learning)
    for path, part in parts:
        if path in state["trainable"]:
            vars(part)["_trainable"] = state["trainable"][path]
        if isinstance(part, RecurrentBase):
            part.kept_states = state["kept"].get(path, {})
        if path in state["extra"]:
            part.set_extra_state(state["extra"][path])
    for name, draws in _draws(parts):
        if draws.count is not None:
            draws.count.copy_(state["draws"][name])


def _parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Each module once, under its first name; a view and what it is a view of share everything."""
    for path, part in named_modules(module):
        if vars(part).get("module_viewed") is None:
            yield path, part


def _tensors(parts: list[tuple[str, nn.Module]]) -> Iterator[tuple[str, Tensor]]:
    for path, part in parts:
        kept = part.kept_states if isinstance(part, RecurrentBase) else ()
        for name, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is not None and name not in kept:
                yield f"{path}.{name}" if path else name, tensor


def _draws(parts: list[tuple[str, nn.Module]]) -> Iterator[tuple[str, RandomGenerator]]:
    for path, part in parts:
        for name, value in vars(part).items():
            if isinstance(value, RandomGenerator):
                yield f"{path}.{name}", value


def _has_extra(part: nn.Module) -> bool:
    return type(part).get_extra_state is not nn.Module.get_extra_state


def check_module_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Refuse what `load_state` could not put back."""
    here, saved = dict(_tensors(list(_parts(module)))), state["tensors"]
    for name in here.keys() ^ saved.keys():
        where = "the checkpoint" if name in here else "the model"
        known = saved if name in here else here
        raise CheckpointError(f"{where} has no {name!r}.{suggest(name, known)} Is it of another model?")
    for name, tensor in here.items():
        if tensor.shape != saved[name].shape or tensor.dtype != saved[name].dtype:
            given = saved[name]
            raise CheckpointError(
                f"{name!r} is {tuple(tensor.shape)} of {tensor.dtype}, in the checkpoint {tuple(given.shape)} of "
                f"{given.dtype}. Is it of another model?"
            )
