"""Update: from a loss to new weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.checkpoint.optimizer_state import like
from kerastorch.constraints import ConstrainedWeight, apply_constraints
from kerastorch.core.errors import warn
from kerastorch.optimizers.base import Optimizer, TorchOptimizer, optimizer_parameters, overwrite_with_average
from kerastorch.training.bare import UnwrappedStep


class OptimizerStep:
    """Backward and step of one optimizer.

    Args:
        optimizer: holds the weights.
        settings: what `compile` was given: says how often to step and how to scale.
        check_rate: called before each step: refuses a learning rate set where nothing reads it.

    Attributes:
        every: how many batches a step takes.
        scale: what the loss is multiplied by before the backward pass.
        constraints: what weights must satisfy after each step.
        guard: asked with the loss after each backward pass whether a step may follow; none if `None`.
    """

    def __init__(self, optimizer: TorchOptimizer, settings: Any, check_rate: Callable[[], None] | None = None) -> None:
        self.optimizer = optimizer
        self._bare = UnwrappedStep(optimizer)
        self._check_rate = check_rate
        keras = settings if isinstance(settings, Optimizer) else None
        self.every = (keras and keras.gradient_accumulation_steps) or 1
        self.scale = (keras and keras.loss_scale_factor) or 1.0
        self.constraints: list[ConstrainedWeight] = []
        self.guard: Callable[[Tensor], bool] | None = None
        self._refused = False
        self._batches = 0  # accumulated since the last step
        self._sums: dict[Tensor, Tensor] = {}  # their gradients, apart from `.grad`, where others may leave theirs
        self._stepped = False  # since `begin`
        self.needs_closure = isinstance(optimizer, torch.optim.LBFGS)

    def begin(self) -> None:
        """Start a fit; keep what an earlier one has accumulated."""
        self._stepped = False

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches have been accumulated, their gradients, and what these were multiplied by."""
        sums = [self._sums.get(weight) for weight in optimizer_parameters(self.optimizer)]
        return {"batches": self._batches, "gradients": sums if self._batches else [], "scale": self.scale}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._batches = state["batches"]
        pairs = zip(optimizer_parameters(self.optimizer), state["gradients"], strict=False)
        self._sums = {weight: like(weight, gradient) for weight, gradient in pairs if gradient is not None}
        before = state.get("scale", self.scale)
        if before != self.scale:
            self._sums = {weight: gradient * (self.scale / before) for weight, gradient in self._sums.items()}

    def step(self, loss: Tensor) -> None:
        """Backward, and a step of the optimizer."""
        if not loss.requires_grad:
            raise ValueError(
                "the loss has no gradient path to any parameter. Is the output detached (argmax, .data, no_grad), "
                "or is every parameter frozen?"
            )
        if self._check_rate is not None:
            self._check_rate()
        self._bare.zero_grad()  # before, so that no other gradient goes into this step
        if self.needs_closure:
            loss.backward()
            self._refused = self.guard is not None and not self.guard(loss)
            return
        if self.every == 1 and self.scale == 1.0 and not self._batches:
            loss.backward()
            if self.guard is not None and not self.guard(loss):
                return
        elif not self._accumulate(loss * self.scale):
            return
        self._bare.step()
        apply_constraints(self.constraints)
        torch.clear_autocast_cache()  # within `torch.autocast` it holds casts of the weights as they were

    def _accumulate(self, loss: Tensor) -> bool:
        """Backward, and whether a step is due: then the gradients are the means over so many batches."""
        sums = self._sums
        if sums and self.guard is not None:  # a batch that is refused must leave nothing in the sums
            sums = {weight: total.clone() for weight, total in sums.items()}
        for weight, total in sums.items():
            if weight.requires_grad:  # it may have been frozen since
                weight.grad = total.to(weight.device, weight.dtype)
        try:
            loss.backward()
        except BaseException:
            self._batches, self._sums = 0, {}  # a part of this batch may be in them
            raise
        if self.guard is not None and not self.guard(loss):
            self._bare.zero_grad()
            return False
        self._batches += 1
        if self._batches < self.every:
            self._sums = {
                weight: weight.grad for weight in optimizer_parameters(self.optimizer) if weight.grad is not None
            }
            self._bare.zero_grad()
            return False
        self._divide(self.scale * self._batches)  # more than `every` only if that was larger in a resumed training
        self._batches, self._sums, self._stepped = 0, {}, True
        return True

    def _divide(self, by: float) -> None:
        grads = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch._foreach_div_(grads, by)

    def by_closure(self, step: Callable[[Any], Any], batch: Any, again: Callable[[], None]) -> Any:
        """A step of an optimizer that asks for the loss several times; what the first asking returned.

        Args:
            step: computes the loss of `batch` and calls `self.step` on it.
            batch: handed to it.
            again: called before each asking but the first.
        """
        first: list[Any] = []

        def closure() -> Tensor:
            if first:
                again()
            torch.clear_autocast_cache()
            found = step(batch)
            first.append(found)
            if self._refused:
                raise _RefusedError
            loss: Tensor = found["loss"]
            return loss

        self._refused = False
        before = None if self.guard is None else self._snapshot()
        try:
            self.optimizer.step(closure)  # type: ignore[arg-type]  # it takes the tensor as well
        except _RefusedError:
            if before is not None:
                self._go_back(*before)
            return first[0]
        apply_constraints(self.constraints)
        torch.clear_autocast_cache()
        return first[0]

    def _snapshot(self) -> tuple[list[Tensor], dict[Tensor, Any]]:
        """Weights and the optimizer's state: a step that asks several times moves them in between."""
        state = {weight: copy.deepcopy(about) for weight, about in self.optimizer.state.items()}
        return [weight.detach().clone() for weight in optimizer_parameters(self.optimizer)], state

    @torch.no_grad()
    def _go_back(self, held: list[Tensor], state: dict[Tensor, Any]) -> None:
        torch._foreach_copy_(optimizer_parameters(self.optimizer), held)
        self.optimizer.state.clear()
        self.optimizer.state.update(state)

    def finish(self) -> None:
        """End a fit: replace the weights by their moving average, if one is kept.

        Warns:
            UserWarning: gradients are accumulated, and the fit was too short for a single step.
        """
        overwrite_with_average(self.optimizer)
        if self._batches and not self._stepped:
            warn(
                f"this fit made no step of the optimizer: gradient_accumulation_steps={self.every}, and the gradients "
                f"of {self._batches} batches are accumulated. The next fit uses them; else they change no weight."
            )


class _RefusedError(Exception):
    """The guard refused a step that is under way."""
