"""Meter: the running numbers of one pass over data, without ever making the device wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
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
from kerastorch.metrics.metric import Metric
from kerastorch.metrics.task import TaskSpec
from kerastorch.training.mean import Mean, unshared

ROWS, ELEMENTS = 4096, 2**22  # rows (on the CPU, whose cache they fit), or elements, that metrics are given at once


class Scores:
    """The metrics of one output. Rows are collected and handed on in large pieces.

    Args:
        wanted: the metrics.
        loss: of the output; it says what the outputs are.
        ends_in: the activation that the model ends in, if that is known.
        channel_axis: tells the axis of the output's channels, if that is known.
    """

    def __init__(
        self,
        wanted: list[Metric],
        loss: Loss | None,
        ends_in: str | None = None,
        channel_axis: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._wanted, self._loss, self._ends_in, self._channel_axis = wanted, loss, ends_in, channel_axis
        self._targets: list[TaskSpec] = []
        self._accumulators: list[Any] = []
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._rows = self._elements = 0
        self._seen = False

    def update(self, y_pred: Tensor, y_true: Tensor) -> None:
        """Add one batch."""
        y_pred = unshared(y_pred)
        if y_pred.dtype in (torch.bfloat16, torch.float16):
            y_pred = y_pred.float()  # else targets would be rounded to its few digits
        if not self._targets:
            self._build(self._read_targets(y_pred, y_true), y_pred.device)
        self._pending.append((y_pred, y_true))
        for metric, accumulator in zip(self._wanted, self._accumulators, strict=True):
            if metric.by_batch:
                accumulator.update(y_pred, y_true)
        self._rows += y_pred.shape[0]
        self._elements += y_pred.numel()
        # elsewhere few large pieces are better: some metrics make the device wait at each
        if self._elements >= ELEMENTS or (self._rows >= ROWS and y_pred.device.type == "cpu"):
            self.flush()

    def _read_targets(self, y_pred: Tensor, y_true: Tensor) -> list[TaskSpec]:
        axis = self._channel_axis() if y_pred.ndim > 2 else None
        return [
            one.resolve_spec(
                TaskSpec.of(self._loss, y_pred, y_true, one.is_classification, self._ends_in, axis), self._loss
            )
            for one in self._wanted
        ]

    def _read_again(self, y_pred: Tensor, y_true: Tensor) -> None:
        """Read the targets of all rows at hand, before any is handed on: one batch may look one-hot by chance."""
        found = self._read_targets(y_pred, y_true)
        for index, (metric, target) in enumerate(zip(self._wanted, found, strict=True)):
            if target != self._targets[index] and not metric.by_batch:
                self._accumulators[index] = metric.build(target, y_pred.device)
        self._targets = found

    def flush(self) -> None:
        """Hand on what is pending."""
        if not self._pending:
            return
        y_pred = torch.cat([pair[0] for pair in self._pending])
        y_true = torch.cat([pair[1] for pair in self._pending])
        if not self._seen:
            self._read_again(y_pred, y_true)
        self._targets = [self._for_labels(one, y_true) for one in self._targets]
        self._pending, self._rows, self._elements, self._seen = [], 0, 0, True
        prepared: dict[Any, tuple[Tensor, Tensor]] = {}
        for metric, target, accumulator in zip(self._wanted, self._targets, self._accumulators, strict=True):
            if metric.by_batch:
                continue
            key = target, metric.input_format
            if key not in prepared:
                prepared[key] = target.prepare(y_pred, y_true, metric.input_format)
            if len(prepared[key][1]):  # else all rows are of a class that is ignored
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
        self._targets = targets
        self._accumulators = [metric.build(one, device) for metric, one in zip(self._wanted, targets, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """All rows so far: those handed on, as the metrics keep them, and those that were not."""
        pending = [torch.cat(rows) for rows in zip(*self._pending, strict=True)]
        return {
            "targets": [asdict(target) for target in self._targets],
            "accumulators": [capture_metric_state(one) for one in self._accumulators],
            "pending": pending,
            "seen": self._seen,
            "names": self.names,
        }

    @property
    def names(self) -> list[str]:
        """Return the names of the metrics."""
        return [metric.name for metric in self._wanted]

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from there."""
        if state["targets"]:  # none before the first batch
            self._build([TaskSpec(**target) for target in state["targets"]], device)
        for accumulator, saved in zip(self._accumulators, state["accumulators"], strict=True):
            restore_metric_state(accumulator, saved)
        self._seen = state["seen"]
        self._pending = [(state["pending"][0].to(device), state["pending"][1].to(device))] if state["pending"] else []
        self._rows = sum(y_pred.shape[0] for y_pred, _ in self._pending)
        self._elements = sum(y_pred.numel() for y_pred, _ in self._pending)

    def objects(self) -> list[KerasMetric]:
        """Return the accumulators that are objects of the user's, shared by all passes."""
        return [one for one in self._accumulators if isinstance(one, KerasMetric)]

    def read(self) -> dict[str, Any]:
        """The metrics of all that was handed on."""
        found: dict[str, Any] = {}
        if not self._seen:
            return found
        for metric, accumulator in zip(self._wanted, self._accumulators, strict=True):
            empty = not getattr(accumulator, "update_called", True)  # a metric of torchmetrics that no row counts in
            found |= named_scalars(metric.name, float("nan") if empty else accumulator.compute())
        return found


class MetricsTracker:
    """All numbers of one pass: means of what the steps return, and metrics by output.

    Args:
        scores: output name -> its metrics; the name is put before theirs where it is not empty.
    """

    def __init__(self, scores: Mapping[str, Scores]) -> None:
        self._means: dict[str, Mean] = {}
        self._scores = scores

    def add(self, logs: Mapping[str, Any], count: Tensor | float, counts: Mapping[str, Tensor | float] = {}) -> None:
        """The numbers of one batch that counts `count`, or for single names what `counts` says."""
        for name, value in logs.items():
            mean = self._means.get(name)
            if mean is None:
                mean = self._means[name] = Mean()
            mean.add(value, counts.get(name, count))

    def update(self, y_pred: Mapping[str, Any], y_true: Mapping[str, Any]) -> None:
        """Outputs and targets of one batch, by output name."""
        for name, scores in self._scores.items():
            if name not in y_pred:
                raise ValueError(f"metrics are for output {name!r}, the model has {', '.join(map(repr, y_pred))}.")
            if y_true.get(name) is None:
                raise ValueError(f"metrics{f' of output {name!r}' if name else ''} need y, got None.")
            scores.update(y_pred[name], y_true[name])

    @contextmanager
    def protected(self) -> Iterator[None]:
        """Keep what users' metric objects have counted while another pass counts with them."""
        with ExitStack() as stack:
            for scores in self._scores.values():
                for one in scores.objects():
                    stack.enter_context(one.protected())
            yield

    def state_dict(self) -> dict[str, Any]:
        """All that was added so far, in any order of reading it."""
        return {
            "means": {name: mean.state_dict() for name, mean in self._means.items()},
            "scores": {name: scores.state_dict() for name, scores in self._scores.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from there, with tensors on `device`; see `check_state`."""
        for name, saved in state["means"].items():
            self._means[name] = mean = Mean()
            mean.load_state_dict(saved)
        for name, scores in self._scores.items():
            scores.load_state_dict(state["scores"][name], device)

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse the numbers of a pass that has counted other metrics.

        Raises:
            CheckpointError: with the names of both.
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
        """One running mean, without a look at the metrics; `None` if there is no such mean."""
        return self._means[name].read() if name in self._means else None

    def read(self) -> dict[str, float]:
        """All numbers as floats, every batch included."""
        for scores in self._scores.values():
            scores.flush()
        return self.peek()

    def peek(self) -> dict[str, float]:
        """All numbers as floats; metrics without the rows that were not handed on yet."""
        found = {name: mean.read() for name, mean in self._means.items()}
        for output, scores in self._scores.items():
            for name, value in scores.read().items():
                found[f"{output}_{name}" if output else name] = float(value)
        return found


class RunningLogs(MutableMapping[str, Any]):
    """What batch hooks are given: a mapping that reads the meter only when it is read itself."""

    def __init__(self, meter: MetricsTracker) -> None:
        self._meter = meter
        self._own: dict[str, Any] = {}
        self._read: dict[str, Any] | None = None

    def expire(self) -> RunningLogs:
        """Another batch was added."""
        self._read = None
        return self

    def peek(self) -> dict[str, float]:
        """The numbers as they are at hand."""
        return self._meter.peek()

    def _all(self) -> dict[str, Any]:
        if self._read is None:
            self._read = self._meter.read()
        return self._read | self._own

    def __getitem__(self, name: str) -> Any:
        if self._read is None and name not in self._own:
            mean = self._meter.mean(name)
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
        """The numbers as they are now."""
        return dict(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


def counted_rows(batch: Any) -> int:
    """Return how many rows a batch, or the first of several, counts in a mean: those of its targets, if it has any."""
    y = batch.y
    if isinstance(y, Tensor):
        return batch_rows(y)
    rows = {batch_rows(leaf) for _, leaf in leaves(y) if isinstance(leaf, Tensor)}
    return rows.pop() if len(rows) == 1 else batch_rows(batch.x)
