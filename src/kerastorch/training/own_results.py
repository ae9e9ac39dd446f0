"""The results of metric objects that a model holds, merged from those of parts of the rows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from kerastorch.metrics.accumulators import WrappedMetric
from kerastorch.metrics.merging import can_merge, merge
from kerastorch.training.metric_results import CompiledResult, MetricResult, OwnResult
from kerastorch.training.own_metrics import name_of
from kerastorch.training.part_states import no_merge, part_state, restore_part

Captured = dict[str, Any]


def capture_result(name: str, value: Any, own: Sequence[Any]) -> Captured:
    """Return what `merge_results` needs of one result, as a dict that can be pickled.

    Args:
        name: Name of the log.
        value: The result: an `OwnResult`, a `CompiledResult`, or a number from a checkpoint.
        own: The metric objects of the model.

    Raises:
        ValueError: It is the result of no metric of the model.
    """
    if isinstance(value, CompiledResult):
        return {"compiled": value.name}
    metric = value.metric if isinstance(value, OwnResult) else None
    index = next((at for at, one in enumerate(own) if one is metric or (metric is None and name_of(one) == name)), None)
    if index is None:
        raise ValueError(
            f"{name!r} in the logs is the result of no metric that is an attribute of the model, so that the values of "
            "several processes cannot be merged. Make the metric an attribute of the model."
        )
    accumulator = WrappedMetric(own[index])
    state = part_state(accumulator) if can_merge(accumulator) else None
    return {"metric": index, "state": state, "value": float(value)}


def merge_results(
    states: Sequence[Mapping[str, Captured]],
    own: Sequence[Any],
    read_compiled: Callable[[str], Any],
    device: torch.device,
) -> tuple[dict[str, Any], dict[int, Any]]:
    """Return the results of all rows by name, and the metrics that they are of by number.

    Args:
        states: Captured results by name, for each part of the rows.
        own: The metric objects of the model, which stay unchanged.
        read_compiled: Returns the value of a metric of `compile` for all rows.
        device: Device of the metrics that are returned.

    Raises:
        ValueError: A class says nothing about merging.
    """
    metrics: dict[int, Any] = {}
    results: dict[str, Any] = {}
    for name in dict.fromkeys(name for state in states for name in state):
        parts = [state[name] for state in states if name in state]
        if "compiled" in parts[0]:
            results[name] = MetricResult(name, partial(read_compiled, parts[0]["compiled"]))
        elif len(parts) == 1 and parts[0]["state"] is None:
            results[name] = parts[0]["value"]
        else:
            index = parts[0]["metric"]
            if index not in metrics:
                metrics[index] = _merged(own[index], name, [part["state"] for part in parts], device)
            results[name] = MetricResult(name, metrics[index].result)
    return results, metrics


def _merged(metric: Any, name: str, states: Sequence[Any], device: torch.device) -> Any:
    """Return a copy of a metric object with the states of all parts."""
    if any(state is None for state in states):
        raise no_merge(name, metric)
    parts = [restore_part(WrappedMetric(copy.deepcopy(metric)), state, device) for state in states]
    return merge(parts).metric
