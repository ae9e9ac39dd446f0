"""Read a model from a `.keras` file, and weights from a `.weights.h5` file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from kerastorch.checkpoint import atomic_file
from kerastorch.core.errors import CheckpointError
from kerastorch.core.module_tree import modules
from kerastorch.core.serialization import decode, use_codec
from kerastorch.layers.base import Layer
from kerastorch.saving.architecture import on_fake_tensors
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.keras_format import keras_archive, weights_h5
from kerastorch.saving.keras_format.config_reader import ConfigReader
from kerastorch.saving.keras_format.weight_groups import weight_groups
from kerastorch.saving.keras_format.weights_h5 import Groups
from kerastorch.saving.keras_format.weights_reader import check_fit, find_weights, variables


class FileOfKeras(NamedTuple):
    """What a `.keras` file holds.

    Attributes:
        model: The model with its weights.
        compile_args: The encoded arguments of `compile`; `None` if the model was not compiled.
        groups: The arrays of the file, among them the state of the optimizer.
    """

    model: nn.Module
    compile_args: dict[str, Any] | None
    groups: Groups


def read_model(path: Path, custom: Mapping[str, Any]) -> FileOfKeras:
    """Return the model of a `.keras` file, with its weights, and what it was compiled with.

    The model is made on fake tensors first, so that a file cannot make it take memory that its weights do not need.

    Args:
        path: Path of the file.
        custom: The user's classes and functions by name.

    Raises:
        CheckpointError: The file names what is not known, or its weights do not fit.
    """
    where = str(path)
    archive = keras_archive.read(path)
    reader = ConfigReader(custom, archive)
    try:
        encoded = reader.module(archive.config, group="")
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from error
    with on_fake_tensors():
        fake, groups = _make(encoded, reader, custom, where)
        check_fit(find_weights(weight_groups(fake, groups), fake, archive.groups), where)
    model, groups = _make(encoded, reader, custom, where)
    weights = check_fit(find_weights(weight_groups(model, groups), model, archive.groups), where)
    model.load_state_dict({**model.state_dict(), **weights})
    for part in modules(model):
        if isinstance(part, Layer):
            part.use_keras_layout()
    return FileOfKeras(model, _compile_args(archive.config.get("compile_config"), reader), archive.groups)


_COMPILE = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "steps_per_execution")


def _compile_args(written: Any, reader: ConfigReader) -> dict[str, Any] | None:
    """Return the encoded arguments of `compile`."""
    if not written:
        return None
    return {name: reader.value(written[name]) for name in _COMPILE if written.get(name) is not None}


def _make(
    encoded: Mapping[str, Any], names: ConfigReader, custom: Mapping[str, Any], where: str
) -> tuple[nn.Module, dict[nn.Module, str]]:
    """Return the model, and the group of the weights of each of its layers that the config lists."""
    reader = Reader(custom, initializes_weights=False)
    try:
        with use_codec(reader):
            model = decode(encoded)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{where}: the model cannot be made: {error}") from error
    return model, {reader.module_numbered(number): group for number, group in names.groups.items()}


def read_weights_file(path: Path, model: nn.Module, *, skip_mismatch: bool) -> dict[str, Any]:
    """Return values for the state dict of a model from a `.weights.h5` file.

    Args:
        path: Path of the file.
        model: A built model. What Keras does not count as a weight, such as the boundaries of bins, keeps its value.
        skip_mismatch: Whether weights that do not fit are left out.

    Raises:
        CheckpointError: The file has no array for a weight, or one of another shape.
    """
    where = str(path)
    groups = weights_h5.decode_groups(atomic_file.read(path, follow_symlinks=True), where)
    parts = [*weight_groups(model, {})]
    found = find_weights(parts, model, groups)
    weights = found.tensors if skip_mismatch else check_fit(found, where)
    expected = {prefix + name for _, variable, prefix, _ in variables(parts, model) for name in variable.tensors}
    return {**{name: value for name, value in model.state_dict().items() if name not in expected}, **weights}
