"""RankStep: a training step on the part of a batch that a rank computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from kerastorch.data.batches import Batch
from kerastorch.data.rank_shard import RankBatch
from kerastorch.training.loss_scales import RankWeights
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.own_metrics import protected
from kerastorch.training.own_steps import Steps, own_metrics
from kerastorch.training.step_output import BackwardAndStep, GlobalWeights, Metrics, StepContext, StepOutput

Step = Callable[[Any], Mapping[str, Any] | StepOutput]


class StepTrainer(Steps, Protocol):
    """What a step needs of the trainer."""

    def using(
        self,
        metrics: Metrics,
        backward_and_step: BackwardAndStep | None = None,
        global_weights: GlobalWeights | None = None,
    ) -> AbstractContextManager[StepContext]:
        """Give a part of a pass a context of its own."""


NOTHING = StepOutput({}, 0, {}, True)


def is_idle(batch: Any) -> bool:
    """Return whether the rows of a batch count nowhere on this rank."""
    return isinstance(batch, RankBatch) and batch.share.is_idle


class RankStep:
    """A training step on the part of a batch that a rank computes.

    The loss is scaled so that the mean of its gradients over the ranks is the gradient of the whole batch.

    Args:
        trainer: Gives the step its context.
        step: The training step.
        world: Number of ranks.
    """

    def __init__(self, trainer: StepTrainer, step: Step, world: int) -> None:
        self._trainer, self._step, self._world = trainer, step, world

    def __call__(self, batch: Batch) -> Mapping[str, Any] | StepOutput:
        if not isinstance(batch, RankBatch):  # each rank computes the whole batch
            return self._step(batch)
        share, context = batch.share, self._trainer.context
        factor = self._world * share.rows / share.total
        backward = context.backward_and_step
        if factor != 1.0:
            backward = partial(_scaled_step, backward, factor)
        weights = RankWeights(share)
        if not share.is_idle:
            with self._trainer.using(context.metrics, backward, weights) as own:
                output = self._step(Batch(*batch))
                return output if isinstance(output, StepOutput) else own.take_output(output)
        with self._trainer.using(MetricsTracker({}), backward, weights), protected(own_metrics(self._trainer)):
            self._step(Batch(*batch))
        return NOTHING


class IdleStep:
    """An evaluation step that computes idle batches, too, so that other ranks can; they count nowhere.

    Args:
        trainer: Gives the step its context.
        step: The evaluation step.
    """

    def __init__(self, trainer: StepTrainer, step: Step) -> None:
        self._trainer, self._step = trainer, step

    def __call__(self, batch: Batch) -> Mapping[str, Any] | StepOutput:
        if not is_idle(batch):
            return self._step(batch)
        with self._trainer.using(MetricsTracker({})), protected(own_metrics(self._trainer)):
            self._step(Batch(*batch))
        return NOTHING


def _scaled_step(backward: BackwardAndStep, factor: float, loss: Tensor, optimizer: str | None = None) -> None:
    backward(loss * factor, optimizer)
