"""The rule of schedule-free AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from kerastorch.optimizers.update_rules.base import Bucket, Number, UpdateRule, zeros_like


class ScheduleFreeAdamW(UpdateRule):
    """The optimizer of torch that `kerastorch.optimizers.ScheduleFreeAdamW` makes.

    The parameters hold `y` while the model is trained, and the average `x` between `eval()` and `train()`. The state
    has `z`, from which `x` and `y` follow each other.

    Args:
        params: Parameters, `(name, parameter)` pairs, or dicts of parameter groups.
        lr: Learning rate.
        betas: Weight of `x` in `y`, and momentum of the average of squared gradients.
        eps: Added to the root.
        warmup_steps: Number of steps in which the learning rate increases to `lr`.
        weight_decay: Decay of `z` in the direction of `y`.
        foreach: Whether one kernel updates many weights.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        warmup_steps: int = 0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
    ) -> None:
        settings = {
            "lr": lr, "betas": betas, "eps": eps, "warmup_steps": warmup_steps, "weight_decay": weight_decay,
            "foreach": foreach,
        }  # fmt: skip
        super().__init__(params, settings)

    def new_state(self, weight: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Return a copy of the weight, and an average of zeros."""
        return {"z": weight.detach().clone(memory_format=torch.preserve_format), "exp_avg_sq": zeros_like(weight)}

    def update(self, bucket: Bucket, group: dict[str, Any]) -> None:
        """Step from `z`, and move `y` with it.

        Raises:
            RuntimeError: The parameters hold the average.
        """
        if any("y" in state for state in bucket.states):
            raise RuntimeError("the weights are the average, as eval() leaves them: call train() before the next step.")
        beta_1, beta_2 = group["betas"]
        math, weights, z, step = bucket.math, bucket.weights, bucket.values("z"), bucket.step
        steps = self._steps(bucket, group, beta_2)
        # with x = (y - (1 - beta_1) z) / beta_1, the new y is (1 - 1/step) beta_1 x + (1 - beta_1 + beta_1/step) new z
        math.sub_(weights, math.mul(z, 1 - beta_1))
        math.mul_(weights, 1 - 1 / step)
        math.sub_(z, steps)
        math.add_(weights, math.mul(z, 1 - beta_1 + beta_1 / step))

    def _steps(self, bucket: Bucket, group: dict[str, Any], beta_2: float) -> list[Tensor]:
        """Return the changes of `z`."""
        math, squares = bucket.math, bucket.values("exp_avg_sq")
        math.lerp_(squares, math.mul(bucket.gradients, bucket.gradients), 1 - beta_2)
        denominators = math.sqrt(math.div(squares, 1 - beta_2**bucket.step))
        math.add_(denominators, group["eps"])
        steps: list[Tensor] = math.div(bucket.gradients, denominators)
        if group["weight_decay"]:
            math.add_(steps, math.mul(bucket.weights, group["weight_decay"]))
        math.mul_(steps, bucket.rate * _warm_up(bucket.step, group["warmup_steps"]))
        return steps

    @torch.no_grad()
    def eval(self) -> None:
        """Let the parameters hold the average `x`, which is the result of a training."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state.get(weight, {})
                if "z" in state and "y" not in state:
                    state["y"] = weight.detach().clone(memory_format=torch.preserve_format)
                    weight.copy_(_average(state, group["betas"][0]))

    @torch.no_grad()
    def train(self) -> None:
        """Let the parameters hold `y` again, at which gradients are computed.

        They are the same as before `eval()`, to the bit. A change of the average since then is a change of `y`, too.
        """
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state.get(weight, {})
                if "y" in state:
                    beta_1 = group["betas"][0]
                    change = weight - _average(state, beta_1)
                    weight.copy_(state.pop("y").add_(change, alpha=beta_1))


def _average(state: dict[str, Any], beta_1: float) -> Tensor:
    """Return `x`, computed from `y` and `z`."""
    average: Tensor = state["y"].sub(state["z"], alpha=1 - beta_1).div_(beta_1)
    return average


def _warm_up(step: Number, steps: int) -> Number:
    """Return the factor of the learning rate, which increases from `1 / steps` to 1."""
    if not steps:
        return 1.0
    return (step / steps).clamp(max=1.0) if isinstance(step, Tensor) else min(step / steps, 1.0)
