"""TrainableModel: the type of the model that a callback sees, for rooms that are below `Model`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:

    class ModelOptimizer(torch.optim.Optimizer):
        """The type of `model.optimizer`: an optimizer of torch with `learning_rate`, the `'lr'` of all its groups."""

        learning_rate: float
        _opt_called: bool  # torch's learning rate schedulers set and read it

    class TrainableModel(nn.Module):
        """A compiled model while `fit`, `evaluate` or `predict` runs.

        Type checkers know the members listed here, and take every other member that is read as `Any`. What is set must
        be listed, so that a misspelt `stop_training` is an error.

        Attributes:
            stop_training: Whether `fit` stops after the running batch.
            optimizer: The `torch.optim` optimizer; `None` before the model is built.
            optimizers: All optimizers by name; the only one has the name `""`.
            metrics_names: The names of the values that `evaluate` returns.
            train_step: What `fit` does with a batch.
            test_step: What `evaluate` does with a batch.
        """

        stop_training: bool
        optimizer: ModelOptimizer
        optimizers: dict[str, ModelOptimizer]
        metrics_names: list[str]
        train_step: Callable[..., Mapping[str, Any]]
        test_step: Callable[..., Mapping[str, Any]]

        def __getattr__(self, name: str) -> Any: ...
