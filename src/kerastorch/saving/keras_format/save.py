"""Write a model as a `.keras` file, and weights as a `.weights.h5` file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from kerastorch import optimizers
from kerastorch.checkpoint import atomic_file
from kerastorch.core.errors import warn
from kerastorch.optimizers import Optimizer
from kerastorch.optimizers.step_hooks import TorchOptimizer
from kerastorch.saving.keras_format import keras_archive, weights_h5
from kerastorch.saving.keras_format.config_writer import ConfigWriter
from kerastorch.saving.keras_format.keras_archive import KerasArchive
from kerastorch.saving.keras_format.optimizer_slots import OPTIMIZER, written_state
from kerastorch.saving.keras_format.weights_writer import written_weights
from kerastorch.version import VERSION_KEY, __version__

FORMAT_OF = "3.15.1"  # version of Keras whose format is written


def write_model(
    model: nn.Module, path: Path, compile_args: Mapping[str, Any] | None, optimizer: TorchOptimizer | None
) -> None:
    """Write a `.keras` file.

    Args:
        model: A built model.
        path: Path of the file.
        compile_args: The arguments of `compile`, if it was called.
        optimizer: The optimizer, if there is one.

    Raises:
        TypeError: Keras has no counterpart of a layer, an argument or an operation.

    Warns:
        UserWarning: Keras has no counterpart of a loss, a metric, the optimizer, or its state; they are left out.
    """
    writer = ConfigWriter(model)
    config, groups = writer.module(model), written_weights(model)
    if compile_args is not None:
        try:
            config["compile_config"] = compile_config(writer, compile_args)
        except TypeError as error:
            warn(f"{path} has the model without what compile() was given: {error}")
        else:
            state = None if optimizer is None else written_state(optimizer, model, has_rate=_has_rate(config))
            groups |= {} if state is None else {OPTIMIZER: state}
    date = f"{datetime.now(UTC):%Y-%m-%d@%H:%M:%S}"
    about = {"keras_version": FORMAT_OF, "date_saved": date, VERSION_KEY: __version__}
    keras_archive.write(path, KerasArchive(config, groups, {}), about)


_ARGUMENTS = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "steps_per_execution")


def compile_config(writer: ConfigWriter, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `compile` in Keras' form.

    Args:
        writer: Writes the config of the model.
        arguments: The arguments of `compile`.

    Raises:
        TypeError: Keras has no counterpart of one.
    """
    given = {name: arguments.get(name) for name in _ARGUMENTS}
    if not isinstance(given["optimizer"], (str, Optimizer)):
        raise TypeError(f"Keras does not have the optimizer {given['optimizer']!r}.")
    if isinstance(given["optimizer"], str):
        given["optimizer"] = optimizers.get(given["optimizer"])
    written = {name: writer.value(value) for name, value in given.items()}
    return written | {
        "run_eagerly": False,
        "jit_compile": False,
        "steps_per_execution": written["steps_per_execution"] or 1,
    }


def _has_rate(config: Mapping[str, Any]) -> bool:
    """Return whether the learning rate is a number, which Keras has as a variable."""
    return not isinstance(config["compile_config"]["optimizer"]["config"].get("learning_rate"), Mapping)


def write_weights_file(model: nn.Module, path: Path) -> None:
    """Write a `.weights.h5` file."""
    atomic_file.write(path, [weights_h5.encode_groups(written_weights(model))])
