"""MetricsTracker: means and metrics of one pass over data, without a device synchronisation per batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import CheckpointError
from kerastorch.core.nested import batch_rows, leaves
from kerastorch.data.sample_lists import is_list_of_dicts
from kerastorch.training.mean import Mean, unshared
from kerastorch.training.own_results import capture_result, merge_results
from kerastorch.training.scores import Scores


class MetricsTracker:
    """Means of the numbers that the steps of a pass return, and metrics by output.

    Args:
        scores: Output name -> its metrics. The name is a prefix of theirs in the logs, unless it is empty.
        own: Metric objects that the model holds, if these are a part of the rows and are merged with other parts.
    """

    def __init__(self, scores: Mapping[str, Scores], own: Sequence[Any] = ()) -> None:
        self._means: dict[str, Mean] = {}
        self._results: dict[str, Any] = {}
        self._scores, self._own = scores, own
        self._merged_own: Mapping[int, Any] = {}

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

    def part_state(self) -> dict[str, Any]:
        """Return what `merged` needs of these means and metrics, as a nested dict that can be pickled."""
        return {
            "means": {name: mean.totals() for name, mean in self._means.items()},
            "scores": {name: scores.part_state() for name, scores in self._scores.items()},
            "results": {name: capture_result(name, value, self._own) for name, value in self._results.items()},
        }

    def merged(
        self, states: Sequence[Mapping[str, Any]], device: torch.device, *, by_turns: bool = False
    ) -> MetricsTracker:
        """Return the means and metrics of all rows; these ones stay unchanged.

        Args:
            states: `part_state` of each part of the rows, in order, this one's included.
            device: Device of the result.
            by_turns: Whether the batches of the parts alternate; else each part has consecutive ones.

        Raises:
            ValueError: A metric cannot be merged; or the parts have different metrics, or different tasks.
        """
        _check_same_metrics(states)
        scores = {
            name: one.merged([state["scores"][name] for state in states], device, by_turns=by_turns)
            for name, one in self._scores.items()
        }
        whole = MetricsTracker(scores)
        for name in dict.fromkeys(name for state in states for name in state["means"]):
            whole._means[name] = Mean.of_parts([state["means"][name] for state in states if name in state["means"]])
        results = [state["results"] for state in states]
        whole._results, whole._merged_own = merge_results(results, self._own, whole.metric, device)
        return whole

    def give_to(self, tracker: MetricsTracker) -> None:
        """Put the states of these metrics into the users' objects of the tracker that these were merged from.

        Its pass must be over: what it reads from those objects later is of all rows, too.
        """
        for name, scores in self._scores.items():
            scores.give_to(tracker._scores[name])
        for index, metric in self._merged_own.items():
            vars(tracker._own[index]).update(vars(metric))

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
        return found | self._read_scores()

    def metric(self, name: str) -> float | None:
        """Return the value of a metric of `compile` by its log name, of every batch so far; `None` if there is none."""
        for scores in self._scores.values():
            scores.flush()
        return self._read_scores().get(name)

    def _read_scores(self) -> dict[str, float]:
        """Return the metrics of `compile` by log name, for the rows that they were updated with."""
        return {
            f"{output}_{name}" if output else name: float(value)
            for output, scores in self._scores.items()
            for name, value in scores.read().items()
        }


def _check_same_metrics(states: Sequence[Mapping[str, Any]]) -> None:
    first, *others = (
        {f"{output}_{name}" if output else name for output, one in state["scores"].items() for name in one["names"]}
        for state in states
    )
    for number, other in enumerate(others, 1):
        if other != first:
            words = [", ".join(sorted(names)) or "none" for names in (first, other)]
            raise ValueError(
                f"the metrics of the processes differ: rank 0 has {words[0]}, and rank {number} has {words[1]}. Pass "
                "the same ones to compile() in all processes."
            )


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
    if is_list_of_dicts(y):
        return len(y)
    rows = {batch_rows(leaf) for _, leaf in leaves(y) if isinstance(leaf, Tensor)}
    return rows.pop() if len(rows) == 1 else batch_rows(batch.x)
