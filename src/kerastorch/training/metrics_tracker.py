"""MetricsTracker: means and metrics of one pass over data, without a device synchronisation per batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from kerastorch.checkpoint.metric_state import capture_metric_state, restore_metric_state
from kerastorch.core.errors import CheckpointError
from kerastorch.core.nested import batch_rows, leaves
from kerastorch.losses.base import Loss
from kerastorch.metrics.accumulators import KerasMetric, named_scalars
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.metrics.task import TaskSpec
from kerastorch.training.mean import Mean, unshared

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
        loss: Loss of the output, from which the task is inferred.
        ends_in: Activation that the model ends in, if it is known.
        channel_axis: Returns the axis of the output's channels, if it is known.
    """

    def __init__(
        self,
        metrics: list[MetricSpec],
        loss: Loss | None,
        ends_in: str | None = None,
        channel_axis: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._metrics, self._loss, self._ends_in, self._channel_axis = metrics, loss, ends_in, channel_axis
        self._tasks: list[TaskSpec] = []
        self._accumulators: list[Any] = []
        self._pending: list[_Rows] = []
        self._has_weighted = any(metric.is_weighted for metric in metrics)
        self._rows = self._elements = 0
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
        self._rows += y_pred.shape[0]
        self._elements += y_pred.numel()
        # on an accelerator only large pieces, because some metrics synchronise at each update
        if self._elements >= ELEMENTS or (self._rows >= ROWS and y_pred.device.type == "cpu"):
            self.flush()

    def _infer_tasks(self, y_pred: Tensor, y_true: Tensor) -> list[TaskSpec]:
        axis = self._channel_axis() if y_pred.ndim > 2 else None
        return [
            one.resolve_spec(
                TaskSpec.of(self._loss, y_pred, y_true, one.is_classification, self._ends_in, axis), self._loss
            )
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
        self._pending, self._rows, self._elements = [], 0, 0
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


class MetricsTracker:
    """Means of the numbers that the steps of a pass return, and metrics by output.

    Args:
        scores: Output name -> its metrics. The name is a prefix of theirs in the logs, unless it is empty.
    """

    def __init__(self, scores: Mapping[str, Scores]) -> None:
        self._means: dict[str, Mean] = {}
        self._results: dict[str, Any] = {}
        self._scores = scores

    def add(self, logs: Mapping[str, Any], weight: Tensor | float, weights: Mapping[str, Tensor | float] = {}) -> None:
        """Add the numbers that a step returned to their means.

        Args:
            logs: The numbers by name.
            weight: Weight of the batch in the means.
            weights: The same for single names.
        """
        for name, value in logs.items():
            mean = self._means.get(name)
            if mean is None:
                mean = self._means[name] = Mean()
            mean.add(value, weights.get(name, weight))

    def update(
        self, y_pred: Mapping[str, Any], y_true: Mapping[str, Any], sample_weight: Mapping[str, Tensor | None] = {}
    ) -> None:
        """Add the outputs, targets and sample weights of one batch, by output name."""
        for name, scores in self._scores.items():
            if name not in y_pred:
                raise ValueError(f"metrics are for output {name!r}, the model has {', '.join(map(repr, y_pred))}.")
            if y_true.get(name) is None:
                raise ValueError(f"metrics{f' of output {name!r}' if name else ''} need y, got None.")
            scores.update(y_pred[name], y_true[name], sample_weight.get(name))

    @property
    def is_updated(self) -> bool:
        """Return whether any metric got outputs and targets."""
        return any(scores.is_updated for scores in self._scores.values())

    def set_results(self, results: Mapping[str, Any]) -> None:
        """Replace the values of metric objects that a step of the user's returned, which are no means of batches.

        Args:
            results: Numbers, scalar tensors, or objects that `float` reads at the end of the pass.
        """
        for name, value in results.items():
            self._results[name] = unshared(value) if isinstance(value, Tensor) else value

    @contextmanager
    def protected(self) -> Iterator[None]:
        """Restore the user's metric objects after another pass has used them."""
        with ExitStack() as stack:
            for scores in self._scores.values():
                for one in scores.objects():
                    stack.enter_context(one.protected())
            yield

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all means and metrics."""
        return {
            "means": {name: mean.state_dict() for name, mean in self._means.items()},
            "scores": {name: scores.state_dict() for name, scores in self._scores.items()},
            "results": {name: float(value) for name, value in self._results.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned, after `check_state`, with tensors on `device`."""
        for name, saved in state["means"].items():
            self._means[name] = mean = Mean()
            mean.load_state_dict(saved)
        self._results = dict(state.get("results", {}))
        for name, scores in self._scores.items():
            scores.load_state_dict(state["scores"][name], device)

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise an error if a state is of a pass with different metrics.

        Raises:
            CheckpointError: The names of both.
        """
        here = {name: scores.names for name, scores in self._scores.items()}
        saved = {
            name: list(one.get("names", here.get(name, [])[: len(one["accumulators"])]))  # 0.1 wrote no names
            for name, one in state["scores"].items()
        }
        if saved != here:
            words = [", ".join(f"{k}: {v}" if k else str(v) for k, v in one.items()) or "none" for one in (saved, here)]
            raise CheckpointError(f"it is of a training within an epoch, with metrics {words[0]}; here are {words[1]}.")

    def mean(self, name: str) -> float | None:
        """Return one mean without computing the metrics; `None` if there is no mean of this name."""
        if name in self._results:
            return float(self._results[name])
        return self._means[name].read() if name in self._means else None

    def read(self) -> dict[str, float]:
        """Return all means and metrics as floats, of every batch so far."""
        for scores in self._scores.values():
            scores.flush()
        return self.peek()

    def peek(self) -> dict[str, float]:
        """Return all means and metrics as floats, without updating the metrics with collected rows."""
        found = {name: mean.read() for name, mean in self._means.items()}
        found |= {name: float(value) for name, value in self._results.items()}
        for output, scores in self._scores.items():
            for name, value in scores.read().items():
                found[f"{output}_{name}" if output else name] = float(value)
        return found


class RunningLogs(MutableMapping[str, Any]):
    """Logs of the batch hooks: a mapping that computes means and metrics when it is read."""

    def __init__(self, metrics: MetricsTracker) -> None:
        self._metrics = metrics
        self._own: dict[str, Any] = {}
        self._read: dict[str, Any] | None = None

    def expire(self) -> RunningLogs:
        """Forget computed values, because another batch was added."""
        self._read = None
        return self

    def peek(self) -> dict[str, float]:
        """Return the present values without updating the metrics with collected rows."""
        return self._metrics.peek()

    def _all(self) -> dict[str, Any]:
        if self._read is None:
            self._read = self._metrics.read()
        return self._read | self._own

    def __getitem__(self, name: str) -> Any:
        if self._read is None and name not in self._own:
            mean = self._metrics.mean(name)
            if mean is not None:
                return mean
        return self._all()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._own[name] = value

    def __delitem__(self, name: str) -> None:
        del self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __bool__(self) -> bool:
        return True  # so that `logs or {}` costs nothing

    def copy(self) -> dict[str, Any]:
        """Return the present values as a dict."""
        return dict(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


def counted_rows(batch: Any) -> int:
    """Return the weight of a batch, or of the first of a group, in a mean: the rows of its targets, or of `x`."""
    y = batch.y
    if isinstance(y, Tensor):
        return batch_rows(y)
    rows = {batch_rows(leaf) for _, leaf in leaves(y) if isinstance(leaf, Tensor)}
    return rows.pop() if len(rows) == 1 else batch_rows(batch.x)
