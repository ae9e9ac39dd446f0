"""Merging: the accumulators of several parts of the rows become the accumulator of all rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.metrics.accumulators import WrappedMetric, inner_metric, torchmetrics_in
from kerastorch.metrics.base import Metric


def can_merge(accumulator: Any) -> bool:
    """Return whether the states of accumulators of this kind can be merged.

    If not, only the rows themselves give the value of all rows: of an object whose class says nothing about merging.
    """
    metric = inner_metric(accumulator)
    if isinstance(metric, torch.nn.Module):
        return _is_mergeable_torchmetrics(metric)
    if isinstance(metric, Metric):
        return _has_aggregations(metric)
    if isinstance(accumulator, WrappedMetric) and not hasattr(metric, "merge"):
        return callable(getattr(metric, "merge_state", None))
    return bool(getattr(metric, "can_merge", True))


def merge(accumulators: Sequence[Any]) -> Any:
    """Return the first accumulator with the states of all of them.

    Args:
        accumulators: One for each part of the rows, in the order of the parts. Each has seen rows.
    """
    first, *others = accumulators
    metric = inner_metric(first)
    if others and _has_own_merge(metric):
        for one in others:
            metric.merge_state(inner_metric(one))
    elif others and isinstance(metric, torch.nn.Module):
        _merge_torchmetrics(accumulators)
    elif others:
        first.merge(others)
    return first


def _has_aggregations(metric: Metric) -> bool:
    """Return whether a metric defines `merge_state`, or all of its variables have an `aggregation`."""
    if type(metric).merge_state is not Metric.merge_state:
        return True
    nested = all(map(_has_aggregations, metric.nested_metrics().values()))
    return bool(metric.variables) and nested and all(one.aggregation for one in metric._variables.values())


def _has_own_merge(metric: Any) -> bool:
    """Return whether a metric is of a subclass of torchmetrics' `Metric` that defines `merge_state`."""
    torchmetrics: Any = sys.modules.get("torchmetrics")  # imported already if the metric is of a class in it
    if torchmetrics is None or not isinstance(metric, torchmetrics.Metric):
        return False
    return type(metric).merge_state is not torchmetrics.Metric.merge_state


def _is_mergeable_torchmetrics(metric: torch.nn.Module) -> bool:
    """Return whether the states in a torchmetrics object are all it has, have no order, and can be reduced."""
    torchmetrics: Any = sys.modules.get("torchmetrics")
    if torchmetrics is None or _has_own_merge(metric):
        return torchmetrics is not None
    has_order = torchmetrics.wrappers.Running, torchmetrics.wrappers.MetricTracker
    if any(isinstance(one, has_order) for one in metric.modules()):
        return False
    found = [one for one in metric.modules() if isinstance(one, torchmetrics.Metric)]
    return any(one._defaults for one in found) and all(map(_reduces_states, found))


def _reduces_states(metric: Any) -> bool:
    """Return whether each state of a torchmetrics object has a reduction.

    Tensors without one are stacked, and `compute` of the class must know it. Those of correlations do.
    """
    from torchmetrics.regression import PearsonCorrCoef

    tensors = [name for name, default in metric._defaults.items() if isinstance(default, Tensor)]
    return isinstance(metric, PearsonCorrCoef) or all(metric._reductions[name] is not None for name in tensors)


def _merge_torchmetrics(accumulators: Sequence[Any]) -> None:
    """Put the states of all torchmetrics objects in several accumulators into those in the first one."""
    parts = [dict(torchmetrics_in(one)) for one in accumulators]
    merged: list[tuple[Any, str, Any]] = []
    for name, target in parts[0].items():
        same = [part[name] for part in parts if part[name]._update_count or not target._defaults]
        merged += [(target, state, _merged_state(target, state, same)) for state in target._defaults if same]
        merged.append((target, "_update_count", sum(one._update_count for one in same)))
    for target, state, value in merged:  # at the end, because a wrapper may share the state of the metric in it
        setattr(target, state, value)
        target._computed = None


def _merged_state(metric: Any, state: str, parts: Sequence[Any]) -> Any:
    """Return one state of several torchmetrics objects, as their reduction for it says.

    Args:
        metric: Object with the reduction.
        state: Name of the state.
        parts: Objects that have been updated.
    """
    from torchmetrics.utilities import data

    reduction, values = metric._reductions[state], [getattr(one, state) for one in parts]
    if isinstance(metric._defaults[state], list):
        lists = [value if isinstance(value, list) else [value] for value in values]
        joined = [one for value in lists for one in value]
        return joined if reduction in (None, data.dim_zero_cat) else reduction(joined)
    if len(values) == 1:
        return values[0]
    if reduction is data.dim_zero_cat:
        return torch.cat(values)
    stacked = torch.stack(values)
    if reduction is None:
        return stacked  # `compute` of the class combines them
    if reduction is data.dim_zero_mean:
        return _mean(stacked, torch.tensor([one._update_count for one in parts], device=stacked.device))
    return reduction(stacked)


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of equal values unchanged, else weighted by the numbers of updates, along axis 0."""
    if bool((values == values[0]).all()):
        return values[0]
    weights = counts.to(torch.float64 if values.device.type != "mps" else torch.float32)
    return ((values.movedim(0, -1) * weights).sum(-1) / weights.sum()).to(values.dtype)
