"""RankStep: a training step on the part of a batch that a rank computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol

from torch import Tensor
from torch.overrides import TorchFunctionMode

from kerastorch.core.ownership import is_own
from kerastorch.data.batches import Batch
from kerastorch.data.rank_shard import RankBatch
from kerastorch.distribution.outside_networks import OutsideNetworks
from kerastorch.training.loss_scales import RankWeights
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.model_optimizers import ModelOptimizers
from kerastorch.training.own_metrics import protected
from kerastorch.training.own_steps import Steps, own_metrics
from kerastorch.training.step_output import BackwardAndStep, GlobalWeights, Metrics, StepContext, StepOutput

Step = Callable[[Any], Mapping[str, Any] | StepOutput]


class StepTrainer(Steps, Protocol):
    """What a step needs of the trainer."""

    optimizers: ModelOptimizers

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
        self._is_own_step = not is_own(getattr(trainer.model, "train_step", self))
        self._outside = OutsideNetworks(trainer.optimizers.all_weights) if self._is_own_step else nullcontext()

    def __call__(self, batch: Batch) -> Mapping[str, Any] | StepOutput:
        if not isinstance(batch, RankBatch):  # each rank computes the whole batch
            return self._step(batch)
        share, context = batch.share, self._trainer.context
        factor = self._world * share.rows / share.total
        own_backward = self._own_backward(factor)
        backward = context.backward_and_step
        if factor != 1.0:
            backward = partial(_scaled_step, backward, factor, own_backward)
        weights = RankWeights(share)
        if not share.is_idle:
            with self._trainer.using(context.metrics, backward, weights) as own, own_backward, self._outside:
                output = self._step(Batch(*batch))
                return output if isinstance(output, StepOutput) else own.take_output(output)
        with (
            self._trainer.using(MetricsTracker({}), backward, weights),
            protected(own_metrics(self._trainer)),
            own_backward,
            self._outside,
        ):
            self._step(Batch(*batch))
        return NOTHING

    def _own_backward(self, factor: float) -> _ScaledBackward | nullcontext[None]:
        """Return what scales the losses of which a step of the user's own calls `backward` itself."""
        return _ScaledBackward(factor) if factor != 1.0 and self._is_own_step else nullcontext()


class _ScaledBackward(TorchFunctionMode):
    """Multiply each tensor whose method `backward` is called by a factor.

    Args:
        factor: The factor.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor, self._is_paused = factor, False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Scale nothing within the block."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is Tensor.backward and not self._is_paused:
            args = (args[0] * self._factor, *args[1:])
        return function(*args, **(kwargs or {}))


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


def _scaled_step(
    backward: BackwardAndStep,
    factor: float,
    own_backward: _ScaledBackward | nullcontext[None],
    loss: Tensor,
    optimizer: str | None = None,
) -> None:
    with own_backward.paused() if isinstance(own_backward, _ScaledBackward) else own_backward:
        backward(loss * factor, optimizer)
