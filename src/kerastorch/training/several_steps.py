"""SeveralSteps: the steps of several optimizers, each of which trains a part of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from torch import Tensor

from kerastorch.constraints import ConstrainedWeight
from kerastorch.core.errors import suggest
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training.step_output import StepOutput


class SeveralSteps:
    """What `OptimizerStep` is for one optimizer, for several by name.

    Args:
        steps: The step of each optimizer.

    Raises:
        ValueError: An optimizer computes the loss itself, or losses are scaled differently.
    """

    needs_closure = False

    def __init__(self, steps: Mapping[str, OptimizerStep]) -> None:
        self.steps = steps
        for name, step in steps.items():
            if step.needs_closure:
                raise ValueError(
                    f"the optimizer {name!r}, {type(step.optimizer).__name__}, computes the loss itself, so it cannot "
                    "be one of several. Step it in a train_step of your own."
                )
        first = next(iter(steps.values()))
        self.listeners = first.listeners
        self._shares_loss = all(
            step.scaling is first.scaling and step.accumulation.loss_scale == first.accumulation.loss_scale
            for step in steps.values()
        )

    @property
    def optimizers(self) -> tuple[TorchOptimizer, ...]:
        """All optimizers."""
        return tuple(step.optimizer for step in self.steps.values())

    def backward_and_step(self, loss: Tensor, optimizer: str | None = None) -> None:
        """Compute the gradients of a loss and make a step with them.

        Args:
            loss: Scalar, with a gradient path to the weights.
            optimizer: Name of the optimizer that steps; the gradients of other weights are not computed. Default: all,
                after one backward pass.

        Raises:
            ValueError: There is no optimizer of that name; the loss has no gradient path to any weight.
        """
        if optimizer is not None:
            if optimizer not in self.steps:
                known = ", ".join(map(repr, self.steps))
                raise ValueError(f"no optimizer {optimizer!r}.{suggest(optimizer, self.steps)} There are: {known}.")
            self.steps[optimizer].backward_and_step(loss)
            return
        if not self._shares_loss:
            raise ValueError(
                "the optimizers scale the loss differently: give each its loss, backward_and_step(loss, name)."
            )
        steps = list(self.steps.values())
        for step in steps:
            step.begin_batch(loss)
        try:
            steps[0].scaled(loss).backward()
        except BaseException:
            for step in steps:
                step.accumulation.reset()
            raise
        for step in steps:
            if step.is_ready(loss):
                step.make_step()
        steps[0].scaling.update()

    def step_with_closure(self, evaluate: Callable[[bool], StepOutput]) -> NoReturn:
        """Raise an error: none of several optimizers has a closure."""
        raise AssertionError

    @property
    def constraints(self) -> tuple[ConstrainedWeight, ...]:
        """Weights with the constraints that are applied after each step."""
        return tuple(one for step in self.steps.values() for one in step.constraints)

    def set_constraints(self, constraints: list[ConstrainedWeight]) -> None:
        """Replace the constraints: each optimizer applies those of its weights."""
        for step in self.steps.values():
            own = {id(weight) for weight in optimizer_parameters(step.optimizer)}
            step.set_constraints(one for one in constraints if id(one[0]) in own)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Make steps within the block; see `OptimizerStep.training`."""
        with ExitStack() as stack:
            for step in self.steps.values():
                stack.enter_context(step.training())
            yield

    @property
    def skips_nonfinite(self) -> bool:
        """Return whether steps with gradients that are not finite are left out, and the loss scale lowered instead."""
        return any(step.skips_nonfinite for step in self.steps.values())

    def begin_fit(self) -> None:
        """Prepare for a fit."""
        for step in self.steps.values():
            step.begin_fit()

    def end_fit(self) -> None:
        """Replace weights by their moving averages, if there are any."""
        for step in self.steps.values():
            step.end_fit()

    def begin_training(self) -> None:
        """Give the weights the values that training changes, before the batches of an epoch."""
        for step in self.steps.values():
            step.begin_training()

    def end_training(self) -> None:
        """Give the weights the values to evaluate with, after the batches of an epoch."""
        for step in self.steps.values():
            step.end_training()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Give the weights the values to evaluate with, for a while."""
        with ExitStack() as stack:
            for step in self.steps.values():
                stack.enter_context(step.evaluating())
            yield

    def state_dict(self) -> dict[str, Any]:
        """Return the accumulated gradients of each optimizer."""
        return {name: step.state_dict() for name, step in self.steps.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name, step in self.steps.items():
            step.load_state_dict(state[name])
