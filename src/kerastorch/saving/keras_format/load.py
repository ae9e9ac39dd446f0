"""Read a model from a `.keras` or `.h5` file, and weights from a `.weights.h5` file."""

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
from kerastorch.saving.keras_format import build_shapes, keras_archive, legacy_h5, weights_h5
from kerastorch.saving.keras_format.config_reader import ConfigReader
from kerastorch.saving.keras_format.keras_archive import KerasArchive
from kerastorch.saving.keras_format.legacy_h5 import LegacyFile
from kerastorch.saving.keras_format.legacy_weights import find_in_lists, names_in_lists
from kerastorch.saving.keras_format.weight_groups import weight_groups
from kerastorch.saving.keras_format.weights_h5 import Groups
from kerastorch.saving.keras_format.weights_reader import Found, check_fit, find_weights, variables

KERAS_SUFFIX, LEGACY_SUFFIXES = ".keras", (".h5", ".hdf5")


class FileOfKeras(NamedTuple):
    """What a `.keras` or `.h5` file holds.

    Attributes:
        model: The model with its weights.
        compile_args: The encoded arguments of `compile`; `None` if the model was not compiled.
        groups: The arrays of the file, among them the state of the optimizer.
        specs: The specs of the inputs, if the model was built for those that the file has.
    """

    model: nn.Module
    compile_args: dict[str, Any] | None
    groups: Groups
    specs: Any


def read_model(path: Path, custom: Mapping[str, Any]) -> FileOfKeras:
    """Return the model of a `.keras` or `.h5` file, with its weights, and what it was compiled with.

    The model is made on fake tensors first, so that a file cannot make it take memory that its weights do not need.

    Args:
        path: Path of the file.
        custom: The user's classes and functions by name.

    Raises:
        CheckpointError: The file names what is not known, or its weights do not fit.
    """
    where = str(path)
    file = keras_archive.read(path) if path.suffix == KERAS_SUFFIX else legacy_h5.read(path)
    reader = ConfigReader(custom, None if isinstance(file, LegacyFile) else file)
    try:
        encoded = reader.module(file.config, group="")
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from error
    with on_fake_tensors():
        check_fit(_find(file, _make(encoded, file.config, reader, custom, where)), where)
    made = _make(encoded, file.config, reader, custom, where)
    model = made.model
    model.load_state_dict({**model.state_dict(), **check_fit(_find(file, made), where)})
    for part in modules(model):
        if isinstance(part, Layer):
            part.use_keras_layout()
    return FileOfKeras(model, _compile_args(file.compile_config, reader), file.groups, made.specs)


class _Made(NamedTuple):
    """A model, the group of the weights of each of its layers that the config lists, and the specs it was built for."""

    model: nn.Module
    groups: dict[nn.Module, str]
    specs: Any


def _find(file: KerasArchive | LegacyFile, made: _Made) -> Found:
    """Return the values that a file has for the tensors of a model."""
    if isinstance(file, LegacyFile):
        return find_in_lists(made.model, file.weights)
    return find_weights(weight_groups(made.model, made.groups), made.model, file.groups)


_COMPILE = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "steps_per_execution")


def _compile_args(written: Any, reader: ConfigReader) -> dict[str, Any] | None:
    """Return the encoded arguments of `compile`."""
    if not written:
        return None
    return {name: reader.value(written[name]) for name in _COMPILE if written.get(name) is not None}


def _make(
    encoded: Mapping[str, Any], written: Mapping[str, Any], names: ConfigReader, custom: Mapping[str, Any], where: str
) -> _Made:
    """Return the built model of an encoded config.

    Args:
        encoded: The config.
        written: The config in the form of Keras.
        names: What has encoded it.
        custom: The user's classes and functions by name.
        where: Name of the file, for messages.

    Raises:
        CheckpointError: The model cannot be made.
    """
    reader = Reader(custom, initializes_weights=False)
    try:
        with use_codec(reader):
            model = decode(encoded)
        specs = build_shapes.build(model, written)
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from error
    except Exception as error:
        raise CheckpointError(f"{where}: the model cannot be made: {error}") from error
    return _Made(model, {reader.module_numbered(number): group for number, group in names.groups.items()}, specs)


def read_weights_file(path: Path, model: nn.Module, *, skip_mismatch: bool) -> dict[str, Any]:
    """Return values for the state dict of a model from a `.weights.h5` file, or an `.h5` file of Keras 2.

    Args:
        path: Path of the file.
        model: A built model. What Keras does not count as a weight, such as the boundaries of bins, keeps its value.
        skip_mismatch: Whether weights that do not fit are left out.

    Raises:
        CheckpointError: The file has no array for a weight, or one of another shape.
    """
    where = str(path)
    data = atomic_file.read(path, follow_symlinks=True)
    lists = legacy_h5.read_weights(data, where)
    if lists is not None:
        found, expected = find_in_lists(model, lists), names_in_lists(model)
    else:
        groups, parts = weights_h5.decode_groups(data, where), [*weight_groups(model, {})]
        found = find_weights(parts, model, groups)
        expected = {prefix + name for _, variable, prefix, _ in variables(parts, model) for name in variable.tensors}
    weights = found.tensors if skip_mismatch else check_fit(found, where)
    return {**{name: value for name, value in model.state_dict().items() if name not in expected}, **weights}
