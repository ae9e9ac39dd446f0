"""Reading a model from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from kerastorch.checkpoint import archive_format
from kerastorch.core.errors import CheckpointError, damaged_file, warn
from kerastorch.core.path_checks import check_exists, parse_path
from kerastorch.core.serialization import find_class
from kerastorch.runtime.dry_run import isolated
from kerastorch.saving import architecture, compile_config, state
from kerastorch.saving.deserializer import build
from kerastorch.saving.registry import checked, known
from kerastorch.saving.save import SUFFIX


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,  # noqa: A002  # Keras' name
    *,
    module: nn.Module | None = None,
) -> Any:
    """The model that `model.save` wrote, on the CPU, ready to go on where it was.

    What is read is data: nothing is imported, opened or run because the file says so.

    Args:
        filepath: of a `.kt` file.
        custom_objects: your own classes and functions, by the names that they were saved under; what is registered by
            `register_keras_serializable` need not be given.
        compile: whether the model is compiled as it was, with the optimizer's state.
        module: a model made by your own code, which takes on what is in the file: a `torch.nn.Module` is wrapped by
            `Model(module)`, a `Model` is used as it is, and if it is compiled stays so.

    Returns:
        A `Sequential`, a `Model`, or one of your own class.

    Raises:
        CheckpointError: no such file of kerastorch's; names that nobody knows; a file without an architecture, where no
            `module` is given; weights that are not those of the model. A damaged file is `CheckpointCorruptError`.
        FileNotFoundError: there is no such file.

    Warns:
        UserWarning: what `compile` was given is not in the file.

    >>> import tempfile, kerastorch as kt
    >>> model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(folder + "/model.kt")
    ...     again = kt.load_model(folder + "/model.kt")
    >>> bool((again.predict([[1.0, 2.0, 3.0]]) == model.predict([[1.0, 2.0, 3.0]])).all())
    True
    """
    custom = {**known(), **checked(custom_objects)}
    if module is not None and not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {module!r}.")
    path = parse_path("filepath", filepath)
    where = str(path)
    sections = _read(where)
    try:
        with isolated([]):
            model = _model(sections, custom, module, where)
            if compile and "compile" in sections:
                _compile(model, sections, custom, where)
    except CheckpointError:
        raise
    except _MALFORMED as error:
        raise damaged_file(where, repr(error)) from error
    return model


_NOT_MODELS = {
    (".safetensors",): "has weights alone; make the model and call load_weights on it.",
    (".keras", ".h5", ".hdf5"): "is a file of Keras, which is not read; write the weights as .safetensors there.",
    (".pt2", ".onnx"): "is a program that export wrote; no model comes back from it. Keep what model.save writes.",
    (".pt", ".pth", ".bin", ".pkl", ".ckpt"): "is a pickle, or one in a zip file, as torch.save writes, and never "
    "read; if you trust it, make the model, and model.load_state_dict(torch.load(path, weights_only=True)).",
}

# what comes of content that no `save` writes; with a caller's module also what its code does not take
_MALFORMED = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError,
              ValueError)  # fmt: skip


def _read(where: str) -> dict[str, Any]:
    if os.path.isdir(where):
        raise CheckpointError(f"{where} is a folder; load_model takes a {SUFFIX} file that model.save wrote.")
    for endings, why in _NOT_MODELS.items():
        if where.endswith(endings):
            raise CheckpointError(f"{where} {why}")
    check_exists(Path(where))
    sections = archive_format.read(where)
    if "fit" in sections:
        raise CheckpointError(
            f"{where} is of a training, as BackupAndRestore keeps it; fit(resume=<its folder>) in the same script goes "
            "on with it."
        )
    if "model" not in sections or "weights" not in sections:
        raise CheckpointError(f"{where} is an archive of kerastorch, but not of a model; it has {sorted(sections)}.")
    return sections


def _model(sections: Mapping[str, Any], custom: Mapping[str, Any], module: nn.Module | None, where: str) -> Any:
    about, weights = sections["model"], sections["weights"]
    if module is not None:
        model = module if isinstance(module, _base()) else _base()(module)
        _build(model, about["built"])
    elif about["architecture"] is None:
        raise CheckpointError(
            f"{where} has no architecture: {about['why_not']} Make the model as you did before and pass it: "
            f"load_model({where!r}, module=<your {about['class']}>)."
        )
    else:
        model = architecture.rebuild(about["architecture"], weights, custom, where)
    if not isinstance(model, _base()):
        raise CheckpointError(f"{where} holds {type(model).__name__}, which is no Model.")
    own = module is not None
    state.load_weights(model, weights, about["condition"]["dtypes"], where)
    state.restore(model, about["condition"], own=own)
    seen = state.specs_from(about["seen"])
    if seen is not None:
        model._seen = seen
    return model


def _base() -> Any:
    return find_class("kerastorch.Model")


def _build(model: nn.Module, shapes: Mapping[str, Any]) -> None:
    """Layers of a caller's model that wait for data are built as those that were saved."""
    held = dict(model.named_modules())
    while waiting := [place for place in shapes if place in held and held[place].__dict__.get("built") is False]:
        for place in waiting:
            build(model, {place: shapes[place]})
        held = dict(model.named_modules())


def _compile(model: Any, sections: Mapping[str, Any], custom: Mapping[str, Any], where: str) -> None:
    written, why = sections["compile"]["settings"], sections["compile"]["why_not"]
    if model._trainer is None:
        if written is None:
            warn(
                f"{where} does not have what compile() was given: {why} Call compile(); or give load_model "
                "module=<your compiled model>, and the optimizer goes on where it was."
            )
            return
        _base().compile(model, **compile_config.settings(written, model, custom, where))
    compile_config.restore(model._trainer, sections["optimizer"], where)
