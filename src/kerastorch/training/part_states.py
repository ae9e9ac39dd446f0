"""The states of metrics that have seen a part of the rows, as other processes can be sent them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.checkpoint.metric_state import capture_metric_state, restore_metric_state
from kerastorch.core.torch_private import pytree
from kerastorch.metrics.accumulators import inner_metric, torchmetrics_in
from kerastorch.metrics.base import Metric, metrics_in
from kerastorch.metrics.merging import can_merge
from kerastorch.metrics.variable import MetricVariable

Row = tuple[Tensor, ...]  # what an accumulator was updated with once


def part_state(accumulator: Any) -> dict[str, Any]:
    """Return the state of an accumulator, with tensors on the CPU, for `restore_part`.

    Raises:
        TypeError: An attribute of a user's object cannot be sent.
    """
    if not _merges_itself(accumulator):
        return {"state": to_device(capture_metric_state(accumulator), torch.device("cpu"))}
    metric = inner_metric(accumulator)
    copied = copy.deepcopy({name: value for name, value in vars(metric).items() if _is_sent(metric, name, value)})
    for value in (*copied.values(), *dict(metrics_in(copied)).values()):
        if isinstance(value, MetricVariable):
            value.move(torch.device("cpu"))
        elif isinstance(value, Metric):
            value.to("cpu")
    return {"attributes": to_device(copied, torch.device("cpu"))}


def restore_part(accumulator: Any, state: Mapping[str, Any], device: torch.device) -> Any:
    """Return an accumulator of the same kind, with a captured state and its tensors on a device."""
    if "state" in state:
        restore_metric_state(accumulator, to_device(state["state"], device))
    else:
        vars(inner_metric(accumulator)).update(copy.deepcopy(dict(state["attributes"])))
        accumulator.to(device)
    return accumulator


def joined_parts(parts: Sequence[Sequence[Any]], *, by_turns: bool) -> list[Any]:
    """Return what several parts have, in the order of the data.

    Args:
        parts: A list of batches for each part of the data.
        by_turns: Whether the batches of the parts alternate; else each part has consecutive ones.
    """
    if not by_turns:
        return [one for part in parts for one in part]
    return [part[i] for i in range(max(map(len, parts), default=0)) for part in parts if i < len(part)]


def to_device(state: Any, device: torch.device) -> Any:
    """Return nested lists, tuples and dicts with their tensors on a device."""

    def move(one: Any) -> Any:
        return one.to(device) if isinstance(one, Tensor) and not isinstance(one, MetricVariable) else one

    return pytree.tree_map(move, state)


def no_merge(name: str, metric: Any) -> ValueError:
    """Return the error for a metric whose states cannot be merged, and whose rows are not stored.

    Args:
        name: Its name in the logs.
        metric: The object.
    """
    advice = "define merge_state(metrics), which adds the states of other objects to its own"
    if isinstance(metric, Metric):
        advice = "give each add_variable(...) an aggregation, such as 'sum', or " + advice
    return ValueError(
        f"metric {name!r}: each process has updated it with a part of the rows, and nothing says how the states of "
        f"several {type(metric).__name__} objects are merged. In its class, {advice}."
    )


class PartRows:
    """The rows that metrics were updated with, of those that only the rows themselves can be merged by.

    Args:
        is_stored: Whether rows are stored.
    """

    def __init__(self, is_stored: bool) -> None:
        self._is_stored = is_stored
        self._rows: dict[int, list[Row]] = {}
        self._mergeable: set[int] = set()

    def add(self, index: int, accumulator: Any, row: Sequence[Tensor]) -> None:
        """Store what an accumulator was just updated with, unless its state can be merged.

        Args:
            index: Number of the metric.
            accumulator: Asked after its update, because the first one may make its variables.
            row: Outputs, targets, and sample weights if it takes them.
        """
        if not self._is_stored or index in self._mergeable:
            return
        if can_merge(accumulator):
            self._mergeable.add(index)
        else:
            self._rows.setdefault(index, []).append(tuple(row))

    def state_dict(self) -> dict[int, list[Row]]:
        """Return the rows by number of the metric."""
        return dict(self._rows)

    def load_state_dict(self, rows: Mapping[int, Sequence[Row]]) -> None:
        """Restore what `state_dict` returned."""
        self._rows = {int(index): [tuple(row) for row in some] for index, some in rows.items()}


def _merges_itself(accumulator: Any) -> bool:
    """Return whether the accumulator has an object of the user's whose class defines `merge_state`."""
    metric = inner_metric(accumulator)
    if dict(torchmetrics_in(accumulator)) or not hasattr(metric, "merge_state"):
        return False
    return not isinstance(metric, Metric) or type(metric).merge_state is not Metric.merge_state


def _is_sent(metric: Any, name: str, value: Any) -> bool:
    """Return whether an attribute is state, and not a function or module, which the other process has itself.

    Raises:
        TypeError: It is neither of them, and cannot be pickled.
    """
    if isinstance(value, nn.Module) or (callable(value) and not isinstance(value, Metric)):
        return False
    try:
        pickle.dumps(value)
    except Exception as error:
        raise TypeError(
            f"{type(metric).__name__}: the attribute {name!r}, of type {type(value).__name__}, cannot be sent to the "
            f"other processes, because it cannot be pickled: {error}"
        ) from error
    return True
