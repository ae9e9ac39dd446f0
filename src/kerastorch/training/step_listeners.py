"""StepListeners: functions that examine or follow each step of an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from kerastorch.optimizers.step_hooks import TorchOptimizer

Guard = Callable[[Tensor], bool]


class StepListeners:
    """Functions that are called between a backward pass and the step; at first there are none.

    Attributes:
        after_backward: Called without arguments after each backward pass; gradients are still scaled then.
        before_step: Called with the optimizer before each step; gradients are unscaled, and not yet clipped.
    """

    def __init__(self) -> None:
        self._guards: list[Guard] = []
        self.after_backward: list[Callable[[], None]] = []
        self.before_step: list[Callable[[TorchOptimizer], None]] = []

    @property
    def is_guarded(self) -> bool:
        """Return whether a guard decides about each step."""
        return bool(self._guards)

    @property
    def has_functions(self) -> bool:
        """Return whether functions are called that are no guards."""
        return bool(self.after_backward or self.before_step)

    def register_guard(self, guard: Guard) -> Callable[[], None]:
        """Call `guard(loss)` after each backward pass; a step that it returns `False` for is not made.

        Returns:
            A function that removes the guard.
        """
        return _register(self._guards, guard)

    def register_after_backward(self, function: Callable[[], None]) -> Callable[[], None]:
        """Call `function()` after each backward pass.

        Returns:
            A function that removes it.
        """
        return _register(self.after_backward, function)

    def register_before_step(self, function: Callable[[TorchOptimizer], None]) -> Callable[[], None]:
        """Call `function(optimizer)` before each step.

        Returns:
            A function that removes it.
        """
        return _register(self.before_step, function)

    def allow(self, loss: Tensor) -> bool:
        """Return whether all guards allow a step."""
        return not self._guards or all(guard(loss) for guard in self._guards)


def _register(functions: list[Any], function: Any) -> Callable[[], None]:
    functions.append(function)
    return lambda: functions.remove(function)
