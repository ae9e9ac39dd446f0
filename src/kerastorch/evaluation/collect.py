"""Collecting the outputs, targets and weights of a model in one pass over data, in the order of the data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from kerastorch.evaluation.from_outputs import Outputs
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.runtime.model_lock import model_lock
from kerastorch.training.trainer import Trainer

MOST_BYTES = 8 * 2**30
_NAME = "outputs for the report"


class OutputCollector:
    """Receives outputs and targets as a metric does, and stores them on the CPU."""

    def __init__(self) -> None:
        self._batches: list[Outputs] = []
        self._bytes = 0  # of the outputs

    def to(self, device: torch.device) -> None:
        """Do nothing: everything is stored on the CPU."""

    def update(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> None:
        """Store a batch.

        Raises:
            ValueError: The outputs would take too much memory.
        """
        self._bytes += y_pred.nbytes
        if self._bytes > MOST_BYTES:
            raise ValueError(
                f"a report stores the outputs of all rows, and these take more than {MOST_BYTES >> 30} GiB. Report on "
                "fewer rows, such as report(..., steps=100)."
            )
        copies = [None if one is None else one.detach().to("cpu", copy=True) for one in (y_pred, y_true, weight)]
        self._batches.append(Outputs(*copies))  # type: ignore[arg-type]

    def compute(self) -> dict[str, float]:
        """Return no values: the passes log nothing."""
        return {}

    def groups(self) -> list[Outputs]:
        """Return what was stored, with consecutive batches of the same shapes joined."""
        found: list[list[Outputs]] = []
        last: Any = None
        for batch in self._batches:
            shape = [None if one is None else one.shape[1:] for one in batch]
            if not len(batch.y_pred):
                continue
            if shape != last:
                found.append([])
            found[-1].append(batch)
            last = shape
        return [Outputs(*(_joined(parts) for parts in zip(*some, strict=True))) for some in found]  # type: ignore[arg-type]


def _joined(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    return None if parts[0] is None else torch.cat(parts)  # type: ignore[arg-type]


@contextmanager
def collecting(trainer: Trainer) -> Iterator[dict[str, OutputCollector]]:
    """Collect the outputs of each output that has a loss in the evaluations of a block.

    Args:
        trainer: Parts of the model; the model is locked, so that no other thread evaluates it.
    """
    collectors = {name: OutputCollector() for name in output_names(trainer)}
    metrics = {
        name: [MetricSpec(_NAME, lambda _, one=one: one, "raw", by_batch=True, is_weighted=True)]  # type: ignore[misc]
        for name, one in collectors.items()
    }
    with model_lock(trainer.model, "evaluate", alone=True), trainer.with_metrics(metrics):
        yield collectors


def output_names(trainer: Trainer) -> list[str]:
    """Return the names of the outputs with a loss, as far as they are known; `''` is the only one."""
    outputs = trainer.compiled_loss.outputs
    names = [name for name, loss in outputs.losses.items() if loss is not None]
    return outputs.logged() or names or list(trainer.metrics) or [""]
