"""evaluation_weights: the values to evaluate a model with, where an optimizer trains others."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from torch import nn


class _WeightsOwner(Protocol):
    """The trainer of a compiled model."""

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """Give the weights the values to evaluate with, for a while."""


def evaluation_weights(model: nn.Module) -> AbstractContextManager[None]:
    """Give the weights of a model, compiled or not, the values to evaluate with, for a while."""
    trainer: _WeightsOwner | None = vars(model).get("_trainer")
    return nullcontext() if trainer is None else trainer.evaluation_weights()
