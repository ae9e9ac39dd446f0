"""Write the `.h5` file of a functional or sequential model, as Keras 3 does: weights by layer, in lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from kerastorch.checkpoint import atomic_file
from kerastorch.core.errors import warn
from kerastorch.saving.keras_format import weights_h5
from kerastorch.saving.keras_format.config_writer import ConfigWriter
from kerastorch.saving.keras_format.legacy_weights import lists_of_weights
from kerastorch.saving.keras_format.save import FORMAT_OF, compile_config

_KINDS = ("Functional", "Sequential")
_CLASSES = {"GroupQueryAttention": "GroupedQueryAttention"}  # the names of classes in such a file, if they differ
# Keras does not read the short names of losses from such a file.
_LOSSES = {
    "mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error", "bce": "binary_crossentropy", "kld": "kl_divergence",
    "cosine": "cosine_similarity", "logcosh": "log_cosh",
}  # fmt: skip


def write_model(model: nn.Module, path: Path, compile_args: Mapping[str, Any] | None) -> None:
    """Write an `.h5` file, without the state of the optimizer.

    Args:
        model: A built model.
        path: Path of the file.
        compile_args: The arguments of `compile`, if it was called.

    Raises:
        TypeError: The model is neither functional nor sequential, or Keras has no counterpart of a part of it.

    Warns:
        UserWarning: Keras has no counterpart of what `compile` was given; it is left out.
    """
    is_described = getattr(model, "is_functional", False) or getattr(model, "is_chain", False)
    writer = ConfigWriter(model)
    config = writer.module(model) if is_described else None
    if config is None or config["class_name"] not in _KINDS:
        raise TypeError(f"An .h5 file holds functional and sequential models; save this one as {path.stem}.keras.")
    training = None if compile_args is None else _training_config(writer, compile_args, path)
    attributes = {"backend": "torch", "keras_version": FORMAT_OF, "model_config": json.dumps(_in_former_form(config))}
    if training is not None:
        attributes["training_config"] = json.dumps(training)
    lists = lists_of_weights(model, writer.name)
    atomic_file.write(path, [weights_h5.encode_lists(attributes, lists)])


def _in_former_form(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a model with its layers as Keras 2 describes them: by a class name alone."""
    inner = dict(config["config"])
    if config["class_name"] in _KINDS:
        inner["layers"] = [_in_former_form(layer) for layer in inner["layers"]]
    name = config.get("registered_name") or config["class_name"]
    return {
        "class_name": _CLASSES.get(name, name), "config": inner,
        **{name: config[name] for name in ("name", "inbound_nodes") if name in config},
    }  # fmt: skip


def _training_config(writer: ConfigWriter, arguments: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """Return the arguments of `compile` as in such a file; `None` if Keras has no counterpart."""
    try:
        written = compile_config(writer, arguments)
    except TypeError as error:
        warn(f"{path} has the model without what compile() was given: {error}")
        return None
    optimizer = written.pop("optimizer")
    named: dict[str, Any] = _with_names(written)
    described = {name: optimizer[name] for name in ("class_name", "config")}
    return named | {"loss": _with_long_names(named["loss"]), "optimizer_config": described}


def _with_names(value: Any) -> Any:
    """Return a structure with the name of each function in place of its description."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "function":
            return value["config"]
        return {key: _with_names(one) for key, one in value.items()}
    return [_with_names(one) for one in value] if isinstance(value, list) else value


def _with_long_names(given: Any) -> Any:
    """Return a loss, or losses in a list or dict, with long names in place of short ones."""
    if isinstance(given, Mapping) and "class_name" not in given:
        return {name: _with_long_names(one) for name, one in given.items()}
    if isinstance(given, list):
        return [_with_long_names(one) for one in given]
    return _LOSSES.get(given.lower(), given) if isinstance(given, str) else given
