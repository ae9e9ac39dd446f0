"""A warning for networks outside of the model that a step trains: their gradients are those of one process alone."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters


class OutsideNetworks:
    """A context in which an optimizer warns if it steps weights whose gradients no one averages over the ranks.

    Args:
        weights: Returns the weights whose gradients are averaged.
    """

    def __init__(self, weights: Callable[[], Iterable[Tensor]]) -> None:
        self._weights = weights
        self._checked: weakref.WeakSet[TorchOptimizer] = weakref.WeakSet()

    def __enter__(self) -> None:
        self._handle = register_optimizer_step_pre_hook(self._check)

    def __exit__(self, *error: Any) -> None:
        self._handle.remove()

    def _check(self, optimizer: TorchOptimizer, *_: Any) -> None:
        if optimizer in self._checked:
            return
        self._checked.add(optimizer)
        averaged = {id(weight) for weight in self._weights()}
        outside = [
            weight
            for weight in optimizer_parameters(optimizer)
            if weight.grad is not None and id(weight) not in averaged and not is_distributed_tensor(weight)
        ]
        if outside:
            warnings.warn(
                f"{type(optimizer).__name__} steps {len(outside)} weights that are not of the model, the first of "
                f"shape {tuple(outside[0].shape)}. Each process does so with the gradients of its own rows, and the "
                "weights become different ones. Make the network an attribute of the model (self.critic = ...), or "
                "wrap it in torch.nn.parallel.DistributedDataParallel; in the latter case ignore this warning.",
                stacklevel=2,
            )
