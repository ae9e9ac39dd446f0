"""Collecting the outputs, targets and weights of a model in one pass over data, in the order of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.progress_bar import Verbose
from kerastorch.evaluation.from_outputs import Outputs
from kerastorch.metrics.metric_spec import MetricSpec
from kerastorch.runtime.model_lock import model_lock
from kerastorch.training.output_names import OneListForSeveralOutputsError
from kerastorch.training.trainer import Trainer

MOST_BYTES = 8 * 2**30
_NAME = "outputs for the report"


class CollectedOutputs(NamedTuple):
    """The outputs of a model for all rows of the data.

    Attributes:
        trainer: Parts of the model, which tell what its outputs are.
        groups: Outputs, targets and weights by name of the output.
        logs: Loss and metrics of `compile`.
    """

    trainer: Trainer
    groups: Mapping[str, list[Outputs]]
    logs: Mapping[str, float]


@runtime_checkable
class CollectsOutputs(Protocol):
    """An object that is no module and can be reported on as a model: an ensemble."""

    def collect_outputs(
        self,
        x: Any,
        y: Any,
        batch_size: int | None,
        verbose: Verbose,
        sample_weight: Any,
        steps: int | None,
        callbacks: Sequence[Callback] | Callback | None,
        *,
        check_finite: bool,
        workers: int,
    ) -> CollectedOutputs:
        """Return the outputs for data; the arguments are those of `evaluate`."""


class OutputCollector:
    """Receives outputs and targets as a metric does, and stores them on the CPU."""

    can_merge = False  # the order of the batches counts: one object is given those of all processes

    def __init__(self) -> None:
        self._batches: list[Outputs] = []
        self._bytes = 0  # of the outputs

    def emptied(self) -> OutputCollector:
        """Return this object without what was stored."""
        self._batches, self._bytes = [], 0
        return self

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
        name: [MetricSpec(_NAME, lambda _, one=one: one.emptied(), "raw", by_batch=True, is_weighted=True)]  # type: ignore[misc]
        for name, one in collectors.items()
    }
    with model_lock(trainer.model, "evaluate", alone=True), trainer.with_metrics(metrics):
        yield collectors


def output_names(trainer: Trainer) -> list[str]:
    """Return the names of the outputs with a loss, as far as they are known; `''` is the only one."""
    outputs = trainer.compiled_loss.outputs
    names = [name for name, loss in outputs.losses.items() if loss is not None]
    return outputs.logged() or names or list(trainer.metrics) or [""]


def collect_outputs(model: nn.Module, x: Any, evaluate: Callable[[], Mapping[str, float]]) -> CollectedOutputs:
    """Evaluate a model, and return its outputs.

    Before a model is called, the names of its outputs may be unknown. Then they are known after the first batch, and
    the evaluation begins anew.

    Args:
        model: A compiled model.
        x: The data; an iterator cannot be evaluated anew.
        evaluate: Evaluates the model on them, and returns the logs.

    Raises:
        ValueError: The model returns several outputs, and there is no loss for each; no outputs were collected.
    """
    trainer: Trainer | None = vars(model).get("_trainer")
    if trainer is None:
        evaluate()  # raises, because the model is not compiled
        raise AssertionError
    with collecting(trainer) as collected:
        try:
            logs = evaluate()
        except ValueError as error:
            if isinstance(x, Iterator) or output_names(trainer) == list(collected):
                if not isinstance(error, OneListForSeveralOutputsError):
                    raise
                raise ValueError(
                    "reports and ensembles compare each output with its target, and the model returns several outputs "
                    "without a loss for each. Pass the predictions to kt.evaluation.report_from_predictions(y, ...)."
                ) from error
        else:
            return _collected(trainer, collected, logs)
    with collecting(trainer) as collected:
        return _collected(trainer, collected, evaluate())


def _collected(
    trainer: Trainer, collected: Mapping[str, OutputCollector], logs: Mapping[str, float]
) -> CollectedOutputs:
    groups = {name: one.groups() for name, one in collected.items()}
    if not all(groups.values()):
        raise ValueError(
            "evaluate() updated no metrics, so that there are no outputs to report on: does a test_step of your own "
            "call compute_metrics? Or pass predictions to kt.evaluation.report_from_predictions(y, predictions)."
        )
    return CollectedOutputs(trainer, groups, logs)
