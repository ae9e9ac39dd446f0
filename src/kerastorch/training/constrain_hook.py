"""ConstrainHook: constraints of weights within the step of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kerastorch.constraints import ConstrainedWeight, apply_constraints
from kerastorch.core.torch_optimizer_private import step_post_hooks
from kerastorch.optimizers.step_hooks import TorchOptimizer


class ConstrainHook:
    """Step hook that applies constraints before a moving average is updated.

    Args:
        constraints: Returns the weights with their constraints.
    """

    def __init__(self, constraints: Callable[[], Iterable[ConstrainedWeight]]) -> None:
        self._constraints = constraints
        self._handle: Any = None

    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        apply_constraints(self._constraints())

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
