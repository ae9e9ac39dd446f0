"""OptimizerStep: the one way from a loss to new weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from kerastorch.constraints import ConstrainedWeight, apply_constraints
from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.torch_optimizer_private import step_post_hooks, step_pre_hooks
from kerastorch.distribution.gradient_sync import NO_SYNC, NoGradientSync
from kerastorch.optimizers.step_hooks import (
    Average,
    Clip,
    TorchOptimizer,
    optimizer_parameters,
    overwrite_with_average,
)
from kerastorch.optimizers.step_options import StepOptions
from kerastorch.training.closures import StepSnapshot, check_has_whole_weights, demands_closure, requires_closure
from kerastorch.training.constrain_hook import ConstrainHook
from kerastorch.training.gradient_accumulation import GradientAccumulation
from kerastorch.training.loss_scaling import UNSCALED, NoLossScaling
from kerastorch.training.step_listeners import StepListeners
from kerastorch.training.step_output import StepOutput
from kerastorch.training.unwrapped_step import UnwrappedStep
from kerastorch.training.weight_modes import WeightModes


class OptimizerStep:
    """Zero -> backward -> synchronise -> unscale -> guard -> clip -> step -> constrain -> average, for one optimizer.

    Synchronise, unscale, guard, clip, constrain and average do nothing by default. Clipping, weight decay and the
    moving average are step hooks of the optimizer, which also run in a user's own loop: `optimizer.step` calls them in
    this order. An optimizer that computes the loss several times (`LBFGS`, SAM) does so by a closure: then zero to clip
    run in the closure.

    Args:
        optimizer: Holds the weights.
        config: Optimizer as given to `compile`; it has the number of batches for a step and the loss scale.
        check_rate: Called before each step; raises an error if a learning rate was set that the optimizer never reads.
        scaling: Scales losses of float16; by default it does nothing.
        listeners: Functions that are called between a backward pass and the step; those of all optimizers of a model.
        only_own: Whether backward passes compute the gradients of this optimizer's weights alone.
        others: The other optimizers of the model.
        gradient_sync: Averages the gradients over the ranks of a process group; by default it does nothing.

    Raises:
        ValueError: The optimizer computes the loss itself, and losses would be scaled; it needs all weights in one
            vector, and processes hold parts of them.

    Attributes:
        accumulation: Sums of gradients over several batches.
        needs_closure: `optimizer.step` requires a closure.
        scaling: Scales losses.
        listeners: Functions that are called between a backward pass and the step.
    """

    def __init__(
        self,
        optimizer: TorchOptimizer,
        config: Any,
        check_rate: Callable[[], None] | None = None,
        scaling: NoLossScaling = UNSCALED,
        *,
        listeners: StepListeners | None = None,
        only_own: bool = False,
        others: Iterable[TorchOptimizer] = (),
        gradient_sync: NoGradientSync = NO_SYNC,
    ) -> None:
        check_has_whole_weights(optimizer)
        self.optimizer, self.scaling = optimizer, scaling
        self._steps_from_gradients = demands_closure(optimizer)
        self.needs_closure = self._steps_from_gradients or requires_closure(optimizer)
        if self.needs_closure and scaling.is_dynamic:
            raise ValueError(
                f"{type(optimizer).__name__} computes the loss itself, several times a step, so its losses cannot be "
                "scaled for float16. Use precision='bf16'."
            )
        steps, scale = None, None
        if isinstance(config, StepOptions):
            steps, scale = config.gradient_accumulation_steps, config.loss_scale_factor
        self.accumulation = GradientAccumulation(optimizer, steps or 1, scale or 1.0)
        self._unwrapped = UnwrappedStep(optimizer)
        self._check_rate, self._only_own, self._gradient_sync = check_rate, only_own, gradient_sync
        self._others = tuple(others)
        self._weight_modes = WeightModes.of(optimizer)
        self.listeners = listeners or StepListeners()
        self._is_rejected = False  # by a guard, within a closure
        self._minimized = torch.empty(0)  # the loss of the running batch
        self._constraints: list[ConstrainedWeight] = []
        self._early_constraints = ConstrainHook(lambda: self._constraints)

    @property
    def optimizers(self) -> tuple[TorchOptimizer, ...]:
        """All optimizers that step: this one."""
        return (self.optimizer,)

    @property
    def constraints(self) -> tuple[ConstrainedWeight, ...]:
        """Weights with the constraints that are applied after each step."""
        return tuple(self._constraints)

    def set_constraints(self, constraints: Iterable[ConstrainedWeight]) -> None:
        """Replace the constraints."""
        self._constraints = list(constraints)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Make steps within the block.

        Constraints are applied before a moving average is updated, by a hook of the optimizer. At the end the weights
        have the values to evaluate with.
        """
        averages = any(isinstance(hook, Average) for hook in step_post_hooks(self.optimizer).values())
        is_early = self._constraints and averages and not self._early_constraints.is_installed
        try:
            with self._early_constraints.installed(self.optimizer) if is_early else nullcontext():
                yield
        finally:
            self._gradient_sync.detach()
            self.end_training()

    @property
    def skips_nonfinite(self) -> bool:
        """Return whether a step with gradients that are not finite is left out, and the loss scale lowered instead."""
        return self.scaling.is_dynamic

    def backward_and_step(self, loss: Tensor, optimizer: str | None = None) -> None:
        """Compute the gradients of a loss and make a step with them.

        Args:
            loss: Scalar, with a gradient path to the weights.
            optimizer: Only for several optimizers.

        Raises:
            ValueError: The loss has no gradient path to any weight; or an optimizer is named, and there is one alone.
        """
        if optimizer is not None:
            raise ValueError(
                f"the model has one optimizer, so none is named {optimizer!r}. compile() takes several by name: "
                f"optimizer={{{optimizer!r}: ..., ...}}."
            )
        if not loss.requires_grad and not any(weight.numel() for weight in optimizer_parameters(self.optimizer)):
            return
        self.begin_batch(loss)
        try:
            self._backward(self.scaled(loss))
        except BaseException:
            self.accumulation.reset()  # the gradients may hold a part of this batch
            raise
        if self.is_ready(loss):
            self.scaling.stepper(self.optimizer, self._unwrapped.step)()
            self.end_step()
        self.scaling.update()

    def begin_batch(self, loss: Tensor) -> None:
        """Clear the gradients, or load those that were accumulated.

        Args:
            loss: Scalar to minimize.

        Raises:
            ValueError: The loss has no gradient path to any weight.
        """
        if not loss.requires_grad:
            raise ValueError(
                "the loss has no gradient path to any parameter. Is the output detached (argmax, .data, no_grad), "
                "or is every parameter frozen?"
            )
        if self._check_rate is not None:
            self._check_rate()
        if self.needs_closure:
            self._minimized = loss.detach()
        self._unwrapped.zero_grad()
        self._gradient_sync.begin(is_due=self.accumulation.is_due or self.needs_closure)
        if not (self.accumulation.is_idle or self.needs_closure):
            self.accumulation.load(copies=self.listeners.is_guarded)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss, scaled for the backward pass."""
        if self.accumulation.loss_scale != 1.0 and not self.needs_closure:
            loss = loss * self.accumulation.loss_scale
        return self.scaling.scale(loss)

    def _backward(self, loss: Tensor) -> None:
        """Compute the gradients of all weights, or of this optimizer's alone."""
        if not self._only_own:
            loss.backward()
            return
        own = self._own_weights()
        if not any(map(is_distributed_tensor, own)):
            loss.backward(inputs=own)
            return
        # What `fully_shard` gathers, not the weights themselves, takes part in the computation: torch would find no
        # path to them. Therefore all gradients are computed, and the others are put back.
        others = [weight for one in self._others for weight in optimizer_parameters(one)]
        before = [weight.grad for weight in others]
        for weight in others:
            weight.grad = None
        try:
            loss.backward()
        finally:
            for weight, gradient in zip(others, before, strict=True):
                weight.grad = gradient

    def _own_weights(self) -> list[Tensor]:
        found = [weight for weight in optimizer_parameters(self.optimizer) if weight.requires_grad]
        if not found:
            raise ValueError(
                f"all weights of this {type(self.optimizer).__name__} are frozen, so it has no step to make."
            )
        return found

    def is_ready(self, loss: Tensor) -> bool:
        """Prepare a step after a backward pass; return whether it is due, and no guard rejects it.

        Within a closure no step is due: the optimizer makes it itself.

        Args:
            loss: Scalar whose gradients were computed.
        """
        self._gradient_sync.finish()
        for function in self.listeners.after_backward:
            function()
        if self.needs_closure:
            self._is_rejected = not self.listeners.allow(loss)
            self._clip()
            return False
        if not self._gradients_are_ready(loss):
            return False
        for before in self.listeners.before_step:
            before(self.optimizer)
        return True

    def make_step(self) -> None:
        """Make a step, of one of several optimizers, that `is_ready` has prepared."""
        self.scaling.stepper(self.optimizer, self._unwrapped.step)()
        self.end_step()

    def _gradients_are_ready(self, loss: Tensor) -> bool:
        """Unscale or store the gradients; return whether a step is due and no guard rejects it."""
        accumulation = self.accumulation
        if accumulation.is_idle:
            self.scaling.unscale(self.optimizer)
            return self.listeners.allow(loss)
        is_due = accumulation.is_due
        if is_due:
            self.scaling.unscale(self.optimizer)
            accumulation.unscale()
        if not self.listeners.allow(loss):
            self._unwrapped.zero_grad()
            return False
        if is_due:
            accumulation.complete()
            return True
        accumulation.store()
        self._unwrapped.zero_grad()
        return False

    def _clip(self) -> None:
        """Clip within a closure: torch calls the step hooks before it."""
        for hook in step_pre_hooks(self.optimizer).values():
            if isinstance(hook, Clip):
                hook(self.optimizer, (), {})

    def end_step(self) -> None:
        """Apply the constraints after a step."""
        if self._constraints and not self._early_constraints.is_installed:
            apply_constraints(self._constraints)
        # Within `torch.autocast` the cache holds casts of the old weights. Clearing it always costs less than asking
        # whether autocast is on.
        torch.clear_autocast_cache()

    def step_with_closure(self, evaluate: Callable[[bool], StepOutput]) -> StepOutput:
        """Make a step of an optimizer that computes the loss several times.

        Args:
            evaluate: Runs a train step that calls this object with its loss; its argument tells whether it is the first
                of this step.

        Returns:
            The output of the first evaluation.
        """
        first: list[StepOutput] = []

        def closure() -> Tensor:
            torch.clear_autocast_cache()
            output = evaluate(not first)
            first.append(output)
            if self._is_rejected:
                raise _RejectedError
            return self._gradient_sync.loss_of_all(self._minimized, output.logs["loss"])

        self._is_rejected = False
        before = StepSnapshot(self.optimizer) if self.listeners.is_guarded else None
        try:
            if self._steps_from_gradients:
                closure()
            self.optimizer.step(closure)  # type: ignore[arg-type]  # a tensor in place of a float
        except _RejectedError:
            if before is not None:
                before.restore()
            return first[0]
        self.end_step()
        return first[0]

    def begin_fit(self) -> None:
        """Prepare for a fit; gradients that an earlier one has accumulated stay."""
        self.accumulation.begin_fit()

    def begin_training(self) -> None:
        """Give the weights the values that training changes, before the batches of an epoch."""
        self._weight_modes.train()
        self._gradient_sync.attach()

    def end_training(self) -> None:
        """Give the weights the values to evaluate with, after the batches of an epoch."""
        self._weight_modes.eval()

    def evaluating(self) -> AbstractContextManager[None]:
        """Give the weights the values to evaluate with, for a while."""
        return self._weight_modes.evaluating()

    def end_fit(self) -> None:
        """Replace the weights by their moving average, if there is one.

        Warns:
            UserWarning: Gradients were accumulated, and the fit was too short for a single step.
        """
        overwrite_with_average(self.optimizer)
        self.accumulation.end_fit()

    def state_dict(self) -> dict[str, Any]:
        """Return the accumulated gradients, and the loss scale if it is dynamic."""
        scaling = self.scaling.state_dict()
        return self.accumulation.state_dict() | ({"scaling": scaling} if scaling else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.accumulation.load_state_dict(state)
        self.scaling.load_state_dict(state.get("scaling", {}))


class _RejectedError(Exception):
    """A guard rejected a step whose closure runs."""
