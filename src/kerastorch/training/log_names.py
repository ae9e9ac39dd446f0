"""What the numbers are called, and in which order Keras lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kerastorch.core.module_tree import modules
from kerastorch.metrics.metric import Metric
from kerastorch.metrics.metric import get as get_metric
from kerastorch.training.output_names import by_output
from kerastorch.training.trainer import Trainer


def metrics_by_output(given: Any, names: Sequence[str] | None = None) -> dict[str, list[Metric]]:
    """What `compile` was given as metrics: a list for the only output, a list of lists or a dict for several."""
    flat = isinstance(given, (list, tuple)) and not any(isinstance(one, (list, tuple)) for one in given)
    by_name = {"": given} if flat else by_output(given, names)
    listed = {name: some if isinstance(some, (list, tuple)) else [some] for name, some in by_name.items()}
    return {name: unique(map(get_metric, some)) for name, some in listed.items() if some and some[0] is not None}


def unique(wanted: Iterable[Metric]) -> list[Metric]:
    """The same metrics, a name that comes again numbered as Keras does: `accuracy`, `accuracy_1`."""
    found: list[Metric] = []
    for metric in wanted:
        names = {other.name for other in found}
        name, number = metric.name, 0
        while name in names:
            number += 1
            name = f"{metric.name}_{number}"
        found.append(replace(metric, name=name))
    return found


def log_names(model: Any, trainer: Trainer, validates: bool, listed: bool = False) -> list[str]:
    """The names an epoch will log; with `listed` those of `evaluate`'s list, where `data_loss` is not."""
    names = ["loss"]
    if not listed and (trainer.weight_regularizers or any(map(_penalised, modules(model)))):
        names.append("data_loss")
    if trainer.compiled_loss.names_parts:
        names += [f"{output}_loss" for output, loss in trainer.compiled_loss.losses.items() if loss is not None]
    for output, some in trainer.metrics.items():
        names += [f"{output}_{metric.name}" if output else metric.name for metric in some]
    return names + [f"val_{name}" for name in names] if validates else names


def _penalised(module: Any) -> bool:
    """Whether a layer, built or not, has any penalty."""
    names = (
        "weight_regularizers",
        "kernel_regularizer",
        "bias_regularizer",
        "alpha_regularizer",
        "activity_regularizer",
    )
    return any(getattr(module, name, None) for name in names)


def listed_names(logs: Iterable[str]) -> list[str]:
    """Return the names that `evaluate` lists, in its order: `loss` first, then as logged, without `data_loss`."""
    names = list(logs)
    return [name for name in names if name == "loss"] + [name for name in names if name not in ("loss", "data_loss")]


def in_keras_order(logs: Mapping[str, float]) -> Any:
    """Return the values of `listed_names` as a list, or the only one itself."""
    values = [logs[name] for name in listed_names(logs)]
    return values[0] if len(values) == 1 else values
