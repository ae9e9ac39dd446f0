"""An optimizer's `step` and `zero_grad` without the overhead that torch adds, when no hook or profiler needs it."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

from kerastorch.core.torch_optimizer_private import is_profiler_enabled, step_wrapper_is_idle
from kerastorch.optimizers.base import TorchOptimizer

# code of the function that torch wraps around the `step` of each class: a class that was wrapped again has another code
_WRAPPER = TorchOptimizer.profile_hook_step(lambda optimizer: None).__code__
_ZERO_GRAD = TorchOptimizer.zero_grad


class UnwrappedStep:
    """Steps one optimizer, with the results of `optimizer.step()` and `optimizer.zero_grad()`.

    torch's wrapper annotates each call for a profiler and runs step hooks, which takes a tenth of a small model's step.
    It is left out if there is no hook and no profiler. That is checked at each step, because a callback may add a hook,
    and a learning-rate scheduler replaces `step` on the instance.

    Args:
        optimizer: An optimizer of `torch.optim`, or a subclass.
    """

    def __init__(self, optimizer: TorchOptimizer) -> None:
        self._optimizer = optimizer
        self._wrapped: Any = type(optimizer).step
        inside = getattr(self._wrapped, "__wrapped__", None)
        self._inside: Callable[[], Any] | None = None
        if inside is not None and getattr(self._wrapped, "__code__", None) is _WRAPPER:
            self._inside = MethodType(inside, optimizer)

    @property
    def step(self) -> Callable[[], Any]:
        """Function that makes a step now."""
        optimizer = self._optimizer
        if (
            self._inside is None
            or not step_wrapper_is_idle(optimizer)
            or "step" in vars(optimizer)
            or type(optimizer).step is not self._wrapped
        ):
            return optimizer.step
        return self._inside

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to `None`."""
        optimizer = self._optimizer
        if is_profiler_enabled() or "zero_grad" in vars(optimizer) or type(optimizer).zero_grad is not _ZERO_GRAD:
            optimizer.zero_grad()
            return
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = None
