"""Names of the numbers that a pass logs, in Keras' order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from kerastorch.callbacks.learning_rate import LEARNING_RATE
from kerastorch.core.module_tree import modules
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.metrics.registry import get as get_metric
from kerastorch.training.output_names import by_output
from kerastorch.training.rate_logs import has_learning_rate
from kerastorch.training.trainer import Trainer


def metrics_by_output(given: Any, names: Sequence[str] | None = None) -> dict[str, list[MetricSpec]]:
    """Return the metrics given to `compile` by output name.

    Args:
        given: A list for the only output; a list of lists or a dict for several outputs.
        names: Names of the outputs, if they are a list and have names.
    """
    flat = isinstance(given, (list, tuple)) and not any(isinstance(one, (list, tuple)) for one in given)
    by_name = {"": given} if flat else by_output(given, names)
    listed = {name: some if isinstance(some, (list, tuple)) else [some] for name, some in by_name.items()}
    return {name: unique(map(get_metric, some)) for name, some in listed.items() if some and some[0] is not None}


def unique(wanted: Iterable[MetricSpec]) -> list[MetricSpec]:
    """Add numbers to repeated names of metrics as Keras does: `accuracy`, `accuracy_1`."""
    numbered: list[MetricSpec] = []
    for metric in wanted:
        names = {other.name for other in numbered}
        name, number = metric.name, 0
        while name in names:
            number += 1
            name = f"{metric.name}_{number}"
        numbered.append(replace(metric, name=name))
    return numbered


def log_names(model: nn.Module, trainer: Trainer, validates: bool, listed: bool = False) -> list[str]:
    """Return the names that an epoch will log.

    Args:
        model: The model.
        trainer: Its losses and metrics.
        validates: Add the names of the validation, with `val_`.
        listed: Return the names of `evaluate`'s list, which has no `data_loss`.
    """
    names = ["loss"]
    if not listed and (trainer.weight_regularizers or any(map(_has_penalty, modules(model)))):
        names.append("data_loss")
    if trainer.compiled_loss.names_parts:
        names += [f"{output}_loss" for output, loss in trainer.compiled_loss.losses.items() if loss is not None]
    for output, some in trainer.metrics.items():
        names += [f"{output}_{metric.name}" if output else metric.name for metric in some]
    validation = [f"val_{name}" for name in names] if validates else []
    logs_rate = not listed and has_learning_rate(trainer)
    return [*names, *validation, *([LEARNING_RATE] if logs_rate else [])]


def _has_penalty(module: nn.Module) -> bool:
    """Return whether a layer, built or not, has a penalty on weights or outputs."""
    names = [name for name in vars(module) if name.endswith(("_regularizer", "_regularizers"))]
    return any(getattr(module, name) for name in names)


def listed_names(logs: Iterable[str]) -> list[str]:
    """Return the names in the order of `evaluate`: `loss` first, then as logged, without `data_loss`."""
    names = list(logs)
    return [name for name in names if name == "loss"] + [name for name in names if name not in ("loss", "data_loss")]


def in_keras_order(logs: Mapping[str, float]) -> Any:
    """Return the values in the order of `listed_names` as a list, or the only value."""
    values = [logs[name] for name in listed_names(logs)]
    return values[0] if len(values) == 1 else values
