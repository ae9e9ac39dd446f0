"""GradientAccumulation: gradients of several batches, summed before a step of the optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kerastorch.checkpoint.optimizer_state import copy_like
from kerastorch.core.errors import warn
from kerastorch.core.torch_private import foreach_div_
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.optimizers.step_hooks import optimizer_parameters


class GradientAccumulation:
    """Sums of gradients, kept apart from `.grad`, where other code may leave its own.

    Args:
        optimizer: Holds the weights.
        steps: Number of batches for a step of the optimizer.
        loss_scale: Factor of the loss in the backward pass, by which the gradients are divided.
    """

    def __init__(self, optimizer: TorchOptimizer, steps: int = 1, loss_scale: float = 1.0) -> None:
        self.steps, self.loss_scale = steps, loss_scale
        self._optimizer = optimizer
        self._batches = 0  # summed since the last step
        self._sums: dict[Tensor, Tensor] = {}
        self._has_stepped = False  # in the running fit

    @property
    def is_idle(self) -> bool:
        """Return whether each batch is a step, and its loss is not scaled."""
        return self.steps == 1 and self.loss_scale == 1.0 and not self._batches

    @property
    def is_due(self) -> bool:
        """Return whether the next batch completes a step."""
        return self._batches + 1 >= self.steps

    def load(self, *, copies: bool) -> None:
        """Write the sums to `.grad`, to which the next backward pass adds.

        Args:
            copies: Write copies, so that the sums stay as they are if the next batch is rejected.
        """
        for weight, total in self._sums.items():
            if weight.requires_grad:  # it may have been frozen since
                weight.grad = (total.clone() if copies else total).to(weight.device, weight.dtype)

    def store(self) -> None:
        """Count a batch, and take its gradients as the new sums."""
        self._batches += 1
        self._sums = {
            weight: weight.grad for weight in optimizer_parameters(self._optimizer) if weight.grad is not None
        }

    def unscale(self) -> None:
        """Divide `.grad` by the loss scale and the number of batches in it."""
        gradients = [weight.grad for weight in optimizer_parameters(self._optimizer) if weight.grad is not None]
        foreach_div_(gradients, self.loss_scale * (self._batches + 1))

    def reset(self) -> None:
        """Forget the sums."""
        self._batches, self._sums = 0, {}

    def complete(self) -> None:
        """Forget the sums, with which the optimizer steps."""
        self.reset()
        self._has_stepped = True

    def begin_fit(self) -> None:
        """Prepare for a fit. What an earlier one has summed stays, as in Keras."""
        self._has_stepped = False

    def end_fit(self) -> None:
        """Warn if a fit was too short for a single step.

        Warns:
            UserWarning: The number of summed batches, and `gradient_accumulation_steps`.
        """
        if self._batches and not self._has_stepped:
            warn(
                f"this fit made no step of the optimizer: gradient_accumulation_steps={self.steps}, and the gradients "
                f"of {self._batches} batches are accumulated. The next fit uses them; else they change no weight."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the number of summed batches, the sums by weight, and their scale."""
        sums = [self._sums.get(weight) for weight in optimizer_parameters(self._optimizer)]
        return {"batches": self._batches, "gradients": sums if self._batches else [], "scale": self.loss_scale}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; sums of another loss scale are converted."""
        self._batches = state["batches"]
        pairs = zip(optimizer_parameters(self._optimizer), state["gradients"], strict=False)
        self._sums = {weight: copy_like(weight, gradient) for weight, gradient in pairs if gradient is not None}
        before = state.get("scale", self.loss_scale)
        if before != self.loss_scale:
            self._sums = {weight: gradient * (self.loss_scale / before) for weight, gradient in self._sums.items()}
