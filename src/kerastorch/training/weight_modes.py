"""WeightModes: optimizers that train other values of the weights than those to evaluate with (schedule-free)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from kerastorch.core.torch_private import foreach_copy_
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters


class WeightModes:
    """Calls `train()` and `eval()` of an optimizer that has them; for others it does nothing.

    Args:
        optimizer: Holds the weights.
        train: Its method that gives them the values to train; `None` if it has none.
        evaluate: Its method that gives them the values to evaluate with.
    """

    def __init__(
        self, optimizer: TorchOptimizer, train: Callable[[], Any] | None, evaluate: Callable[[], Any] | None
    ) -> None:
        self._optimizer, self._train, self._eval = optimizer, train, evaluate
        self._is_training = False

    @classmethod
    def of(cls, optimizer: TorchOptimizer) -> WeightModes:
        """Return the modes of an optimizer, which has none unless it has both methods."""
        train, evaluate = getattr(optimizer, "train", None), getattr(optimizer, "eval", None)
        return cls(optimizer, train, evaluate) if callable(train) and callable(evaluate) else cls(optimizer, None, None)

    def train(self) -> None:
        """Give the weights the values to train."""
        if self._train is not None:
            self._train()
            self._is_training = True

    def eval(self) -> None:
        """Give the weights the values to evaluate with."""
        if self._eval is not None:
            self._eval()
            self._is_training = False

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Give the weights the values to evaluate with, for a while; afterwards their bits are what they were."""
        if not self._is_training:
            yield
            return
        weights = optimizer_parameters(self._optimizer)
        held = [weight.detach().clone() for weight in weights]
        self.eval()
        try:
            yield
        finally:
            self.train()
            with torch.no_grad():
                foreach_copy_(weights, held)
