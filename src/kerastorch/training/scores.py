"""Scores: the metrics of one output in a pass over data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from kerastorch.checkpoint.metric_state import capture_metric_state, restore_metric_state
from kerastorch.losses.base import Loss
from kerastorch.metrics.accumulators import KerasMetric, inner_metric, named_scalars
from kerastorch.metrics.merging import can_merge, merge
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.metrics.task import TaskSpec
from kerastorch.metrics.task_of_parts import agreed_tasks, is_known_from_loss
from kerastorch.training.mean import JOIN, unshared
from kerastorch.training.part_states import PartRows, joined_parts, no_merge, part_state, restore_part, to_device

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


def _in_pieces(rows: Sequence[Sequence[Tensor]]) -> Iterator[Sequence[Tensor]]:
    """Join rows to the pieces that a metric is updated with at once."""
    piece: list[_Rows] = []
    for index, row in enumerate(rows):
        piece.append(_rows(*row))
        if index == len(rows) - 1 or sum(one[0].shape[0] for one in piece) >= ROWS:
            yield from ([part for part in one if part is not None] for one in _joined(piece))
            piece = []


class Scores:
    """Metrics of one output. Rows are collected, and the metrics are updated with large pieces of them.

    Args:
        metrics: The metrics.
        loss: Returns the loss of the output, from which the task is inferred, once there are outputs.
        ends_in: Activation that the model ends in, if it is known.
        channel_axis: Returns the axis of the output's channels, if it is known.
        is_part: Whether these are a part of the rows, and the metrics are merged with those of the other parts: the
            rows are stored of metrics whose states cannot be merged.
    """

    def __init__(
        self,
        metrics: list[MetricSpec],
        loss: Callable[[], Loss | None],
        ends_in: str | None = None,
        channel_axis: Callable[[], int | None] = lambda: None,
        is_part: bool = False,
    ) -> None:
        self._metrics, self._loss, self._ends_in, self._channel_axis = metrics, loss, ends_in, channel_axis
        self._tasks: list[TaskSpec] = []
        self._accumulators: list[Any] = []
        self._pending: list[_Rows] = []
        self._has_weighted = any(metric.is_weighted for metric in metrics)
        self._rows = self._elements = 0
        self._n_unjoined = 0  # number of batches at the end of `_pending` that are not joined
        self._seen = False
        self._updated: set[int] = set()  # numbers of the metrics that were updated
        self._part_rows = PartRows(is_part)

    def update(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> None:
        """Add the outputs, targets and sample weights of one batch; weights are `(rows,)` or more of the axes."""
        y_pred = unshared(y_pred)
        if y_pred.dtype in (torch.bfloat16, torch.float16):
            y_pred = y_pred.float()  # torchmetrics would round targets to this dtype
        if not self._tasks:
            self._build(self._infer_tasks(y_pred, y_true), y_pred.device)
        weight = weight if self._has_weighted else None
        self._pending.append((y_pred, y_true, weight))
        for index, (metric, spec) in enumerate(zip(self._metrics, self._tasks, strict=True)):
            if metric.by_batch:
                self._update_metric(index, metric.prepare(spec, y_pred, y_true, weight))
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
            for index, (metric, spec) in enumerate(zip(self._metrics, self._tasks, strict=True)):
                if metric.by_batch:
                    continue
                key = metric.inputs_key(spec)
                if key not in prepared:
                    prepared[key] = metric.prepare(spec, y_pred, y_true, weight)
                if len(prepared[key][1]):  # 0 rows if all are of the ignored class
                    self._update_metric(index, prepared[key])

    def _update_metric(self, index: int, row: Sequence[Tensor]) -> None:
        self._accumulators[index].update(*row)
        self._updated.add(index)
        self._part_rows.add(index, self._accumulators[index], row)

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
            "updated": sorted(self._updated),
            "rows": {str(index): rows for index, rows in self._part_rows.state_dict().items()},
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
        self._updated = set(state.get("updated", range(len(self._accumulators)) if self._seen else ()))
        self._part_rows.load_state_dict(to_device(state.get("rows", {}), device))
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

    def part_state(self) -> dict[str, Any]:
        """Return what `merged` needs of these metrics, with tensors on the CPU.

        Collected rows are a part of it as long as the task is inferred from them: other parts may say more of it.
        """
        if self._seen or self._is_task_known():
            self.flush()
        rows = self._part_rows.state_dict()
        state = {
            "targets": [asdict(target) for target in self._tasks],
            "accumulators": {
                index: part_state(self._accumulators[index]) for index in self._updated if index not in rows
            },
            "seen": self._seen,
            "names": self.names,
        }
        pending = {"pending": _joined(self._pending), "rows": rows}
        return {**state, **to_device(pending, torch.device("cpu"))}

    def _is_task_known(self) -> bool:
        """Return whether values of the collected rows do not matter for the tasks."""
        loss = self._loss() if self._pending else None
        ndim = max((y_pred.ndim for y_pred, _, _ in self._pending), default=0)
        return all(is_known_from_loss(loss, metric.is_classification, ndim) for metric in self._metrics)

    def merged(self, states: Sequence[Mapping[str, Any]], device: torch.device, *, by_turns: bool = False) -> Scores:
        """Return the metrics of all rows; these ones stay unchanged.

        Args:
            states: `part_state` of each part of the rows, in order, this one's included.
            device: Device of the result.
            by_turns: Whether the batches of the parts alternate; else each part has consecutive ones.

        Raises:
            ValueError: A metric cannot be merged; or the parts differ in the task.
        """
        metrics = [metric.detached() for metric in self._metrics]
        whole = Scores(metrics, self._loss, self._ends_in, self._channel_axis)
        whole._take_parts([one for one in states if one["targets"]], device, by_turns)
        return whole

    def _take_parts(self, parts: Sequence[Mapping[str, Any]], device: torch.device, by_turns: bool) -> None:
        """Take over the states of parts of the rows, each of which has some."""
        if not parts:
            return
        settled = [one for one in parts if one["seen"]]
        self._build(
            agreed_tasks([[TaskSpec(**task) for task in one["targets"]] for one in settled or parts[:1]]), device
        )
        self._seen = bool(settled)
        for index in range(len(self._metrics)):
            self._take_metric(index, parts, device, by_turns)
        pending = [rows for one in parts for rows in one["pending"]]
        self._pending = [_rows(*to_device(rows, device)) for rows in pending]
        self.flush()

    def _take_metric(
        self, index: int, parts: Sequence[Mapping[str, Any]], device: torch.device, by_turns: bool
    ) -> None:
        """Take over the states or the rows of one metric."""
        metric, task = self._metrics[index], self._tasks[index]
        states = [one["accumulators"][index] for one in parts if index in one["accumulators"]]
        of_parts = [one["rows"].get(index, ()) for one in parts]
        rows = joined_parts(of_parts, by_turns=by_turns and metric.by_batch)
        if rows:
            with torch.random.fork_rng():
                torch.manual_seed(0)  # metrics that draw random numbers are the same in all processes
                for row in rows if metric.by_batch else _in_pieces(rows):
                    self._accumulators[index].update(*to_device(row, device))
        found = [restore_part(metric.detached().build(task, device), state, device) for state in states]
        if (len(found) > 1 or (found and rows)) and not can_merge(found[0]):
            raise no_merge(metric.name, inner_metric(found[0]))
        if found:
            self._accumulators[index] = merge([*([self._accumulators[index]] if rows else []), *found])
        if found or rows:
            self._updated.add(index)

    def give_to(self, scores: Scores) -> None:
        """Put the states of these metrics into the users' objects of the metrics that these were merged from."""
        for accumulator, metric in zip(self._accumulators, scores._metrics, strict=False):  # none if there were no rows
            if metric.user_object is not None:
                vars(metric.user_object).update(vars(inner_metric(accumulator)))

    def read(self) -> dict[str, Any]:
        """Return the values of the metrics for the rows that they were updated with."""
        found: dict[str, Any] = {}
        if not self._seen:
            return found
        for index, (metric, accumulator) in enumerate(zip(self._metrics, self._accumulators, strict=True)):
            # torchmetrics' own flag says of its wrappers that they were never updated
            is_empty = index not in self._updated and hasattr(inner_metric(accumulator), "update_called")
            found |= named_scalars(metric.name, float("nan") if is_empty else accumulator.compute())
        return found
