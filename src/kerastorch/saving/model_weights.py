"""The weights of a model in a file, and back: all of them, or those that fit, or none."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import CheckpointError, warn
from kerastorch.core.module_tree import is_unbuilt, modules, tensors
from kerastorch.core.nested import map_structure
from kerastorch.core.ownership import is_third_party
from kerastorch.core.path_checks import check_exists, check_writable
from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES
from kerastorch.core.torch_private import has_loading_hooks
from kerastorch.core.wrapper_prefixes import bare_names
from kerastorch.layers.adaptable import AdaptableLayer
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.dry_run import DryRun, build_lazy, isolated
from kerastorch.runtime.input_specs import known_input_specs
from kerastorch.saving import weights_file
from kerastorch.saving.weights_compatibility import Match


def save_weights(module: nn.Module, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write parameters and buffers; see `Model.save_weights`."""
    path = weights_file.path_of(filepath)
    if not _is_built(modules(module)):
        raise ValueError(f"save_weights: there is nothing to save. {_BUILD}")
    check_writable(path)
    if not overwrite and path.exists():
        raise FileExistsError(f"{path} is there already. Pass overwrite=True to replace it, or choose another name.")
    state = module.state_dict()
    weights_file.write(path, {bare: state[name] for bare, name in bare_names(module, state).items()})


def load_weights(module: nn.Module, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """Put back what `save_weights` wrote, or anybody as safetensors; see `Model.load_weights`."""
    path = weights_file.path_of(filepath)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file.")
    check_exists(path)
    specs = None
    target = module
    if not _is_built(modules(module)):
        specs = known_input_specs(module)
        if specs is None:
            raise ValueError(f"load_weights: the model has no parameters yet that could take any. {_BUILD}")
        target = DryRun(module, specs, fake=False).module  # a copy, built: the model itself only when all is well
    found = Match(target, weights_file.read(path))
    if found.differences and not (skip_mismatch and found.state):
        advice = "" if skip_mismatch else " (skip_mismatch=True loads what fits)"
        many = f"{len(found.state)} of the model's {len(target.state_dict())} weights do"
        raise CheckpointError(f"{path} does not fit the model; {many}{advice}:\n{found.words()}")
    if target is not module:
        _build(module, specs)
    _put(module, found.state, str(path))
    _warn(found, str(path))


_BUILD = "Build the model first: model.build(input_shape), an Input in front, or one call on data."


def _is_built(parts: Iterable[nn.Module]) -> bool:
    """Whether there is every parameter; what `adapt` learns need not be there yet."""
    return not any(is_unbuilt(part) and not isinstance(part, AdaptableLayer) for part in parts)


def _build(module: nn.Module, specs: Any) -> None:
    """Make the parameters, whatever their numbers are."""
    parts = modules(module)
    place = next((tensor.device for tensor in tensors(parts)), torch.device("cpu"))
    zeros = map_structure(lambda spec: spec.zeros(TRIAL_BATCH_SIZES[0], TRIAL_SIZES[0]), specs)
    with isolated(parts):
        build_lazy(module, BatchTransfer(parts, place).inputs(zeros))


def _put(module: nn.Module, state: dict[str, Any], name: str) -> None:
    """Copy numbers into the module's own tensors; if one of its parts refuses, what was there is put back."""
    own = module.state_dict()
    before = _copied(own) if any(map(_loads_itself, modules(module))) else None
    try:
        module.load_state_dict({**own, **state})
    except Exception as error:
        if before is not None:
            module.load_state_dict(before)
        raise CheckpointError(f"{name}: the model does not take what it holds: {error}") from error


def _loads_itself(part: nn.Module) -> bool:
    """Whether a part has a way of its own to load, which may refuse."""
    kind = type(part)
    own = kind.set_extra_state is not nn.Module.set_extra_state
    own = own or is_third_party(kind._load_from_state_dict) or is_third_party(kind.load_state_dict)
    return own or has_loading_hooks(part)


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    return {n: v.detach().clone() if isinstance(v, Tensor) else copy.deepcopy(v) for n, v in state.items()}


def _warn(found: Match, name: str) -> None:
    if found.differences:
        warn(f"{name}: left out, because it does not fit:\n{found.words(None)}")
    if found.rounded:
        listed = ", ".join(map(repr, found.rounded[:5])) + (", ..." if len(found.rounded) > 5 else "")
        many = "1 weight was" if len(found.rounded) == 1 else f"{len(found.rounded)} weights were"
        warn(f"{name}: {many} rounded to the narrower dtype of the model: {listed}.")
