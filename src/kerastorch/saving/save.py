"""Write a model to a `.kt` file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from kerastorch.checkpoint import module_state
from kerastorch.checkpoint.write_once import write_once
from kerastorch.core.errors import warn
from kerastorch.core.module_tree import modules
from kerastorch.core.nested import map_structure
from kerastorch.core.ownership import is_own
from kerastorch.core.path_checks import check_writable, parse_path
from kerastorch.core.tensor_spec import has_values
from kerastorch.core.torch_class import declared_class
from kerastorch.functional.functional_model import Functional
from kerastorch.module.evaluation_weights import evaluation_weights
from kerastorch.runtime.dry_run import isolated
from kerastorch.runtime.input_specs import last_input_specs
from kerastorch.saving import architecture, compile_config, sharded_model
from kerastorch.saving.first_rank import write_on_first_rank
from kerastorch.saving.keras_format import legacy_save
from kerastorch.saving.keras_format.load import LEGACY_SUFFIXES
from kerastorch.saving.keras_format.save import write_model
from kerastorch.saving.serializer import built_shapes
from kerastorch.saving.sharded_weights import parse_shard_size
from kerastorch.training.trainer import Trainer
from kerastorch.version import VERSION_KEY, __version__

SUFFIX, KERAS_SUFFIX = ".kt", ".keras"
_WEIGHTS_SUFFIXES = (".weights.h5", ".weights.safetensors", ".safetensors")
_OTHER_SUFFIXES = (*_WEIGHTS_SUFFIXES, ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pt2",
                   ".onnx")  # fmt: skip


def save_model(
    model: Functional,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    max_shard_size: int | float | str | None = None,
) -> None:
    """Write architecture, weights, arguments of `compile` and optimizer state, as `Model.save` documents.

    Args:
        model: The model; all its layers are built.
        filepath: Path of the file, which ends in `.kt`; missing folders are created.
        overwrite: Whether an existing file is replaced.
        max_shard_size: Largest size of the tensors in one file. Default: one file.

    Raises:
        FileExistsError: The file exists and `overwrite` is `False`.
        ValueError: The suffix is not `.kt`; a parameter or buffer has no shape yet; `max_shard_size` is no size.
    """
    path = check_model_path(filepath)
    if path.suffix != SUFFIX:
        if max_shard_size is not None:
            raise ValueError(f"max_shard_size is for {SUFFIX} files; a {path.suffix} file has all weights.")
        write_on_first_rank(model, path, lambda: _write_keras_file(model, path, overwrite))
        return
    max_bytes = parse_shard_size(max_shard_size)
    write_on_first_rank(model, path, lambda: _write_model(model, path, overwrite, max_bytes))


def _write_model(model: Functional, path: Path, overwrite: bool, max_bytes: int | None) -> None:
    """Write a model; the arguments are those of `save_model`, checked."""
    _check_target(model, path, overwrite)
    with evaluation_weights(model):
        with isolated(modules(model)):
            sections = _sections(model)
        write_once(sections, lambda whole: sharded_model.write(path, whole, max_bytes), path)


def _check_target(model: nn.Module, path: Path, overwrite: bool) -> None:
    """Raise if the file cannot be written or must not be replaced, or if a weight has no size yet."""
    check_writable(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Pass overwrite=True to replace it, or choose another name.")
    for name, weight in (*model.named_parameters(), *model.named_buffers()):
        if nn.parameter.is_lazy(weight):
            raise ValueError(f"{name} has no size yet. Build the model before saving it: call it, or fit, on data.")


def _write_keras_file(model: Functional, path: Path, overwrite: bool) -> None:
    """Write a file that Keras opens; the arguments are those of `save_model`, checked."""
    _check_target(model, path, overwrite)
    with evaluation_weights(model):
        trainer: Trainer | None = vars(model).get("_trainer")
        arguments = None if trainer is None else trainer.compile_args
        if path.suffix == KERAS_SUFFIX:
            write_model(model, path, arguments, None if trainer is None else trainer.optimizers.made.get(""))
        else:
            legacy_save.write_model(model, path, arguments)


def check_model_path(filepath: str | os.PathLike[str]) -> Path:
    """Return the path of a model's file.

    Raises:
        TypeError: `filepath` is not a path.
        ValueError: The suffix is not `.kt`.
    """
    path = parse_path("filepath", filepath)
    if path.suffix not in (SUFFIX, KERAS_SUFFIX, *LEGACY_SUFFIXES) or path.name.endswith(".weights.h5"):
        ending = next((end for end in _OTHER_SUFFIXES if path.name.endswith(end)), "")
        weights = " For weights alone there is save_weights." if ending in _WEIGHTS_SUFFIXES else ""
        raise ValueError(
            f"the file of a model ends in {SUFFIX}, got {os.fspath(filepath)!r}; use "
            f"{path.name.removesuffix(ending) + SUFFIX!r}.{weights}"
        )
    return path


def _sections(model: Functional) -> dict[str, Any]:
    """Return the sections of the file by name."""
    trainer: Trainer | None = vars(model).get("_trainer")
    written, why = _encode_architecture(model)
    specs = last_input_specs(model)
    sections: dict[str, Any] = {
        "model": {
            VERSION_KEY: __version__,
            "class": declared_class(type(_user_module(model))).__name__,
            "architecture": written,
            "why_not": why,
            "built": built_shapes(model),
            "seen": None
            if has_values(specs)
            else map_structure(lambda spec: {"spec": (spec.shape, spec.dtype)}, specs),
            "condition": _condition(model),
        },
        "weights": dict(model.state_dict()),
    }
    if trainer is not None:
        settings, why_not = _encode_compile_args(model, trainer)
        sections["compile"] = {"settings": settings, "why_not": why_not}
        sections["optimizer"] = compile_config.capture_progress(trainer)
    return sections


def _condition(model: nn.Module) -> dict[str, Any]:
    """Return the state of a model that is not in its `state_dict()`."""
    return {
        "frozen": [name for name, parameter in model.named_parameters() if not parameter.requires_grad],
        "trainable": module_state.capture_trainable_flags(model),
        "keras_layout": [path for path, part in module_state.own_modules(model) if vars(part).get("keras_layout")],
        "evaluating": module_state.capture_eval_modules(model),
        "formats": module_state.capture_memory_formats(model),
        "dtypes": {name: buffer.dtype for name, buffer in module_state.non_persistent_buffers(model)},
        "draws": module_state.capture_random_counts(model, ":"),
        "states": {
            path: list(states.values())
            for path, states in module_state.capture_recurrent_states(model).items()
            if states
        },
    }


def _user_module(model: Functional) -> nn.Module:
    """Return what a user would pass to `load_model` as `module`: the viewed module of a view, else the model."""
    viewed = model.module_viewed
    return viewed if isinstance(viewed, nn.Module) and not model.is_functional else model


def _encode_architecture(model: Functional) -> tuple[Any, str | None]:
    """Return the encoded architecture and `None`, or `None` and the reason why it cannot be encoded."""
    try:
        return architecture.describe(model), None
    except TypeError as error:
        why = str(error)
    is_view = model.module_viewed is not None and not model.is_functional
    if not is_view:  # users of Model(module) expect to pass the module to load_model, so there is no warning
        warn(
            f"the architecture cannot be written: {why} Weights and all else are; load them with "
            "load_model(path, module=<your model>)."
        )
    return None, why


def _encode_compile_args(model: Functional, trainer: Trainer) -> tuple[dict[str, Any] | None, str | None]:
    """Return the encoded arguments of `compile` and `None`, or `None` and the reason why they cannot be encoded."""
    try:
        if not is_own(type(model).compile):
            raise TypeError(f"{type(model).__name__} has a compile() of its own.")
        return compile_config.encode_compile_args(trainer), None
    except TypeError as error:
        warn(
            f"compile state cannot be written: {error} Call compile() after loading; the optimizer's state is in the "
            "file for load_model(path, module=<your compiled model>)."
        )
        return None, str(error)
