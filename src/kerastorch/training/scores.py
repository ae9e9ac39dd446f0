"""Scores: the metrics of one output in a pass over data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from kerastorch.checkpoint.metric_state import capture_metric_state, restore_metric_state
from kerastorch.losses.base import Loss
from kerastorch.metrics.accumulators import KerasMetric, named_scalars
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.metrics.task import TaskSpec
from kerastorch.training.mean import JOIN, unshared

ROWS, ELEMENTS = 4096, 2**22  # metrics are updated with this many rows (on the CPU: they fit its cache) or elements


_Rows = tuple[Tensor, Tensor, Tensor | None]  # outputs, targets, sample weights


def _rows(y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> _Rows:
    return y_pred, y_true, weight


def _joined(batches: Sequence[_Rows]) -> list[_Rows]:
    """Join batches of the same shape, such as those padded to one length, in the order of their first one.

    Batches without sample weights have weights of 1 if others have weights.
    """
    has_weights = any(weight is not None for _, _, weight in batches)
    groups: dict[Any, list[tuple[Tensor, ...]]] = {}
    for y_pred, y_true, weight in batches:
        if has_weights and weight is None:
            weight = torch.ones(y_pred.shape[0], device=y_pred.device)
        parts = (y_pred, y_true) if weight is None else (y_pred, y_true, weight)
        groups.setdefault(tuple(part.shape[1:] for part in parts), []).append(parts)
    return [_rows(*map(torch.cat, zip(*group, strict=True))) for group in groups.values()]


class Scores:
    """Metrics of one output. Rows are collected, and the metrics are updated with large pieces of them.

    Args:
        metrics: The metrics.
        loss: Returns the loss of the output, from which the task is inferred, once there are outputs.
        ends_in: Activation that the model ends in, if it is known.
        channel_axis: Returns the axis of the output's channels, if it is known.
    """

    def __init__(
        self,
        metrics: list[MetricSpec],
        loss: Callable[[], Loss | None],
        ends_in: str | None = None,
        channel_axis: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._metrics, self._loss, self._ends_in, self._channel_axis = metrics, loss, ends_in, channel_axis
        self._tasks: list[TaskSpec] = []
        self._accumulators: list[Any] = []
        self._pending: list[_Rows] = []
        self._has_weighted = any(metric.is_weighted for metric in metrics)
        self._rows = self._elements = 0
        self._n_unjoined = 0  # number of batches at the end of `_pending` that are not joined
        self._seen = False

    def update(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> None:
        """Add the outputs, targets and sample weights of one batch; weights are `(rows,)` or more of the axes."""
        y_pred = unshared(y_pred)
        if y_pred.dtype in (torch.bfloat16, torch.float16):
            y_pred = y_pred.float()  # torchmetrics would round targets to this dtype
        if not self._tasks:
            self._build(self._infer_tasks(y_pred, y_true), y_pred.device)
        weight = weight if self._has_weighted else None
        self._pending.append((y_pred, y_true, weight))
        for metric, spec, accumulator in zip(self._metrics, self._tasks, self._accumulators, strict=True):
            if metric.by_batch:
                accumulator.update(*metric.prepare(spec, y_pred, y_true, weight))
        self._n_unjoined += 1
        self._rows += y_pred.shape[0]
        self._elements += y_pred.numel()
        # on an accelerator only large pieces, because some metrics synchronise at each update
        if self._elements >= ELEMENTS or (self._rows >= ROWS and y_pred.device.type == "cpu"):
            self.flush()
        elif self._n_unjoined == JOIN and y_pred.device.type == "cpu":
            self._pending[-JOIN:] = _joined(self._pending[-JOIN:])
            self._n_unjoined = 0

    def _infer_tasks(self, y_pred: Tensor, y_true: Tensor) -> list[TaskSpec]:
        axis, loss = self._channel_axis() if y_pred.ndim > 2 else None, self._loss()
        return [
            one.resolve_spec(TaskSpec.of(loss, y_pred, y_true, one.is_classification, self._ends_in, axis), loss)
            for one in self._metrics
        ]

    def _infer_again(self, y_pred: Tensor, y_true: Tensor) -> None:
        """Infer the tasks from all collected rows, before the first update: one batch may look one-hot by chance."""
        found = self._infer_tasks(y_pred, y_true)
        for index, (metric, task) in enumerate(zip(self._metrics, found, strict=True)):
            if task != self._tasks[index] and not metric.by_batch:
                self._accumulators[index] = metric.build(task, y_pred.device)
        self._tasks = found

    def flush(self) -> None:
        """Update the metrics with the collected rows."""
        if not self._pending:
            return
        pieces = _joined(self._pending)
        if not self._seen:
            self._infer_again(*pieces[0][:2])
        self._pending, self._n_unjoined, self._rows, self._elements = [], 0, 0, 0
        for y_pred, y_true, weight in pieces:
            self._tasks = [self._for_labels(one, y_true) for one in self._tasks]
            self._seen = True
            prepared: dict[Any, Any] = {}
            for metric, spec, accumulator in zip(self._metrics, self._tasks, self._accumulators, strict=True):
                if metric.by_batch:
                    continue
                key = metric.inputs_key(spec)
                if key not in prepared:
                    prepared[key] = metric.prepare(spec, y_pred, y_true, weight)
                if len(prepared[key][1]):  # 0 rows if all are of the ignored class
                    accumulator.update(*prepared[key])

    def _for_labels(self, target: TaskSpec, y_true: Tensor) -> TaskSpec:
        found = target.for_labels(y_true)
        if self._seen and found != target and target.link == "half":
            raise ValueError(
                "the first labels were 0 and 1, or all 1, so outputs were compared with 0.5; now there is a label -1. "
                "Give classification metrics labels 0 and 1, or shuffle the data."
            )
        return found

    def _build(self, targets: list[TaskSpec], device: torch.device) -> None:
        self._tasks = targets
        self._accumulators = [metric.build(one, device) for metric, one in zip(self._metrics, targets, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the metrics, and the collected rows that they were not updated with."""
        return {
            "targets": [asdict(target) for target in self._tasks],
            "accumulators": [capture_metric_state(one) for one in self._accumulators],
            "pending": [[one for one in rows if one is not None] for rows in _joined(self._pending)],
            "seen": self._seen,
            "names": self.names,
        }

    @property
    def is_updated(self) -> bool:
        """Return whether any outputs and targets were added."""
        return bool(self._tasks)

    @property
    def names(self) -> list[str]:
        """Return the names of the metrics."""
        return [metric.name for metric in self._metrics]

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned, with tensors on `device`."""
        if state["targets"]:  # none before the first batch
            self._build([TaskSpec(**target) for target in state["targets"]], device)
        for accumulator, saved in zip(self._accumulators, state["accumulators"], strict=True):
            restore_metric_state(accumulator, saved)
        self._seen = state["seen"]
        pieces = (
            [state["pending"]] if state["pending"] and isinstance(state["pending"][0], Tensor) else state["pending"]
        )
        self._pending = [_rows(*(part.to(device) for part in piece)) for piece in pieces]  # 0.1 wrote one piece
        self._n_unjoined = 0
        self._rows = sum(rows[0].shape[0] for rows in self._pending)
        self._elements = sum(rows[0].numel() for rows in self._pending)

    def objects(self) -> list[KerasMetric]:
        """Return the user's metric objects, which all passes share."""
        return [one for one in self._accumulators if isinstance(one, KerasMetric)]

    def read(self) -> dict[str, Any]:
        """Return the values of the metrics for the rows that they were updated with."""
        found: dict[str, Any] = {}
        if not self._seen:
            return found
        for metric, accumulator in zip(self._metrics, self._accumulators, strict=True):
            is_empty = not getattr(accumulator, "update_called", True)  # torchmetrics' flag: no row was counted
            found |= named_scalars(metric.name, float("nan") if is_empty else accumulator.compute())
        return found
