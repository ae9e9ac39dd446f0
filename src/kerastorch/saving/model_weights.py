"""Save the weights of a model to a file, and load all of them, those that fit, or none."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.checkpoint.write_once import write_once
from kerastorch.core.errors import CheckpointError, warn
from kerastorch.core.module_tree import is_unbuilt, modules, tensors
from kerastorch.core.nested import map_structure
from kerastorch.core.ownership import is_third_party
from kerastorch.core.path_checks import check_exists, check_writable, parse_path
from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES
from kerastorch.core.torch_private import has_loading_hooks
from kerastorch.core.wrapper_prefixes import bare_names
from kerastorch.layers.adaptable import AdaptableLayer
from kerastorch.module.evaluation_weights import evaluation_weights
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.dry_run import DryRun, build_lazy, isolated
from kerastorch.runtime.input_specs import known_input_specs
from kerastorch.saving import sharded_weights, weights_file
from kerastorch.saving.first_rank import write_on_first_rank
from kerastorch.saving.keras_format.load import read_weights_file
from kerastorch.saving.keras_format.save import write_weights_file
from kerastorch.saving.weights_compatibility import WeightsComparison


def save_weights(
    module: nn.Module,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    max_shard_size: int | float | str | None = None,
) -> None:
    """Write parameters and buffers to a file or several, as `Model.save_weights` documents."""
    path = weights_file.check_weights_path(filepath)
    max_bytes = sharded_weights.parse_shard_size(max_shard_size)
    if max_bytes is not None and weights_file.is_of_keras(path):
        raise ValueError("max_shard_size is for safetensors; a file of Keras has all weights.")
    if not _has_all_parameters(modules(module)):
        raise ValueError(f"save_weights: there is nothing to save. {_BUILD}")
    write_on_first_rank(module, path, lambda: _write_weights(module, path, overwrite, max_bytes))


def _write_weights(module: nn.Module, path: Path, overwrite: bool, max_bytes: int | None) -> None:
    """Write parameters and buffers.

    Args:
        module: A built module.
        path: Path of the file.
        overwrite: Whether existing files are replaced.
        max_bytes: Largest size of the tensors in one file; `None` for one file.
    """
    check_writable(path)
    for there in (path, sharded_weights.index_path(path)):
        if not overwrite and there.exists():
            raise FileExistsError(
                f"{there} is there already. Pass overwrite=True to replace it, or choose another name."
            )
    with evaluation_weights(module):
        if weights_file.is_of_keras(path):
            write_weights_file(module, path)
            return
        state = module.state_dict()
        entries = {bare: state[name] for bare, name in bare_names(module, state).items()}
        write_once(entries, lambda whole: sharded_weights.write(path, whole, max_bytes), path)


def load_weights(module: nn.Module, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """Load parameters and buffers from a safetensors file, as `Model.load_weights` documents."""
    path = _find_weights(filepath)
    specs = None
    target = module
    if not _has_all_parameters(modules(module)):
        specs = known_input_specs(module)
        if specs is None:
            raise ValueError(f"load_weights: the model has no parameters yet that could take any. {_BUILD}")
        target = DryRun(module, specs, fake=False).module  # a built copy; the model itself is built if all weights fit
    entries = _read(path, target, skip_mismatch=skip_mismatch)
    comparison = WeightsComparison(target, entries)
    if comparison.differences and not (skip_mismatch and comparison.state):
        advice = "" if skip_mismatch else " (skip_mismatch=True loads what fits)"
        fitting = f"{len(comparison.state)} of the model's {len(target.state_dict())} weights do"
        raise CheckpointError(f"{path} does not fit the model; {fitting}{advice}:\n{comparison.describe()}")
    if target is not module:
        _build(module, specs)
    _load_state(module, comparison.state, str(path))
    _warn(comparison, str(path))


def _read(path: Path, module: nn.Module, *, skip_mismatch: bool) -> dict[str, Any]:
    """Return the values in a file for the state dict of a module."""
    if weights_file.is_of_keras(path) or weights_file.is_of_keras_2(path):
        return read_weights_file(path, module, skip_mismatch=skip_mismatch)
    return sharded_weights.read(path) if sharded_weights.is_index(path) else weights_file.read(path)


def _find_weights(filepath: str | os.PathLike[str]) -> Path:
    """Return the path of the file of weights, or of the index of several; the index may be named by the file's name."""
    path = parse_path("filepath", filepath)
    if not sharded_weights.is_index(path) and not weights_file.is_of_keras_2(path):
        path = weights_file.check_weights_path(filepath)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file.")
    if not sharded_weights.is_index(path) and not path.exists() and sharded_weights.index_path(path).exists():
        return sharded_weights.index_path(path)
    check_exists(path)
    return path


_BUILD = "Build the model first: model.build(input_shape), an Input in front, or one call on data."


def _has_all_parameters(parts: Iterable[nn.Module]) -> bool:
    """Return whether all parameters exist; layers that only `adapt` builds need not be built."""
    return not any(is_unbuilt(part) and not isinstance(part, AdaptableLayer) for part in parts)


def _build(module: nn.Module, specs: Any) -> None:
    """Make the parameters of lazy layers by one call on zeros; their values are arbitrary."""
    parts = modules(module)
    device = next((tensor.device for tensor in tensors(parts)), torch.device("cpu"))
    zeros = map_structure(lambda spec: spec.zeros(TRIAL_BATCH_SIZES[0], TRIAL_SIZES[0]), specs)
    with isolated(parts):
        build_lazy(module, BatchTransfer(parts, device).inputs(zeros))


def _load_state(module: nn.Module, state: dict[str, Any], name: str) -> None:
    """Copy values into the module's own tensors; if a submodule raises an error, restore the previous values.

    Args:
        module: A built module.
        state: Values for some or all entries of its state dict.
        name: The file, for messages.

    Raises:
        CheckpointError: A submodule does not accept its values.
    """
    own = module.state_dict()
    before = _copy(own) if any(map(_has_own_loading, modules(module))) else None
    try:
        module.load_state_dict({**own, **state})
    except Exception as error:
        if before is not None:
            module.load_state_dict(before)
        raise CheckpointError(f"{name}: the model does not take what it holds: {error}") from error


def _has_own_loading(part: nn.Module) -> bool:
    """Return whether a user's code loads the state of a module, and so may raise an error."""
    kind = type(part)
    has_extra_state = kind.set_extra_state is not nn.Module.set_extra_state
    has_own_loader = is_third_party(kind._load_from_state_dict) or is_third_party(kind.load_state_dict)
    return has_extra_state or has_own_loader or has_loading_hooks(part)


def _copy(state: dict[str, Any]) -> dict[str, Any]:
    """Return copies of the entries of a state dict."""
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in state.items()
    }


def _warn(comparison: WeightsComparison, name: str) -> None:
    """Warn of weights in the file `name` that were left out or rounded."""
    if comparison.differences:
        warn(f"{name}: left out, because it does not fit:\n{comparison.describe(None)}")
    if rounded := comparison.rounded:
        listed = ", ".join(map(repr, rounded[:5])) + (", ..." if len(rounded) > 5 else "")
        count = "1 weight was" if len(rounded) == 1 else f"{len(rounded)} weights were"
        warn(f"{name}: {count} rounded to the narrower dtype of the model: {listed}.")
