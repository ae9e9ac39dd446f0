"""OptimizerStep: the one way from a loss to new weights."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from kerastorch.constraints import ConstrainedWeight, apply_constraints
from kerastorch.core.torch_private import foreach_copy_, step_post_hooks, step_pre_hooks
from kerastorch.optimizers.base import (
    Average,
    Clip,
    Optimizer,
    TorchOptimizer,
    optimizer_parameters,
    overwrite_with_average,
)
from kerastorch.training.gradient_accumulation import GradientAccumulation
from kerastorch.training.step_output import StepOutput
from kerastorch.training.unwrapped_step import UnwrappedStep

Guard = Callable[[Tensor], bool]


class OptimizerStep:
    """Zero -> backward -> unscale -> guard -> clip -> step -> constrain -> average, for one optimizer.

    Unscale, guard, clip, constrain and average do nothing by default. Clipping, weight decay and the moving average are
    step hooks of the optimizer, which also run in a user's own loop: `optimizer.step` calls them in this order. An
    optimizer whose `step` requires a closure (`LBFGS`) computes the loss several times: then zero to clip run in the
    closure.

    Args:
        optimizer: Holds the weights.
        config: Optimizer as given to `compile`; it has the number of batches for a step and the loss scale.
        check_rate: Called before each step; raises an error if a learning rate was set that the optimizer never reads.

    Attributes:
        accumulation: Sums of gradients over several batches.
        needs_closure: `optimizer.step` requires a closure.
    """

    def __init__(self, optimizer: TorchOptimizer, config: Any, check_rate: Callable[[], None] | None = None) -> None:
        self.optimizer = optimizer
        self.needs_closure = _requires_closure(optimizer)
        steps, scale = None, None
        if isinstance(config, Optimizer):
            steps, scale = config.gradient_accumulation_steps, config.loss_scale_factor
        self.accumulation = GradientAccumulation(optimizer, steps or 1, scale or 1.0)
        self._unwrapped = UnwrappedStep(optimizer)
        self._check_rate = check_rate
        self._guards: list[Guard] = []
        self._is_rejected = False  # by a guard, within a closure
        self._constraints: list[ConstrainedWeight] = []
        self._early_constraints = ConstrainHook(self)

    @property
    def constraints(self) -> tuple[ConstrainedWeight, ...]:
        """Weights with the constraints that are applied after each step."""
        return tuple(self._constraints)

    def set_constraints(self, constraints: Iterable[ConstrainedWeight]) -> None:
        """Replace the constraints."""
        self._constraints = list(constraints)

    @contextmanager
    def constraining(self) -> Iterator[None]:
        """Apply the constraints before a moving average is updated, by a hook of the optimizer for a while."""
        averages = any(isinstance(hook, Average) for hook in step_post_hooks(self.optimizer).values())
        if not self._constraints or not averages or self._early_constraints.is_installed:
            yield
            return
        with self._early_constraints.installed(self.optimizer):
            yield

    @property
    def is_guarded(self) -> bool:
        """Return whether a guard decides about each step."""
        return bool(self._guards)

    def register_guard(self, guard: Guard) -> Callable[[], None]:
        """Call `guard(loss)` after each backward pass; a step that it returns `False` for is not made.

        Returns:
            A function that removes the guard.
        """
        self._guards.append(guard)
        return lambda: self._guards.remove(guard)

    def backward_and_step(self, loss: Tensor) -> None:
        """Compute the gradients of a loss and make a step with them.

        Args:
            loss: Scalar, with a gradient path to the weights.

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
        self._unwrapped.zero_grad()
        is_ready = self._compute_gradients(loss)
        if self.needs_closure:
            self._is_rejected = not is_ready
            self._clip()
        elif is_ready:
            self._unwrapped.step()
            self._end_step()

    def _compute_gradients(self, loss: Tensor) -> bool:
        """Compute gradients; return whether a step is due and no guard rejects it."""
        accumulation = self.accumulation
        if accumulation.is_idle or self.needs_closure:
            loss.backward()
            return self._is_allowed(loss)
        accumulation.load(copies=self.is_guarded)
        is_due = accumulation.is_due
        try:
            (loss * accumulation.loss_scale).backward()
        except BaseException:
            accumulation.reset()  # they may hold a part of this batch
            raise
        if is_due:
            accumulation.unscale()
        if not self._is_allowed(loss):
            self._unwrapped.zero_grad()
            return False
        if is_due:
            accumulation.complete()
            return True
        accumulation.store()
        self._unwrapped.zero_grad()
        return False

    def _is_allowed(self, loss: Tensor) -> bool:
        return not self._guards or all(guard(loss) for guard in self._guards)

    def _clip(self) -> None:
        """Clip within a closure: torch calls the step hooks before it."""
        for hook in step_pre_hooks(self.optimizer).values():
            if isinstance(hook, Clip):
                hook(self.optimizer, (), {})

    def _end_step(self) -> None:
        if not self._early_constraints.is_installed:
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
            loss: Tensor = output.logs["loss"]
            return loss

        self._is_rejected = False
        before = self._snapshot() if self.is_guarded else None
        try:
            self.optimizer.step(closure)  # type: ignore[arg-type]  # a tensor in place of a float
        except _RejectedError:
            if before is not None:
                self._restore(*before)
            return first[0]
        self._end_step()
        return first[0]

    def _snapshot(self) -> tuple[list[Tensor], dict[Tensor, Any]]:
        """Copy weights and optimizer state, which change between the evaluations of a step."""
        state = {weight: copy.deepcopy(about) for weight, about in self.optimizer.state.items()}
        return [weight.detach().clone() for weight in optimizer_parameters(self.optimizer)], state

    @torch.no_grad()
    def _restore(self, held: list[Tensor], state: dict[Tensor, Any]) -> None:
        foreach_copy_(optimizer_parameters(self.optimizer), held)
        self.optimizer.state.clear()
        self.optimizer.state.update(state)

    def begin_fit(self) -> None:
        """Prepare for a fit; gradients that an earlier one has accumulated stay."""
        self.accumulation.begin_fit()

    def end_fit(self) -> None:
        """Replace the weights by their moving average, if there is one.

        Warns:
            UserWarning: Gradients were accumulated, and the fit was too short for a single step.
        """
        overwrite_with_average(self.optimizer)
        self.accumulation.end_fit()

    def state_dict(self) -> dict[str, Any]:
        """Return the accumulated gradients."""
        return self.accumulation.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.accumulation.load_state_dict(state)


class ConstrainHook:
    """Step hook that applies constraints before a moving average is updated."""

    def __init__(self, owner: OptimizerStep) -> None:
        self._owner = owner
        self._handle: Any = None

    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        apply_constraints(self._owner.constraints)

    @property
    def is_installed(self) -> bool:
        """Return whether the optimizer calls this hook."""
        return self._handle is not None

    @contextmanager
    def installed(self, optimizer: TorchOptimizer) -> Iterator[None]:
        """Register the hook as the first one after a step, for a while."""
        self._handle = optimizer.register_step_post_hook(self)
        hooks: Any = step_post_hooks(optimizer)  # an OrderedDict
        hooks.move_to_end(self._handle.id, last=False)
        try:
            yield
        finally:
            self._handle.remove()
            self._handle = None


def _requires_closure(optimizer: TorchOptimizer) -> bool:
    """Return whether `optimizer.step` cannot be called without a closure, by its signature."""
    step = optimizer.step
    try:
        parameters = list(inspect.signature(step).parameters.values())
    except (TypeError, ValueError):
        return False
    if inspect.isfunction(step) and inspect.unwrap(step) is inspect.unwrap(type(optimizer).step):
        parameters = parameters[1:]  # a schedule of torch wraps `step` on the instance: it shows `self`, which is bound
    return (
        bool(parameters)
        and parameters[0].default is inspect.Parameter.empty
        and parameters[0].kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    )


class _RejectedError(Exception):
    """A guard rejected a step whose closure runs."""
