"""The rule of LAMB."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from kerastorch.optimizers.update_rules.base import Bucket, UpdateRule, zeros_like


class Lamb(UpdateRule):
    """The optimizer of torch that `kerastorch.optimizers.Lamb` makes.

    Args:
        params: Parameters, `(name, parameter)` pairs, or dicts of parameter groups.
        lr: Learning rate.
        betas: Momenta of the averages of the gradients and of their squares.
        eps: Added to the root.
        foreach: Whether one kernel updates many weights.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        *,
        foreach: bool | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "foreach": foreach})

    def new_state(self, weight: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Return averages of zeros."""
        return {"exp_avg": zeros_like(weight), "exp_avg_sq": zeros_like(weight)}

    def update(self, bucket: Bucket, group: dict[str, Any]) -> None:
        """Make the step of Adam, with the length of the learning rate times the norm of the weight."""
        beta_1, beta_2 = group["betas"]
        math, averages, squares = bucket.math, bucket.values("exp_avg"), bucket.values("exp_avg_sq")
        math.lerp_(averages, bucket.gradients, 1 - beta_1)
        math.lerp_(squares, math.mul(bucket.gradients, bucket.gradients), 1 - beta_2)
        denominators = math.div(squares, 1 - beta_2**bucket.step)
        denominators = math.sqrt(denominators)
        math.add_(denominators, group["eps"])
        steps = math.div(averages, 1 - beta_1**bucket.step)
        math.div_(steps, denominators)
        ratios = [
            _ratio(weight_norm, step_norm).to(step.dtype) * bucket.rate
            for weight_norm, step_norm, step in zip(
                _norms(bucket, bucket.weights), _norms(bucket, steps), steps, strict=True
            )
        ]
        math.mul_(steps, ratios)
        math.sub_(bucket.weights, steps)


def _norms(bucket: Bucket, tensors: list[Tensor]) -> list[Tensor]:
    """Return the norm of each tensor, in float32 at least: the norm of many float16 numbers may be too large."""
    dtype = torch.promote_types(tensors[0].dtype, torch.float32)
    return list(bucket.math.norms(tensors, 2, dtype=dtype))


def _ratio(weight_norm: Tensor, step_norm: Tensor) -> Tensor:
    """Return the quotient of two norms, or 1 if one of them is 0."""
    is_defined = (weight_norm > 0) & (step_norm > 0)
    return torch.where(is_defined, weight_norm / step_norm, torch.ones_like(weight_norm))
