"""Optimizers whose `step` computes the loss itself, by a closure: found by their signature, or by a trial."""

from __future__ import annotations

import copy
import inspect
from collections import defaultdict

import torch

from kerastorch.core.ownership import is_from, is_own
from kerastorch.core.torch_private import foreach_copy_
from kerastorch.optimizers.scheduled_rate import set_step_count, step_count
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters


def requires_closure(optimizer: TorchOptimizer) -> bool:
    """Return whether `optimizer.step` cannot be called without a closure, by its signature."""
    parameters = _step_parameters(optimizer)
    return (
        bool(parameters)
        and parameters[0].default is inspect.Parameter.empty
        and parameters[0].kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    )


def demands_closure(optimizer: TorchOptimizer) -> bool:
    """Return whether `optimizer.step()` raises an error because it has no closure, though its signature allows that.

    So does sharpness-aware minimization (SAM): it steps from gradients that are there, and computes others in the
    closure. It is tried on a copy of the optimizer without weights.
    """
    if is_from(optimizer, "torch.optim") or is_own(optimizer):
        return False
    if not any(parameter.name == "closure" for parameter in _step_parameters(optimizer)):
        return False
    empty = object.__new__(type(optimizer))
    vars(empty).update(vars(optimizer))
    empty.param_groups = [{**group, "params": []} for group in optimizer.param_groups]
    empty.state = defaultdict(dict)
    weights = optimizer_parameters(optimizer)
    gradients = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None  # an optimizer within this one finds nothing to do
    try:
        inspect.unwrap(type(optimizer).step)(empty)
    except Exception as error:
        is_call_of_none = isinstance(error, TypeError) and "'NoneType' object is not callable" in str(error)
        about_closure = "closure" in f"{type(error).__name__} {error}".lower()
        return isinstance(error, AssertionError) or is_call_of_none or about_closure
    finally:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
    return False


def _step_parameters(optimizer: TorchOptimizer) -> list[inspect.Parameter]:
    """Return the parameters of `optimizer.step` without `self`."""
    step = optimizer.step
    try:
        parameters = list(inspect.signature(step).parameters.values())
    except (TypeError, ValueError):
        return []
    if inspect.isfunction(step) and inspect.unwrap(step) is inspect.unwrap(type(optimizer).step):
        parameters = parameters[1:]  # a schedule of torch wraps `step` on the instance: it shows `self`, which is bound
    return parameters


class StepSnapshot:
    """A copy of weights and optimizer state, which change between the evaluations of a step, and of the step count.

    Args:
        optimizer: Holds the weights.
    """

    def __init__(self, optimizer: TorchOptimizer) -> None:
        self._optimizer = optimizer
        self._weights = [weight.detach().clone() for weight in optimizer_parameters(optimizer)]
        self._state = {weight: copy.deepcopy(about) for weight, about in optimizer.state.items()}
        self._count = step_count(optimizer)

    @torch.no_grad()
    def restore(self) -> None:
        """Put back what was copied."""
        foreach_copy_(optimizer_parameters(self._optimizer), self._weights)
        self._optimizer.state.clear()
        self._optimizer.state.update(self._state)
        set_step_count(self._optimizer, self._count)
