"""The optimizer's own step, on the tensors of a recording."""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.torch_private import step_pre_hooks
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.parameter_buckets import ParameterBucket
from kerastorch.training.optimizer_step import OptimizerStep

State = tuple[dict[str, Tensor], dict[str, Tensor]]  # of a cell: what `rows` and `scalars` are in the recording


def functional_optimizer_step(
    update: OptimizerStep,
    cells: list[ParameterBucket],
    leaves_of: list[list[Tensor]],
    states: list[State],
    lr: list[Tensor],
    loss: Tensor,
) -> None:
    """Backward, and the optimizer's own step on the cells; the leaves get the new values."""
    scale = update.accumulation.loss_scale
    flat = [leaf for some in leaves_of for leaf in some]
    gradients = iter(
        torch.autograd.grad(
            loss * scale if scale != 1.0 else loss,
            flat,
            allow_unused=True,
        )
    )
    held = []
    for cell, some, (rows, scalars) in zip(cells, leaves_of, states, strict=True):
        grads = [next(gradients) for _ in some]
        if any(gradient is None for gradient in grads):
            raise UntraceableError("a weight that had a gradient in the first step has none now")
        with torch.no_grad():
            weight = torch.cat([leaf.flatten() for leaf in some]) if cell.joined else some[0].detach().clone()
            weight.grad = torch.cat([g.flatten() for g in grads]) if cell.joined else grads[0]
            if scale != 1.0:
                weight.grad = weight.grad / scale
        # counted in float64: what optimizers make of it, 1 - beta**step, loses digits in float32
        first = {key: (value[0] if cell.joined else value).double() for key, value in scalars.items()}
        held.append((weight, {**cell.constants, **rows, **first}))
    _step(update.optimizer, cells, held, lr)
    with torch.no_grad():
        for cell, some, (weight, state), (_, scalars) in zip(cells, leaves_of, held, states, strict=True):
            parts = weight.split(cell.sizes) if cell.joined else [weight]
            for leaf, part in zip(some, parts, strict=True):
                leaf.copy_(part.view_as(leaf))
            for key, value in scalars.items():
                value.copy_(state[key].expand_as(value))


def _step(
    optimizer: TorchOptimizer, cells: list[ParameterBucket], held: list[tuple[Tensor, dict[str, Any]]], lr: list[Tensor]
) -> None:
    """`optimizer.step` of a copy that holds the given weights with the given state."""
    shadow = object.__new__(type(optimizer))
    shadow.__dict__.update(optimizer.__dict__)
    shadow.param_groups = [
        {
            **group,
            "lr": rate,
            "params": [weight for cell, (weight, _) in zip(cells, held, strict=True) if cell.group == number],
            **{key: value for key, value in _PLAIN.items() if key in group},
        }
        for number, (group, rate) in enumerate(zip(optimizer.param_groups, lr, strict=True))
    ]
    shadow.state = defaultdict(dict, dict(held))
    before = {id(weight): dict(state) for weight, state in held}
    with torch.no_grad():
        for hook in step_pre_hooks(optimizer).values():
            hook(shadow, (), {})
        inspect.unwrap(type(optimizer).step)(shadow)
    for weight, state in held:
        old = before[id(weight)]
        if state.keys() != old.keys() or any(not isinstance(v, Tensor) and state[key] != v for key, v in old.items()):
            raise UntraceableError(f"{type(optimizer).__name__} has state that changes and is no tensor")


# one tensor after the other, with all arithmetic on tensors
_PLAIN = {"foreach": False, "fused": None, "capturable": True}
