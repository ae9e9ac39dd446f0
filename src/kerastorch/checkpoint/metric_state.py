"""The accumulated state of a metric, captured and restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kerastorch.metrics.accumulators import KerasMetric, UserMetric, inner_metric, torchmetrics_in
from kerastorch.metrics.base import Metric
from kerastorch.metrics.variable import MetricVariable


def capture_metric_state(accumulator: Any) -> dict[str, Any]:
    """Return the state of an accumulator, for `restore_metric_state`.

    It holds the states of all torchmetrics metrics in the accumulator, or the numbers, strings, tensors and lists of
    them that a user's object has as attributes.
    """
    metrics = dict(torchmetrics_in(accumulator))
    if metrics:
        return {
            name: {"count": metric._update_count, **{state: getattr(metric, state) for state in metric._defaults}}
            for name, metric in metrics.items()
        }
    if isinstance(inner_metric(accumulator), Metric):
        return capture_variables(accumulator.metric)
    if isinstance(accumulator, (KerasMetric, UserMetric)):
        return {name: value for name, value in vars(accumulator.metric).items() if _is_plain(value)}
    return {name: value for name, value in vars(inner_metric(accumulator)).items() if not callable(value)}


def restore_metric_state(accumulator: Any, state: Mapping[str, Any]) -> None:
    """Restore a captured state into an accumulator of the same kind."""
    metrics = dict(torchmetrics_in(accumulator))
    inner = inner_metric(accumulator)
    if isinstance(inner, Metric):
        restore_variables(inner, state)
        return
    for name, saved in state.items():
        if not metrics:
            vars(inner)[name] = _copied(saved)
            continue
        metric = metrics[name]
        metric._update_count = saved["count"]
        metric._computed = None
        for part in metric._defaults:
            setattr(metric, part, _copied(saved[part]))


def capture_variables(metric: Metric) -> dict[str, Any]:
    """Return the state of a metric of kerastorch: its variables, plain attributes, and the metrics in it."""
    variables = {id(variable): name for name, variable in metric._variables.items()}
    attributes = vars(metric)
    return {
        "variables": {name: variable.value for name, variable in metric._variables.items()},
        "aggregations": {name: variable.aggregation for name, variable in metric._variables.items()},
        "attributes": {name: variables[id(one)] for name, one in attributes.items() if id(one) in variables},
        "plain": {name: value for name, value in attributes.items() if _is_plain(value) and id(value) not in variables},
        "metrics": {path: capture_variables(one) for path, one in metric.nested_metrics().items()},
    }


def restore_variables(metric: Metric, state: Mapping[str, Any]) -> None:
    """Restore what `capture_variables` returned; variables that the first batch creates are created here."""
    for name, saved in state["variables"].items():
        if name not in metric._variables:
            metric._variables[name] = MetricVariable(saved, state.get("aggregations", {}).get(name))
        metric._variables[name].data = saved.clone()
    for attribute, name in state["attributes"].items():
        setattr(metric, attribute, metric._variables[name])
    for attribute, value in state["plain"].items():
        setattr(metric, attribute, _copied(value))
    nested = metric.nested_metrics()
    for path, saved in state["metrics"].items():
        restore_variables(nested[path], saved)


def _is_plain(value: Any) -> bool:
    """Return whether a checkpoint can hold a value of a user's object."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, Tensor))


def _copied(value: Any) -> Any:
    """Copy tensors, because accumulators add to them in place."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(one) for one in value)
    return value
