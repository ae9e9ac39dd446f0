"""Writing a model to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from kerastorch.checkpoint import archive_format
from kerastorch.core.errors import warn
from kerastorch.core.module_tree import modules
from kerastorch.core.ownership import is_own
from kerastorch.core.path_checks import check_writable, parse_path
from kerastorch.runtime.dry_run import isolated
from kerastorch.saving import architecture, compile_config, state
from kerastorch.saving.serializer import built_on
from kerastorch.version import VERSION_KEY, __version__

SUFFIX = ".kt"


def save_model(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """See `Model.save`."""
    path = checked(filepath)
    check_writable(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Pass overwrite=True to replace it, or choose another name.")
    for name, weight in (*model.named_parameters(), *model.named_buffers()):
        if nn.parameter.is_lazy(weight):
            raise ValueError(f"{name} has no size yet. Build the model before saving it: call it, or fit, on data.")
    with isolated(modules(model)):
        sections = _sections(model)
    archive_format.write(path, sections)


def checked(filepath: str | os.PathLike[str]) -> Path:
    """The path of a model.

    Raises:
        TypeError: no path.
        ValueError: another suffix than `.kt`.
    """
    path = parse_path("filepath", filepath)
    if path.suffix != SUFFIX:
        ending = next((end for end in _OTHERS if path.name.endswith(end)), "")
        weights = " For weights alone there is save_weights." if ending in _OF_WEIGHTS else ""
        raise ValueError(
            f"the file of a model ends in {SUFFIX}, got {os.fspath(filepath)!r}; use "
            f"{path.name.removesuffix(ending) + SUFFIX!r}.{weights}"
        )
    return path


_OF_WEIGHTS = (".weights.h5", ".weights.safetensors", ".safetensors")
_OTHERS = (*_OF_WEIGHTS, ".keras", ".h5", ".hdf5", ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pt2", ".onnx")


def _sections(model: Any) -> dict[str, Any]:
    written, why = _architecture(model)
    seen = vars(model).get("_seen") or getattr(vars(model).get("_trainer"), "seen", None)
    sections: dict[str, Any] = {
        "model": {
            VERSION_KEY: __version__,
            "class": type(_of_the_user(model)).__name__,
            "architecture": written,
            "why_not": why,
            "built": built_on(model),
            "seen": state.specs(seen),
            "condition": state.condition(model),
        },
        "weights": dict(model.state_dict()),
    }
    trainer = vars(model).get("_trainer")
    if trainer is not None:
        settings, why_not = _settings(model, trainer)
        sections["compile"] = {"settings": settings, "why_not": why_not}
        sections["optimizer"] = compile_config.progress(trainer)
    return sections


def _of_the_user(model: Any) -> nn.Module:
    """What a user would pass as `module`: of a view, what is viewed."""
    viewed = model.module_viewed
    return viewed if isinstance(viewed, nn.Module) and not model.is_functional else model


def _architecture(model: Any) -> tuple[Any, str | None]:
    try:
        return architecture.describe(model), None
    except TypeError as error:
        why = str(error)
    foreign = model.module_viewed is not None and not model.is_functional
    if not foreign:  # a view of somebody's module is expected to need that
        warn(
            f"the architecture cannot be written: {why} Weights and all else are; load them with "
            "load_model(path, module=<your model>)."
        )
    return None, why


def _settings(model: Any, trainer: Any) -> tuple[Any, str | None]:
    try:
        if not is_own(type(model).compile):
            raise TypeError(f"{type(model).__name__} has a compile() of its own.")
        return compile_config.describe(trainer), None
    except TypeError as error:
        warn(
            f"compile state cannot be written: {error} Call compile() after loading; the optimizer's state is in the "
            "file for load_model(path, module=<your compiled model>)."
        )
        return None, str(error)
