"""Read a model from a `.kt` file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from kerastorch.checkpoint import archive_format, module_state
from kerastorch.core.errors import damaged_file, warn
from kerastorch.core.path_checks import check_exists, parse_path
from kerastorch.core.serialization import find_class
from kerastorch.core.tensor_spec import TensorSpec
from kerastorch.core.traceback_filter import public_api
from kerastorch.errors import CheckpointError
from kerastorch.layers.base import Layer
from kerastorch.runtime.dry_run import isolated
from kerastorch.saving import architecture, compile_config, sharded_model
from kerastorch.saving.deserializer import build
from kerastorch.saving.keras_format import load as keras_format
from kerastorch.saving.keras_format.load import KERAS_SUFFIX, LEGACY_SUFFIXES
from kerastorch.saving.keras_format.optimizer_slots import OPTIMIZER, read_state
from kerastorch.saving.keras_format.weights_h5 import Groups
from kerastorch.saving.registry import check_custom_objects, known_objects
from kerastorch.saving.save import SUFFIX

if TYPE_CHECKING:
    from kerastorch.model import Model  # in a room above: a type alone, see ignore_imports in pyproject.toml


@public_api
def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,  # noqa: A002  # the name of Keras' argument
    *,
    module: nn.Module | None = None,
) -> Model:
    """Return the model that `model.save`, of kerastorch or of Keras 3, wrote, on the CPU.

    The file is read as data: nothing is imported or run because the file names it. Other files are only opened if they
    are safetensors in the same folder, which `model.save(max_shard_size=)` wrote. Layers of a file of Keras take their
    channels as they did there, and `get_weights` returns Keras' arrays. Such files are read with h5py.

    Args:
        filepath: Path of a `.kt` or `.keras` file, or of the `.h5` file of a functional or sequential model of Keras.
        custom_objects: Your own classes and functions, by the names that they were saved under. Those registered by
            `register_keras_serializable` are found without it.
        compile: Whether to compile the model as it was and to restore the state of its optimizer.
        module: A model made by your own code, which takes the weights and the state in the file. A `torch.nn.Module`
            is wrapped by `Model(module)`; a `Model` is used as it is and stays compiled if it is.

    Returns:
        A `Sequential`, a `Model`, or a model of your own class.

    Raises:
        CheckpointError: The file is not a model of kerastorch; it names classes or functions that are not known; it has
            no architecture and `module` is not given; the weights do not fit the model; a file with its tensors is
            missing. `CheckpointCorruptError`, a subclass, means that a file is damaged.
        FileNotFoundError: The file does not exist.

    Warns:
        UserWarning: The file does not have the arguments of `compile`; or the state of an optimizer of Keras has no
            counterpart.

    >>> import tempfile, kerastorch as kt
    >>> model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(folder + "/model.kt")
    ...     again = kt.load_model(folder + "/model.kt")
    >>> bool((again.predict([[1.0, 2.0, 3.0]]) == model.predict([[1.0, 2.0, 3.0]])).all())
    True
    """
    custom = {**known_objects(), **check_custom_objects(custom_objects)}
    if module is not None and not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {module!r}.")
    path = parse_path("filepath", filepath)
    where = str(path)
    is_of_keras = path.suffix in (KERAS_SUFFIX, *LEGACY_SUFFIXES) and not path.name.endswith(".weights.h5")
    if is_of_keras:
        check_exists(path)
    sections = {} if is_of_keras else _read_sections(where)
    try:
        if is_of_keras:
            return _from_keras(path, custom, compiled=compile)
        sections = sharded_model.read(path, sections)
        with isolated([]):
            model = _make_model(sections, custom, module, where)
            if compile and "compile" in sections:
                _compile(model, sections, custom, where)
    except CheckpointError:
        raise
    except _MALFORMED as error:
        raise damaged_file(where, repr(error)) from error
    return model


def _from_keras(path: Path, custom: Mapping[str, Any], *, compiled: bool) -> Model:
    """Return the model of a file of Keras."""
    where = str(path)
    with isolated([]):
        file = keras_format.read_model(path, custom)
        model = file.model
        if not isinstance(model, _model_class()):
            raise CheckpointError(f"{where} holds {type(model).__name__}, which is no Model.")
        if file.specs is not None:
            model._seen = file.specs
        if compiled and file.compile_args is not None:
            arguments = {"optimizer": "rmsprop", **file.compile_args}
            _model_class().compile(model, **compile_config.decode_compile_args(arguments, model, custom, where))
            _restore_optimizer(model, file.groups, where)
    return model


def _restore_optimizer(model: Model, groups: Groups, where: str) -> None:
    """Give the optimizer the state that a file of Keras has."""
    made = model.optimizer
    if made is None or OPTIMIZER not in groups:
        return
    state = read_state(made, model, groups)
    if state is None:
        warn(f"{where}: the state of {type(made).__name__} is not that of Keras' optimizer; it begins anew.")
    else:
        made.load_state_dict(dict(state))


_NOT_MODELS = {
    (".safetensors", ".safetensors.index.json"): "contains weights only; create the model and call its load_weights. "
    "load_model reads the .kt file that model.save wrote.",
    (".weights.h5",): "contains weights only; create the model and call its load_weights.",
    (".pt2", ".onnx"): "is an exported program, which has no model; use a file that model.save wrote.",
    (".pt", ".pth", ".bin", ".pkl", ".ckpt"): "is a pickle, or a zip file with one, as torch.save writes, "
    "which is never read. If you trust it, create the model and call load_state_dict(torch.load(path, "
    "weights_only=True)).",
}

# errors that content raises if no `save` wrote it; with `module=`, also errors that the user's code raises on loading
_MALFORMED = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError,
              ValueError)  # fmt: skip


def _read_sections(where: str) -> dict[str, Any]:
    """Read the archive of a model; raise `CheckpointError` with advice for a folder or a file of another kind."""
    if os.path.isdir(where):
        raise CheckpointError(f"{where} is a folder; load_model takes a {SUFFIX} file that model.save wrote.")
    for endings, why in _NOT_MODELS.items():
        if where.endswith(endings):
            raise CheckpointError(f"{where} {why}")
    check_exists(Path(where))
    sections = archive_format.read(where)
    if "fit" in sections:
        raise CheckpointError(
            f"{where} is the checkpoint of a training, which BackupAndRestore wrote; fit(resume=<its folder>) in the "
            "same script resumes it."
        )
    if "model" not in sections or not {"weights", sharded_model.SECTION} & set(sections):
        raise CheckpointError(f"{where} is an archive of kerastorch, but not of a model; it has {sorted(sections)}.")
    return sections


def _make_model(sections: Mapping[str, Any], custom: Mapping[str, Any], module: nn.Module | None, where: str) -> Model:
    """Return the model of the file, or `module` as a model, with the weights and the state in the file."""
    about, weights = sections["model"], sections["weights"]
    model: nn.Module
    if module is not None:
        model = module if isinstance(module, _model_class()) else _model_class()(module)
        _build(model, about["built"])
    elif about["architecture"] is None:
        raise CheckpointError(
            f"{where} has no architecture: {about['why_not']} Make the model as you did before and pass it: "
            f"load_model({where!r}, module=<your {about['class']}>)."
        )
    else:
        model = architecture.rebuild(about["architecture"], weights, custom, where)
    if not isinstance(model, _model_class()):
        raise CheckpointError(f"{where} holds {type(model).__name__}, which is no Model.")
    _load_weights(model, weights, about["condition"]["dtypes"], where)
    _restore_condition(model, about["condition"], restore_modes=module is None)
    specs = _decode_specs(about["seen"])
    if specs is not None:
        model._seen = specs
    return model


def _model_class() -> type[Model]:
    """Return the class `Model`, which is in a room above and cannot be imported here."""
    return cast("type[Model]", find_class("kerastorch.Model"))


def _build(model: nn.Module, shapes: Mapping[str, Any]) -> None:
    """Build the layers of a user's model that wait for data, for the shapes that the saved layers were built for."""
    held = dict(model.named_modules())
    while waiting := [place for place in shapes if place in held and held[place].__dict__.get("built") is False]:
        for place in waiting:
            build(model, {place: shapes[place]})
        held = dict(model.named_modules())  # a built layer may have new children


def _load_weights(model: nn.Module, weights: Mapping[str, Any], dtypes: Mapping[str, Any], where: str) -> None:
    """Load a state dict and take over its dtypes.

    Args:
        model: A built model.
        weights: The state dict in the file.
        dtypes: Dtypes of the buffers that are not in the state dict, by name.
        where: The file, for messages.

    Raises:
        CheckpointError: The weights are not those of the model.
    """
    for name, value in model.state_dict(keep_vars=True).items():
        _cast(value, getattr(weights.get(name), "dtype", None))
    for name, buffer in module_state.non_persistent_buffers(model):
        _cast(buffer, dtypes.get(name))
    try:
        model.load_state_dict(dict(weights))
    except Exception as error:
        raise CheckpointError(f"{where}: the weights are not those of the model: {error}") from error


def _cast(value: Any, dtype: Any) -> None:
    """Cast a tensor in place, if both its dtype and `dtype` are floating-point."""
    if not isinstance(value, Tensor) or not isinstance(dtype, torch.dtype) or nn.parameter.is_lazy(value):
        return
    if value.dtype != dtype and value.is_floating_point() and dtype.is_floating_point:
        value.data = value.data.to(dtype)


def _restore_condition(model: nn.Module, condition: Mapping[str, Any], *, restore_modes: bool) -> None:
    """Put back the state of a model that is not in its `state_dict()`.

    Args:
        model: A model with its weights.
        condition: The state of a model like it; entries for modules and tensors that it does not have are ignored.
        restore_modes: Whether training modes and memory formats are restored too.
    """
    names = {name for name, _ in model.named_parameters()}
    module_state.restore_requires_grad(model, names - set(condition["frozen"]))
    module_state.restore_trainable_flags(model, condition["trainable"])
    if restore_modes:
        module_state.restore_memory_formats(model, condition["formats"])
        module_state.restore_eval_modules(model, set(condition["evaluating"]))
    module_state.restore_random_counts(model, condition["draws"], ":")
    parts = dict(module_state.own_modules(model))
    for path in condition.get("keras_layout", ()):  # earlier releases did not save it
        part = parts.get(path)
        if isinstance(part, Layer):
            part.use_keras_layout()
    states = {
        path: {f"state_{index}": state for index, state in enumerate(saved)}
        for path, saved in condition["states"].items()
        if saved and getattr(parts.get(path), "stateful", False)
    }
    module_state.restore_recurrent_states(model, states)


def _decode_specs(written: Any) -> Any:
    """Return the specs of the model's inputs in their structure; `None` if the file does not have them."""
    if isinstance(written, Mapping):
        if set(written) == {"spec"}:
            return TensorSpec(*written["spec"])
        return {key: _decode_specs(item) for key, item in written.items()}
    if isinstance(written, (tuple, list)):
        return type(written)(_decode_specs(item) for item in written)
    return None


def _compile(model: Model, sections: Mapping[str, Any], custom: Mapping[str, Any], where: str) -> None:
    """Compile the model as it was, unless it is compiled, and restore the state of its optimizer."""
    written, why = sections["compile"]["settings"], sections["compile"]["why_not"]
    if model._trainer is None:
        if written is None:
            warn(
                f"{where} does not have what compile() was given: {why} Call compile(); or give load_model "
                "module=<your compiled model>, to restore the state of its optimizer."
            )
            return
        _model_class().compile(model, **compile_config.decode_compile_args(written, model, custom, where))
    assert model._trainer is not None
    compile_config.restore_progress(model._trainer, sections["optimizer"], where)
