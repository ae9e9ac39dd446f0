"""Step hooks of optimizers: clipping, weight decay, moving average; and helpers for all weights of an optimizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.distributed_tensors import full_tensor, group_by_mesh, has_one_mesh
from kerastorch.core.torch_private import foreach_mul_, foreach_norm

TorchOptimizer = torch.optim.Optimizer


def _gradients(optimizer: TorchOptimizer) -> list[Tensor]:
    return [weight.grad for weight in optimizer_parameters(optimizer) if weight.grad is not None]


def optimizer_parameters(optimizer: TorchOptimizer) -> list[Tensor]:
    """Return the parameters of all groups of an optimizer, in their order."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


class Clip:
    """Hook before a step that clips the gradients, as in Keras.

    Args:
        how: `'clipnorm'`, `'clipvalue'` or `'global_clipnorm'`.
        limit: The largest norm or absolute value.
    """

    def __init__(self, how: str, limit: float) -> None:
        self.how, self.limit = how, limit

    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        if not _gradients(optimizer):
            return
        if self.how == "clipvalue":
            for weights in group_by_mesh(optimizer_parameters(optimizer)):
                nn.utils.clip_grad_value_(weights, self.limit)
        elif self.how == "global_clipnorm":
            _clip_global_norm(optimizer_parameters(optimizer), self.limit)
        else:
            gradients = _gradients(optimizer)
            norms = foreach_norm(gradients)
            foreach_mul_(gradients, [self.limit / norm.clamp(min=self.limit) for norm in norms])


def _clip_global_norm(weights: list[Tensor], limit: float) -> None:
    """Scale all gradients so that their common norm is at most `limit`."""
    if has_one_mesh(weights):
        nn.utils.clip_grad_norm_(weights, limit)
        return
    groups = [[weight for weight in group if weight.grad is not None] for group in group_by_mesh(weights)]
    norms = [full_tensor(nn.utils.get_total_norm([weight.grad for weight in group])) for group in groups if group]  # type: ignore[misc]
    total = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]))
    for group in groups:
        nn.utils.clip_grads_with_norm_(group, limit, total)


class Decay:
    """Hook before a step that applies decoupled weight decay to weights with a gradient.

    Args:
        rate: A weight is multiplied by `1 - learning_rate * rate`, unless its group has another rate, `'decay_rate'`.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    @torch.no_grad()
    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        for group in optimizer.param_groups:
            rate = group.get("decay_rate", self.rate)
            updated = [weight for weight in group["params"] if weight.grad is not None]
            if rate and updated:
                foreach_mul_(updated, 1 - group["lr"] * rate)


class Average:
    """Hook after a step that updates an exponential moving average of the weights.

    The average is the entry `'ema'` of the optimizer's state; the number of steps is `'ema_steps'` of its first group.

    Args:
        momentum: The average becomes `momentum * average + (1 - momentum) * weight`.
        every: Number of steps after which the average replaces the weights; `None` for never.
    """

    def __init__(self, momentum: float, every: int | None) -> None:
        self.momentum, self.every = momentum, every

    @torch.no_grad()
    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        first = optimizer.param_groups[0]
        first["ema_steps"] = steps = first.get("ema_steps", 0) + 1  # in a group, so that it is in the state_dict
        for weight in optimizer_parameters(optimizer):
            state = optimizer.state.get(weight, {})
            if not state and weight.grad is None:
                continue  # the weight has not been updated; torch makes its state at its first step
            state = optimizer.state[weight]
            if "ema" not in state:
                state["ema"] = weight.detach().clone()
            else:
                state["ema"].lerp_(weight, 1 - self.momentum)
            if self.every and steps % self.every == 0:
                weight.copy_(state["ema"])


@torch.no_grad()
def overwrite_with_average(optimizer: TorchOptimizer) -> None:
    """Replace each weight by its moving average, if it has one."""
    for weight, state in optimizer.state.items():
        if "ema" in state:
            weight.copy_(state["ema"])


def unfuse_partly_trained_groups(optimizer: TorchOptimizer) -> None:
    """Turn the fused kernel off for groups in which only some weights have a momentum buffer.

    This happens if weights are unfrozen after a step; the fused kernel of SGD fails on such a group.
    """
    for group in optimizer.param_groups:
        if group.get("fused") and group.get("momentum"):
            states = [optimizer.state.get(weight, {}) for weight in group["params"] if weight.requires_grad]
            if len({state.get("momentum_buffer") is not None for state in states}) == 2:
                group["fused"] = False
