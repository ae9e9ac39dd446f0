"""Protocol of the trainer for compiled steps; `Trainer` itself is defined above this package."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from torch import nn

from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.own_steps import Steps
from kerastorch.training.step_output import BackwardAndStep, Metrics, StepContext


class TrainerProtocol(Steps, Protocol):
    """What a compiled step needs of the trainer."""

    @property
    def model(self) -> nn.Module:
        """Model with a `train_step`."""

    @property
    def compiled_loss(self) -> CompiledLoss:
        """Losses of all outputs."""

    def using(
        self, metrics: Metrics, backward_and_step: BackwardAndStep | None = None
    ) -> AbstractContextManager[StepContext]:
        """Replace the context while the context manager is active."""

    def notify(self, sentence: str) -> None:
        """Show a sentence about slow work to the user."""
