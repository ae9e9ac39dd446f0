"""Names of the numbers that a pass logs, in Keras' order."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from kerastorch.callbacks.learning_rate import LEARNING_RATE
from kerastorch.core.module_tree import modules
from kerastorch.core.name_lookup import check_log_name
from kerastorch.core.output_structure import flatten_given, is_container, names_in
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.metrics.registry import get as get_metric
from kerastorch.metrics.registry import get_weighted, is_named
from kerastorch.optimizers.minimizers import Minimizer
from kerastorch.training.output_losses import OutputLosses
from kerastorch.training.output_names import one_list_of_metrics
from kerastorch.training.trainer import Trainer


class _Metrics:
    """The metrics of one output, in a structure of outputs in which lists have another meaning."""

    def __init__(self, metrics: Iterable[Any]) -> None:
        self.all = list(metrics)


def metrics_by_output(given: Any, losses: OutputLosses, weighted: Any = None) -> dict[str, list[MetricSpec]]:
    """Return the metrics given to `compile` by output name.

    Args:
        given: A list for the only output; for several outputs a structure of lists or single metrics, or a list of one
            metric for each output.
        losses: Losses of the outputs.
        weighted: Metrics that count samples with their weights, in the same form.

    Raises:
        ValueError: The metrics have another structure than the outputs, or one list is for several outputs; one object
            is given twice, so that its state would be that of both; a name is that of another log.
    """
    plain, counted = _by_output(given, losses), _by_output(weighted, losses)
    found = {
        name: unique([*map(get_metric, plain.get(name, ())), *map(get_weighted, counted.get(name, ()))])
        for name in [*plain, *(name for name in counted if name not in plain)]
    }
    objects = [id(one.user_object) for some in found.values() for one in some if one.user_object is not None]
    for output, some in found.items():
        for one in some:
            check_log_name(one.name, has_prefix=bool(output))
            if objects.count(id(one.user_object)) > 1:
                raise ValueError(f"the metric object {one.name!r} is given twice; make one for each use.")
    return found


def _by_output(given: Any, losses: OutputLosses) -> dict[str, list[Any]]:
    """Return what was given for each output, in a list, by output name."""
    names, wrapped = losses.names, _wrap(given)
    if isinstance(wrapped, _Metrics) and losses.tree is not None and len(names_in(losses.tree)) > 1:
        if len(wrapped.all) != len(names_in(losses.tree)) or isinstance(losses.tree, Mapping):
            raise ValueError(one_list_of_metrics(losses.tree))
        wrapped = [_Metrics([one]) for one in wrapped.all]
    if isinstance(wrapped, _Metrics):
        found: dict[str, Any] = {"": wrapped}
    elif names.known_tree is not None:
        found = names.settings("metrics", wrapped, names.known_tree)
    else:
        found = flatten_given(names.unwrap(wrapped))
    return {name: some.all for name, some in found.items() if some is not None and some.all}


def _wrap(given: Any) -> Any:
    """Return a structure of outputs with `_Metrics` for the metrics of each output; `None` for no metrics."""
    if given is None or isinstance(given, _Metrics):
        return given
    if isinstance(given, Mapping):
        return {name: _wrap(some) for name, some in given.items()}
    if not isinstance(given, (list, tuple)):
        return _Metrics([given])
    if any(one is None or (is_container(one) and not is_named(one)) for one in given):
        return [_wrap(one) for one in given]
    return _Metrics(given)


def unique(wanted: Iterable[MetricSpec]) -> list[MetricSpec]:
    """Make repeated names of metrics unique as Keras does: `accuracy`, `accuracy_1`, `weighted_accuracy`."""
    numbered: list[MetricSpec] = []
    for metric in wanted:
        names = {other.name for other in numbered}
        name, number = metric.name, 0
        if name in names and metric.is_weighted:
            name = f"weighted_{metric.name}"
        stem = name
        while name in names:
            number += 1
            name = f"{stem}_{number}"
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
    names += [f"{output}_loss" for output in trainer.compiled_loss.outputs.logged()]
    for output, some in trainer.metrics.items():
        names += [f"{output}_{metric.name}" if output else metric.name for metric in some]
    validation = [f"val_{name}" for name in names] if validates else []
    logs_rate = not listed and has_learning_rate(trainer)
    return [*names, *validation, *([LEARNING_RATE] if logs_rate else [])]


def may_be_logged(trainer: Trainer, name: str, known: Iterable[str]) -> bool:
    """Return whether a log may exist whose output becomes known with the first batch: the loss of one of the outputs.

    Args:
        trainer: Its losses, one of which may turn out to be that of several outputs.
        name: Name of the log.
        known: Names that `log_names` returned.
    """
    if not trainer.compiled_loss.outputs.may_have_more_outputs or not name.endswith("_loss"):
        return False
    is_validation = name.startswith("val_")
    output = name.removeprefix("val_").removesuffix("_loss")
    is_slip = bool(difflib.get_close_matches(output, ("val", "data", "train"), cutoff=0.5))
    return bool(output) and not is_slip and (not is_validation or "val_loss" in known)


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


def has_learning_rate(trainer: Trainer) -> bool:
    """Return whether each epoch will log a learning rate, as far as is known before training.

    Args:
        trainer: Its optimizers may not exist yet.
    """
    made = trainer.optimizers.made.values()
    if made:
        return any("lr" in group for optimizer in made for group in optimizer.param_groups)
    return not all(isinstance(config, Minimizer) for config in trainer.optimizers.configs.values())
