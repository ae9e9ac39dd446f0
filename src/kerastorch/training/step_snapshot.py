"""StepSnapshot: what a step of an optimizer changes, to undo a step that a guard rejects while its closure runs."""

from __future__ import annotations

import copy

import torch

from kerastorch.core.torch_private import foreach_copy_
from kerastorch.optimizers.scheduled_rate import set_step_count, step_count
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters


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
