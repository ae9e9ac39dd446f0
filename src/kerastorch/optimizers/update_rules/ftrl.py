"""The rule of FTRL-Proximal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from kerastorch.optimizers.update_rules.base import Bucket, UpdateRule, zeros_like


class Ftrl(UpdateRule):
    """The optimizer of torch that `kerastorch.optimizers.Ftrl` makes.

    Args:
        params: Parameters, `(name, parameter)` pairs, or dicts of parameter groups.
        lr: Learning rate.
        lr_power: Power of the sums of squared gradients that divides the learning rate, negated.
        initial_accumulator_value: Value that these sums start with.
        l1: Strength of the L1 regularization.
        l2: Strength of the L2 regularization.
        l2_shrinkage: Strength of the L2 penalty whose gradient is added to the gradient.
        beta: Added to the power of the sums.
        foreach: Whether one kernel updates many weights.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        lr_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1: float = 0.0,
        l2: float = 0.0,
        l2_shrinkage: float = 0.0,
        beta: float = 0.0,
        *,
        foreach: bool | None = None,
    ) -> None:
        settings = {
            "lr": lr, "lr_power": lr_power, "initial_accumulator_value": initial_accumulator_value,
            "l1": l1, "l2": l2, "l2_shrinkage": l2_shrinkage, "beta": beta, "foreach": foreach,
        }  # fmt: skip
        super().__init__(params, settings)

    def new_state(self, weight: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Return sums of squared gradients, and linear terms of zeros."""
        sums = zeros_like(weight).fill_(group["initial_accumulator_value"])
        return {"accumulator": sums, "linear": zeros_like(weight)}

    def update(self, bucket: Bucket, group: dict[str, Any]) -> None:
        """Add the gradients to the linear terms, and compute the weights that minimize the regularized sum."""
        if not isinstance(bucket.rate, Tensor) and bucket.rate == 0:
            return  # the terms are divided by the learning rate
        math, weights, gradients = bucket.math, bucket.weights, bucket.gradients
        sums, linear = bucket.values("accumulator"), bucket.values("linear")
        power = -group["lr_power"]
        old_powers = math.pow(sums, power)
        math.add_(sums, math.mul(gradients, gradients))
        powers = math.pow(sums, power)
        sigmas = math.sub(powers, old_powers)
        math.div_(sigmas, bucket.rate)
        if group["l2_shrinkage"]:
            math.sub_(sigmas, 2 * group["l2_shrinkage"])
        math.add_(linear, gradients)
        math.sub_(linear, math.mul(sigmas, weights))
        found = math.clamp_max(linear, group["l1"])
        math.clamp_min_(found, -group["l1"])
        math.sub_(found, linear)
        math.div_(found, _denominators(bucket, group, powers))
        for weight, value, weight_sums, terms in zip(weights, found, sums, linear, strict=True):
            if group["initial_accumulator_value"]:
                weight.copy_(value)
            else:  # elements whose gradients have all been 0 have no step size yet: they stay as they are
                is_new = weight_sums == 0
                weight.copy_(weight.where(is_new, value))
                terms.masked_fill_(is_new, 0)


def _denominators(bucket: Bucket, group: dict[str, Any], powers: list[Tensor]) -> list[Tensor]:
    """Return twice the coefficients of the quadratic terms, in the memory of `powers`."""
    if group["beta"]:
        bucket.math.add_(powers, group["beta"])
    bucket.math.div_(powers, bucket.rate)
    if group["l2"]:
        bucket.math.add_(powers, 2 * group["l2"])
    return powers
