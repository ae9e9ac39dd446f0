"""UpdateRule: base of the optimizers of torch that kerastorch implements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from kerastorch.core.distributed_tensors import device_mesh
from kerastorch.optimizers.learning_rate import LearningRate
from kerastorch.optimizers.update_rules.list_math import FOREACH, LOOPS, ListMath

Number: TypeAlias = "float | Tensor"


@dataclass
class Bucket:
    """Weights of a parameter group that are updated together: one dtype, one device or mesh, one number of steps.

    Attributes:
        rate: Learning rate.
        step: Number of this step, from 1. It is a tensor while a step is traced.
        math: Arithmetic on lists of tensors.
        weights: The weights.
        gradients: Their gradients.
        states: Their states in the optimizer.
    """

    rate: Number
    step: Number
    math: ListMath
    weights: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)

    def values(self, key: str) -> list[Tensor]:
        """Return an entry of the states, for each weight."""
        return [state[key] for state in self.states]


class UpdateRule(LearningRate, torch.optim.Optimizer):
    """Base of optimizers that update each weight from its gradient and its state.

    A subclass defines `new_state` and `update`. Nothing is read from the device: the number of steps is a tensor in
    the CPU's memory, and all other numbers stay tensors.

    Args:
        params: Parameters, `(name, parameter)` pairs, or dicts of parameter groups.
        settings: Entries of each parameter group, unless the group has its own. They include `"lr"`, and `"foreach"`:
            whether one kernel updates many weights.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._kind = cls

    def __init__(self, params: Iterable[Any], settings: dict[str, Any]) -> None:
        super().__init__(params, settings)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group.

        Raises:
            TypeError: A parameter is complex.
        """
        super().add_param_group(param_group)
        for weight in param_group["params"]:
            if weight.is_complex():
                raise TypeError(
                    f"{type(self).__name__} needs real parameters, got one of {weight.dtype} with the shape "
                    f"{tuple(weight.shape)}. SGD and Adam train complex parameters."
                )

    @abstractmethod
    def new_state(self, weight: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Return the state of a weight before its first step."""

    @abstractmethod
    def update(self, bucket: Bucket, group: dict[str, Any]) -> None:
        """Update weights and their states in place."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make a step with the gradients of the parameters.

        Args:
            closure: Computes the loss and the gradients. Default: the gradients are there.

        Returns:
            What the closure returned.

        Raises:
            TypeError: A gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for bucket in self._divide(group):
                self.update(bucket, group)
        return loss

    def _divide(self, group: dict[str, Any]) -> Iterable[Bucket]:
        """Count a step of each weight with a gradient, and divide these weights into buckets."""
        rate = group["lr"]
        if isinstance(rate, Tensor) and rate.device.type == "cpu" and not torch.compiler.is_compiling():
            rate = float(rate)
        math = FOREACH if group["foreach"] else LOOPS
        buckets: dict[Hashable, Bucket] = {}
        for number, weight in enumerate(group["params"]):
            if weight.grad is None:
                continue
            if weight.grad.is_sparse:
                raise TypeError(
                    f"{type(self).__name__} needs dense gradients, but the weight of shape {tuple(weight.shape)} has a "
                    "sparse one. Make the embedding with sparse=False, or take SGD or Adagrad."
                )
            state, step = self._count(weight, group)
            key = (weight.dtype, weight.device, device_mesh(weight), step) if group["foreach"] else number
            bucket = buckets.setdefault(key, Bucket(rate, step, math))
            bucket.weights.append(weight)
            bucket.gradients.append(weight.grad)
            bucket.states.append(state)
        return buckets.values()

    def _count(self, weight: Tensor, group: dict[str, Any]) -> tuple[dict[str, Any], Number]:
        """Return the state of a weight and the number of its step, from 1."""
        state: dict[str, Any] = self.state[weight]
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state.update(self.new_state(weight, group))
        state["step"] += 1
        return state, state["step"] if torch.compiler.is_compiling() else float(state["step"])


def zeros_like(weight: Tensor) -> Tensor:
    """Return zeros with the shape, dtype and strides of a weight."""
    return torch.zeros_like(weight, memory_format=torch.preserve_format)
