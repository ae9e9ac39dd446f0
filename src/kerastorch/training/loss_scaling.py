"""Loss scaling for gradients in float16: none by default, or by torch's `GradScaler`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kerastorch.optimizers.step_hooks import TorchOptimizer


class NoLossScaling:
    """Leave losses and gradients as they are; the base of `DynamicLossScaling`."""

    is_dynamic = False

    def scale(self, loss: Tensor) -> Tensor:
        """Return the loss whose gradients are computed."""
        return loss

    def unscale(self, optimizer: TorchOptimizer) -> None:
        """Divide the gradients of an optimizer by the scale."""

    def stepper(self, optimizer: TorchOptimizer, step: Callable[[], Any]) -> Callable[[], Any]:
        """Return what makes a step of an optimizer.

        Args:
            optimizer: Its gradients were unscaled.
            step: Makes the step without scaling.
        """
        return step

    def update(self) -> None:
        """Adapt the scale, after the steps of a batch."""

    def state_dict(self) -> dict[str, Any]:
        """Return the scale and what it is adapted by."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""


class DynamicLossScaling(NoLossScaling):
    """Scale losses by a factor that grows while gradients are finite, and shrinks when they are not.

    A step with gradients that are not finite is left out.

    Args:
        scaler: torch's scaler.
    """

    is_dynamic = True

    def __init__(self, scaler: torch.amp.GradScaler) -> None:
        self.scaler = scaler
        self._is_unscaled = False  # since the last update

    def scale(self, loss: Tensor) -> Tensor:
        return self.scaler.scale(loss)

    def unscale(self, optimizer: TorchOptimizer) -> None:
        self.scaler.unscale_(optimizer)
        self._is_unscaled = True

    def stepper(self, optimizer: TorchOptimizer, step: Callable[[], Any]) -> Callable[[], Any]:
        return partial(self.scaler.step, optimizer)

    def update(self) -> None:
        if self._is_unscaled:
            self.scaler.update()
            self._is_unscaled = False

    def state_dict(self) -> dict[str, Any]:
        return self.scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state:
            self.scaler.load_state_dict(dict(state))


UNSCALED = NoLossScaling()
