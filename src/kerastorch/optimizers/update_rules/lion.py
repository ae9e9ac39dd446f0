"""The rule of Lion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from kerastorch.optimizers.update_rules.base import Bucket, UpdateRule, zeros_like


class Lion(UpdateRule):
    """The optimizer of torch that `kerastorch.optimizers.Lion` makes.

    Args:
        params: Parameters, `(name, parameter)` pairs, or dicts of parameter groups.
        lr: Learning rate.
        betas: Weight of the average in the direction, and momentum of the average.
        foreach: Whether one kernel updates many weights.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        *,
        foreach: bool | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "foreach": foreach})

    def new_state(self, weight: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Return an average of zeros."""
        return {"exp_avg": zeros_like(weight)}

    def update(self, bucket: Bucket, group: dict[str, Any]) -> None:
        """Step along the sign of a mean of average and gradient, then update the average."""
        beta_1, beta_2 = group["betas"]
        math, averages = bucket.math, bucket.values("exp_avg")
        steps = math.lerp(averages, bucket.gradients, 1 - beta_1)
        math.sign_(steps)
        math.mul_(steps, bucket.rate)
        math.sub_(bucket.weights, steps)
        math.lerp_(averages, bucket.gradients, 1 - beta_2)
