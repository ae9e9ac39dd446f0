"""Parameter buckets: small parameters joined, so that the optimizer needs fewer operations."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kerastorch.core.torch_optimizer_private import step_pre_hooks
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.optimizers.learning_rate import torch_class
from kerastorch.optimizers.step_hooks import Clip
from kerastorch.optimizers.update_rules.ftrl import Ftrl
from kerastorch.optimizers.update_rules.lion import Lion
from kerastorch.optimizers.update_rules.schedule_free_adamw import ScheduleFreeAdamW

SMALL = 2**14  # elements of the largest parameters that are joined: copying larger ones costs more than it saves

# these treat every element alike, so joined parameters are updated exactly like single ones
_ELEMENTWISE_OPTIMIZERS = {
    getattr(torch.optim, name)
    for name in ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "ASGD", "Rprop")
} | {Ftrl, Lion, ScheduleFreeAdamW}


def is_elementwise(optimizer: TorchOptimizer) -> bool:
    """Return whether an optimizer updates each element of a weight as if it were a weight of its own."""
    return is_elementwise_class(torch_class(optimizer))


def is_elementwise_class(kind: type) -> bool:
    """Return whether the optimizers of a class update each element as if it were a weight of its own."""
    return kind in _ELEMENTWISE_OPTIMIZERS


class BucketState(NamedTuple):
    """Tensors of the optimizer's state for one bucket, by key.

    Attributes:
        elementwise: One number for each element of the weights: `(elements,)`, or the shape of a single weight.
        per_weight: One number for each weight, such as the step count: `(weights,)`, or `()` for a single weight.
    """

    elementwise: dict[str, Tensor]
    per_weight: dict[str, Tensor]

    def tensors(self) -> list[Tensor]:
        """Return the tensors, in a fixed order."""
        return [*self.elementwise.values(), *self.per_weight.values()]


class ParameterBucket:
    """One parameter, or several of a group joined end to end, with their optimizer state.

    `optimizer.state` keeps its keys and shapes: its tensors become views of the joined ones.

    Args:
        optimizer: Optimizer that has made the state of `weights`.
        group: Index of their parameter group.
        weights: Parameters of one dtype on one device.

    Attributes:
        sizes: Number of elements of each weight.
        state: Tensors of the optimizer's state.
        constants: State that is no tensor, equal for all weights, by key.
    """

    def __init__(self, optimizer: TorchOptimizer, group: int, weights: list[nn.Parameter]) -> None:
        self.group, self.weights = group, weights
        self.sizes = [weight.numel() for weight in weights]
        self.state = BucketState({}, {})
        self.constants: dict[str, Any] = {}
        self._optimizer = optimizer
        self._views: list[tuple[nn.Parameter, str, Tensor]] = []
        states = [optimizer.state[weight] for weight in weights]
        for key, value in states[0].items():
            if not isinstance(value, Tensor):
                self.constants[key] = value
            elif value.ndim == 0:
                self._add_per_weight(key, states)
            else:
                self._add_elementwise(key, states)

    def _add_per_weight(self, key: str, states: list[dict[str, Any]]) -> None:
        tensors = [state[key] for state in states]
        if self.is_joined:
            self.state.per_weight[key] = torch.stack(tensors)  # (weights,)
            self._replace(states, key, list(self.state.per_weight[key].unbind()))
        else:
            self.state.per_weight[key] = tensors[0]
            self._replace(states, key, tensors)

    def _add_elementwise(self, key: str, states: list[dict[str, Any]]) -> None:
        joined = self.join([state[key] for state in states])
        self.state.elementwise[key] = joined
        self._replace(states, key, self.split(joined) if self.is_joined else [joined])

    def _replace(self, states: list[dict[str, Any]], key: str, views: list[Tensor]) -> None:
        """Let the optimizer's state hold views of the joined tensors."""
        for weight, state, view in zip(self.weights, states, views, strict=True):
            state[key] = view
            self._views.append((weight, key, view))

    @property
    def is_valid(self) -> bool:
        """Return whether the optimizer still uses this state.

        `load_state_dict`, for example, replaces it.
        """
        state = self._optimizer.state
        return all(weight in state and state[weight].get(key) is view for weight, key, view in self._views)

    @property
    def is_joined(self) -> bool:
        """Return whether the bucket holds several weights."""
        return len(self.weights) > 1

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return tensors shaped like the weights, end to end: `(elements,)`; a single one as it is."""
        return torch.cat([tensor.flatten() for tensor in tensors]) if self.is_joined else tensors[0]

    def split(self, joined: Tensor) -> list[Tensor]:
        """Return the inverse of `join`: views, shaped like the weights."""
        parts = joined.split(self.sizes) if self.is_joined else [joined]
        return [part.view_as(weight) for part, weight in zip(parts, self.weights, strict=True)]


def make_buckets(optimizer: TorchOptimizer, trained: Iterable[Tensor]) -> list[ParameterBucket]:
    """Distribute parameters to buckets, several in one if that changes no result.

    Args:
        optimizer: Optimizer that has made its state.
        trained: Parameters that have gradients; the others get no bucket.
    """
    trained_ids = {id(weight) for weight in trained}
    can_join = is_elementwise(optimizer) and not any(
        isinstance(hook, Clip) and hook.how == "clipnorm"  # clips the norm of each weight
        for hook in step_pre_hooks(optimizer).values()
    )
    buckets: dict[tuple[int, Hashable], list[nn.Parameter]] = {}
    for index, group in enumerate(optimizer.param_groups):
        for weight in group["params"]:
            if id(weight) in trained_ids:
                key = _joining_key(weight, optimizer.state.get(weight, {})) if can_join else None
                buckets.setdefault((index, id(weight) if key is None else key), []).append(weight)
    return [ParameterBucket(optimizer, index, weights) for (index, _), weights in buckets.items()]


def _joining_key(weight: nn.Parameter, state: dict[str, Any]) -> Hashable:
    """Return a key that is equal for parameters that can be joined; `None` for no joining."""
    if weight.numel() > SMALL or not weight.is_contiguous() or weight.is_complex():
        return None
    parts: list[Any] = []
    for key, value in state.items():
        if not isinstance(value, Tensor):
            parts.append((key, value))
        elif value.ndim == 0:
            parts.append((key, float(value)))
        elif value.shape == weight.shape and value.is_contiguous():
            parts.append((key, value.dtype))
        else:
            return None
    return weight.dtype, weight.device, tuple(parts)
