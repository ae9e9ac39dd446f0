"""An optimizer's `step` and `zero_grad` without the overhead that torch adds, when no hook or profiler needs it."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

from kerastorch.core.torch_optimizer_private import (
    has_step_hooks,
    is_profiler_enabled,
    step_post_hooks,
    step_pre_hooks,
    step_wrapper_has_work,
    unwrapped_step,
)
from kerastorch.optimizers.base import TorchOptimizer

_ZERO_GRAD = TorchOptimizer.zero_grad


class UnwrappedStep:
    """Steps one optimizer, with the results of `optimizer.step()` and `optimizer.zero_grad()`.

    torch's wrapper annotates each call for a profiler, and marks it for torch's compiler, which it imports for that: a
    tenth of a small model's step, and one to two seconds of the first. It is left out if no profiler runs. Hooks of the
    optimizer are called here, with the arguments that torch gives them. All is checked at each step, because a callback
    may add a hook, and a learning-rate scheduler replaces `step` on the instance.

    Args:
        optimizer: An optimizer of `torch.optim`, or a subclass.
    """

    def __init__(self, optimizer: TorchOptimizer) -> None:
        self._optimizer = optimizer
        self._wrapped: Any = type(optimizer).step
        function = unwrapped_step(type(optimizer))
        self._inside = None if function is None else MethodType(function, optimizer)

    @property
    def step(self) -> Callable[[], Any]:
        """Function that makes a step now."""
        optimizer = self._optimizer
        if (
            self._inside is None
            or step_wrapper_has_work()
            or "step" in vars(optimizer)
            or type(optimizer).step is not self._wrapped
        ):
            return optimizer.step
        return self._step_with_hooks if has_step_hooks(optimizer) else self._inside

    def _step_with_hooks(self) -> Any:
        optimizer = self._optimizer
        args: tuple[Any, ...] = (optimizer,)
        kwargs: dict[str, Any] = {}
        for hook in [*step_pre_hooks(optimizer).values()]:
            changed = hook(optimizer, args, kwargs)
            if changed is not None:
                args, kwargs = changed
        result = self._inside.__func__(*args, **kwargs)  # type: ignore[union-attr]
        for hook in [*step_post_hooks(optimizer).values()]:
            hook(optimizer, args, kwargs)
        return result

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to `None`."""
        optimizer = self._optimizer
        if is_profiler_enabled() or "zero_grad" in vars(optimizer) or type(optimizer).zero_grad is not _ZERO_GRAD:
            optimizer.zero_grad()
            return
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = None
