"""Cells: what a compiled step hands to the optimizer, many small weights joined to one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.torch_private import step_pre_hooks
from kerastorch.optimizers.base import Clip, TorchOptimizer
from kerastorch.optimizers.learning_rate import torch_class

SMALL = 2**14  # elements: weights up to this size are joined; copying larger ones costs more than it saves

# the same arithmetic for every element, so that joined weights learn what single ones do
_ELEMENTWISE = {
    getattr(torch.optim, name)
    for name in ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "ASGD", "Rprop")
}


class ParameterBucket:
    """One weight, or several of one group joined end to end, with their optimizer state.

    The state of the optimizer stays what it was for everybody else: its tensors become views of the joined ones.

    Args:
        optimizer: has made the state of `weights`.
        group: the number of their parameter group.
        weights: of one dtype, on one device.

    Attributes:
        rows: state with an element for each element of the weights, by name.
        scalars: state with one number a weight (its count of steps), by name: `(weights,)`.
        constants: state that is no tensor, the same for all.
    """

    def __init__(self, optimizer: TorchOptimizer, group: int, weights: list[nn.Parameter]) -> None:
        self.group, self.weights = group, weights
        self.sizes = [weight.numel() for weight in weights]
        states = [optimizer.state[weight] for weight in weights]
        self.rows: dict[str, Tensor] = {}
        self.scalars: dict[str, Tensor] = {}
        self.constants: dict[str, Any] = {}
        self._views: list[tuple[nn.Parameter, str, Tensor]] = []
        self._optimizer = optimizer
        for key, value in states[0].items():
            if not isinstance(value, Tensor):
                self.constants[key] = value
            elif len(weights) == 1:
                (self.scalars if value.ndim == 0 else self.rows)[key] = value
                self._views.append((weights[0], key, value))
            elif value.ndim == 0:
                self.scalars[key] = torch.stack([state[key] for state in states])
                self._replace(states, key, list(self.scalars[key].unbind()))
            else:
                self.rows[key] = torch.cat([state[key].flatten() for state in states])
                parts = self.rows[key].split(self.sizes)
                self._replace(states, key, [part.view_as(w) for part, w in zip(parts, weights, strict=True)])

    def _replace(self, states: list[dict[str, Any]], key: str, views: list[Tensor]) -> None:
        for weight, state, view in zip(self.weights, states, views, strict=True):
            state[key] = view
            self._views.append((weight, key, view))

    @property
    def current(self) -> bool:
        """Whether the optimizer's state is still this; not after `load_state_dict`, say."""
        state = self._optimizer.state
        return all(weight in state and state[weight].get(key) is view for weight, key, view in self._views)

    @property
    def joined(self) -> bool:
        """Whether there are several weights."""
        return len(self.weights) > 1

    def tensors(self) -> list[Tensor]:
        """The state that a step reads and writes."""
        return [*self.rows.values(), *self.scalars.values()]


def make_buckets(optimizer: TorchOptimizer, learned: Iterable[nn.Parameter]) -> list[ParameterBucket]:
    """The weights that learn, joined where that changes nothing.

    Args:
        optimizer: has made its state.
        learned: the weights that had a gradient; others are left alone, as the optimizer does.
    """
    wanted = {id(weight) for weight in learned}
    joins = torch_class(optimizer) in _ELEMENTWISE and not any(
        isinstance(hook, Clip) and hook.how == "clipnorm" for hook in step_pre_hooks(optimizer).values()
    )
    found: dict[Any, list[nn.Parameter]] = {}
    for number, group in enumerate(optimizer.param_groups):
        for weight in group["params"]:
            if id(weight) not in wanted:
                continue
            key = _key(weight, optimizer.state.get(weight, {})) if joins else None
            found.setdefault((number, id(weight) if key is None else key), []).append(weight)
    return [ParameterBucket(optimizer, number, weights) for (number, _), weights in found.items()]


def _key(weight: nn.Parameter, state: dict[str, Any]) -> Any:
    """Equal for weights that may be joined, `None` for one that stays alone."""
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
