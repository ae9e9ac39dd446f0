"""Protocol of the trainer for compiled steps; `Trainer` itself is defined above this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import nn

from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.step_output import BackwardAndStep, Metrics, StepContext


class TrainerProtocol(Protocol):
    """What a compiled step needs of the trainer."""

    @property
    def model(self) -> nn.Module:
        """Model with a `train_step`."""

    @property
    def compiled_loss(self) -> CompiledLoss:
        """Losses of all outputs."""

    @property
    def context(self) -> StepContext:
        """Metrics, and the function that makes an optimizer step, of the running pass."""

    @property
    def metrics(self) -> Mapping[str, Sequence[Any]]:
        """The metrics of `compile` by output."""

    @property
    def compile_args(self) -> Mapping[str, Any]:
        """The arguments of `compile`."""

    def using(
        self, metrics: Metrics, backward_and_step: BackwardAndStep | None = None
    ) -> AbstractContextManager[StepContext]:
        """Replace the context while the context manager is active."""

    def notify(self, sentence: str) -> None:
        """Show a sentence about slow work to the user."""
