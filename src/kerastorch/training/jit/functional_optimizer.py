"""The optimizer's own step on traced tensors, by a shallow copy of the optimizer."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.torch_optimizer_private import step_pre_hooks
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.optimizers.scheduled_rate import ScheduledRate
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.parameter_buckets import BucketState, ParameterBucket
from kerastorch.training.optimizer_step import OptimizerStep

# torch's implementation with one tensor after the other and all arithmetic on tensors, which can be traced
_TRACEABLE_OPTIONS = {"foreach": False, "fused": None, "capturable": True}


def functional_optimizer_step(
    optimizer_step: OptimizerStep,
    buckets: Sequence[ParameterBucket],
    weights: Sequence[Sequence[Tensor]],
    states: Sequence[BucketState],
    learning_rates: Sequence[Tensor],
    loss: Tensor,
) -> None:
    """Compute the gradients of a loss and make an optimizer step, in place on traced tensors.

    Args:
        optimizer_step: Holds the optimizer and the loss scale.
        buckets: Distribution of the parameters.
        weights: For each bucket, the traced values of its parameters: leaves of autograd, which get the new values.
        states: For each bucket, the traced optimizer state, which gets the new values.
        learning_rates: Traced learning rate of each parameter group.
        loss: Scalar to minimize.

    Raises:
        UntraceableError: A parameter has no gradient, or the optimizer changes state that is no tensor.
    """
    gradients = _gradients(loss, weights, optimizer_step.accumulation.loss_scale)
    joined_weights, joined_states = [], []
    for bucket, values, grads, state in zip(buckets, weights, gradients, states, strict=True):
        with torch.no_grad():
            weight = bucket.join(values) if bucket.is_joined else values[0].detach().clone()
            weight.grad = _unscaled(bucket.join(grads), optimizer_step.accumulation.loss_scale)
        # float64, because an optimizer's `1 - beta**step` loses digits in float32; joined weights have equal counts
        per_weight = {k: (v[0] if bucket.is_joined else v).double() for k, v in state.per_weight.items()}
        joined_weights.append(weight)
        joined_states.append({**bucket.constants, **state.elementwise, **per_weight})
    _run_step(optimizer_step.optimizer, buckets, joined_weights, joined_states, learning_rates)
    with torch.no_grad():
        for bucket, values, state, new_weight, new_state in zip(
            buckets, weights, states, joined_weights, joined_states, strict=True
        ):
            for value, new_value in zip(values, bucket.split(new_weight), strict=True):
                value.copy_(new_value)
            for key, number in state.per_weight.items():
                number.copy_(new_state[key].expand_as(number))


def _gradients(loss: Tensor, weights: Sequence[Sequence[Tensor]], loss_scale: float) -> list[list[Tensor]]:
    """Return the gradients of the scaled loss, in the structure of `weights`."""
    flat = [value for values in weights for value in values]
    scaled = loss if loss_scale == 1.0 else loss * loss_scale
    gradients = iter(torch.autograd.grad(scaled, flat, allow_unused=True))
    nested = [[next(gradients) for _ in values] for values in weights]
    if any(gradient is None for bucket_gradients in nested for gradient in bucket_gradients):
        raise UntraceableError("a weight that had a gradient in the first step has none now")
    return nested


def _unscaled(gradient: Tensor, loss_scale: float) -> Tensor:
    return gradient if loss_scale == 1.0 else gradient / loss_scale


def _run_step(
    optimizer: TorchOptimizer,
    buckets: Sequence[ParameterBucket],
    weights: Sequence[Tensor],
    states: Sequence[dict[str, Any]],
    learning_rates: Sequence[Tensor],
) -> None:
    """Run `optimizer.step` of a copy of the optimizer that holds other weights and their state.

    Args:
        optimizer: The optimizer to copy; it stays unchanged.
        buckets: Distribution of the parameters.
        weights: For each bucket, the joined parameters with their `grad`; they get the new values.
        states: For each bucket, the state by key; it gets the new values.
        learning_rates: Learning rate of each parameter group.
    """
    copied = object.__new__(type(optimizer))
    copied.__dict__.update(optimizer.__dict__)
    copied.param_groups = [
        {
            **group,
            "lr": learning_rate,
            "params": [weight for bucket, weight in zip(buckets, weights, strict=True) if bucket.group == index],
            **{key: value for key, value in _TRACEABLE_OPTIONS.items() if key in group},
        }
        for index, (group, learning_rate) in enumerate(zip(optimizer.param_groups, learning_rates, strict=True))
    ]
    copied.state = defaultdict(dict, zip(weights, states, strict=True))
    states_before = [dict(state) for state in states]
    with torch.no_grad():
        for hook in step_pre_hooks(optimizer).values():
            if not isinstance(hook, ScheduledRate):  # it runs before the graph, whose inputs are the rates
                hook(copied, (), {})
        inspect.unwrap(type(optimizer).step)(copied)
    for state, before in zip(states, states_before, strict=True):
        if state.keys() != before.keys() or any(
            not isinstance(value, Tensor) and state[key] != value for key, value in before.items()
        ):
            raise UntraceableError(f"{type(optimizer).__name__} has state that changes and is no tensor")
