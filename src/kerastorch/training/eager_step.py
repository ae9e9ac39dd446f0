"""The training step of a model on one batch, uncompiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kerastorch.data.batches import Batch
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.step_output import StepOutput
from kerastorch.training.trainer import Trainer

Step = Callable[[Any], Mapping[str, Any] | StepOutput]


def eager_step(trainer: Trainer) -> Step:
    """Return what training does with a batch, in the precision of the model.

    Args:
        trainer: Parts that train the model.
    """
    step = _step_with_closure(trainer) if trainer.optimizer_step.needs_closure else trainer.model.train_step
    return trainer.precision.around(step, trainer.device_type())


def _step_with_closure(trainer: Trainer) -> Step:
    """Return a step of an optimizer that computes the loss itself."""

    def step_with_closure(batch: Batch) -> StepOutput:
        def evaluate(is_first: bool) -> StepOutput:
            if is_first:
                return step_output(trainer, trainer.model.train_step(batch), "train")
            trainer.compiled_loss.begin_step()
            with trainer.using(MetricsTracker({})):  # only the first evaluation is counted
                return step_output(trainer, trainer.model.train_step(batch), "train")

        return trainer.optimizer_step.step_with_closure(evaluate)

    return step_with_closure


def step_output(trainer: Trainer, logs: Any, phase: str) -> StepOutput:
    """Return the output of a step with the weights of its recorded loss.

    Args:
        trainer: Its context has the recorded loss.
        logs: What the step returned.
        phase: `'train'` or `'test'`, for messages.

    Raises:
        TypeError: The step returned nothing.
    """
    if logs is None:
        raise TypeError(f"{phase}_step returned None; return a dict of numbers for the logs, {{'loss': loss}}.")
    return trainer.context.take_output(logs)
