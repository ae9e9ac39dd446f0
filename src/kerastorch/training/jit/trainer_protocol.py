"""Protocol of the trainer for compiled steps; `Trainer` itself is defined above this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

from torch import nn

from kerastorch.data.batches import Batch
from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.step_output import BackwardAndStep, Metrics, StepContext

TrainStep = Callable[[Batch], Mapping[str, Any]]


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

    def using(
        self, metrics: Metrics, backward_and_step: BackwardAndStep | None = None
    ) -> AbstractContextManager[StepContext]:
        """Replace the context while the context manager is active."""

    def notify(self, sentence: str) -> None:
        """Show a sentence about slow work to the user."""


def train_step_of(model: nn.Module) -> TrainStep:
    """Return the model's `train_step`, which the type `nn.Module` does not declare."""
    return cast(TrainStep, model.train_step)
