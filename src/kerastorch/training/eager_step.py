"""The training step of a model on one batch, uncompiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kerastorch.data.batches import Batch
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.own_metrics import protected
from kerastorch.training.own_steps import own_metrics, step_of
from kerastorch.training.step_output import StepOutput
from kerastorch.training.thread_limit import small_steps_in_one_thread
from kerastorch.training.trainer import Trainer

Step = Callable[[Any], Mapping[str, Any] | StepOutput]


def eager_step(trainer: Trainer) -> Step:
    """Return what training does with a batch, in the precision of the model.

    Args:
        trainer: Parts that train the model.
    """
    needs_closure = trainer.optimizer_step.needs_closure
    step = _step_with_closure(trainer) if needs_closure else step_of(trainer, "train_step")
    return small_steps_in_one_thread(trainer, trainer.precision.around(step, trainer.device_type()))


def _step_with_closure(trainer: Trainer) -> Step:
    """Return a step of an optimizer that computes the loss itself."""
    step, metrics = step_of(trainer, "train_step"), own_metrics(trainer)

    def step_with_closure(batch: Batch) -> StepOutput:
        def evaluate(is_first: bool) -> StepOutput:
            if is_first:
                return step_output(trainer, step(batch))
            trainer.compiled_loss.begin_step()
            context = trainer.context  # only the first evaluation is counted
            again = trainer.using(MetricsTracker({}), context.backward_and_step, context.global_weights)
            with again, protected(metrics):
                return step_output(trainer, step(batch))

        return trainer.optimizer_step.step_with_closure(evaluate)

    return step_with_closure


def step_output(trainer: Trainer, logs: Mapping[str, Any] | StepOutput) -> StepOutput:
    """Return the output of a step with the weights of its recorded loss.

    Args:
        trainer: Its context has the recorded loss.
        logs: What the step returned.
    """
    return logs if isinstance(logs, StepOutput) else trainer.context.take_output(logs)
