"""The rule of Muon, with Adam for weights that are no matrices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from kerastorch.optimizers.update_rules.base import Bucket, UpdateRule, zeros_like

_NORM_EPSILON = 1e-7  # added to the norm of a gradient, as in Keras


class Muon(UpdateRule):
    """The optimizer of torch that `kerastorch.optimizers.Muon` makes.

    Matrices get the rule of Muon. Weights with another number of axes, and all weights of groups with the entry
    `use_adam=True`, get the rule of Adam.

    Args:
        params: Parameters, `(name, parameter)` pairs, or dicts of parameter groups.
        lr: Learning rate.
        momentum: Momentum of the average of gradients.
        nesterov: Whether the gradient is added to the average, with Nesterov's momentum.
        ns_coefficients: The three coefficients of the iteration.
        ns_steps: Number of iterations.
        rms_rate: Factor of the root of the larger side of a matrix, which scales a step; `None` for steps of unit size.
        adam_betas: Momenta of Adam's averages.
        adam_eps: Added to Adam's root.
        adam_lr_ratio: Learning rate of Adam, as a multiple of `lr`.
        weight_decay: Decoupled weight decay of the group.
        use_adam: Whether all weights get the rule of Adam.
        foreach: Whether one kernel updates many weights; matrices are updated one after the other in any case.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        ns_steps: int = 5,
        rms_rate: float | None = 0.2,
        adam_betas: tuple[float, float] = (0.9, 0.999),
        adam_eps: float = 1e-7,
        adam_lr_ratio: float = 1.0,
        weight_decay: float = 0.0,
        use_adam: bool = False,
        *,
        foreach: bool | None = None,
    ) -> None:
        settings = {
            "lr": lr, "momentum": momentum, "nesterov": nesterov, "ns_coefficients": ns_coefficients,
            "ns_steps": ns_steps, "rms_rate": rms_rate, "adam_betas": adam_betas, "adam_eps": adam_eps,
            "adam_lr_ratio": adam_lr_ratio, "weight_decay": weight_decay, "use_adam": use_adam, "foreach": foreach,
        }  # fmt: skip
        super().__init__(params, settings)

    def new_state(self, weight: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Return averages of zeros: of squared gradients only for Adam."""
        if weight.ndim == 2 and not group["use_adam"]:
            return {"momentum_buffer": zeros_like(weight)}
        return {"exp_avg": zeros_like(weight), "exp_avg_sq": zeros_like(weight)}

    def update(self, bucket: Bucket, group: dict[str, Any]) -> None:
        """Update matrices by Muon, and all other weights by Adam."""
        if group["weight_decay"]:
            bucket.math.mul_(bucket.weights, 1 - bucket.rate * group["weight_decay"])
        others = Bucket(bucket.rate, bucket.step, bucket.math)
        for weight, gradient, state in zip(bucket.weights, bucket.gradients, bucket.states, strict=True):
            if "momentum_buffer" in state:
                change = _muon_step(gradient, state["momentum_buffer"], group)
                weight.sub_(change.mul_(bucket.rate))
            else:
                others.weights.append(weight)
                others.gradients.append(gradient)
                others.states.append(state)
        if others.weights:
            _update_by_adam(others, group)


def _muon_step(gradient: Tensor, average: Tensor, group: dict[str, Any]) -> Tensor:
    """Update the average of the gradients of a matrix, and return the step for a learning rate of 1."""
    momentum = group["momentum"]
    average.mul_(momentum).add_(gradient)
    direction = gradient.add(average, alpha=momentum) if group["nesterov"] else average
    step = orthogonalize(direction, group["ns_coefficients"], group["ns_steps"])
    if group["rms_rate"] is not None:
        step.mul_(max(gradient.shape) ** 0.5 * group["rms_rate"])
    return step


def orthogonalize(matrix: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    """Return a matrix with the same singular vectors and singular values near 1, by an iteration of Newton-Schulz.

    The iteration is `X = a X + (b A + c A A) X` with `A = X X^T`, and starts at the matrix divided by its norm (Jordan
    et al. 2024, "Muon: An optimizer for hidden layers in neural networks").

    Args:
        matrix: A matrix.
        coefficients: `a`, `b` and `c`.
        steps: Number of iterations.
    """
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    found: Tensor = matrix.T if is_tall else matrix  # the product with the transpose is smaller
    found = found / (found.norm() + _NORM_EPSILON)
    for _ in range(steps):
        product = found @ found.T
        found = found * a + (product * b + (product * c) @ product) @ found
    return found.T.contiguous() if is_tall else found


def _update_by_adam(bucket: Bucket, group: dict[str, Any]) -> None:
    """Make a step of Adam, with epsilon where Keras adds it: to the root before its bias is corrected."""
    beta_1, beta_2 = group["adam_betas"]
    math, averages, squares = bucket.math, bucket.values("exp_avg"), bucket.values("exp_avg_sq")
    math.lerp_(averages, bucket.gradients, 1 - beta_1)
    math.lerp_(squares, math.mul(bucket.gradients, bucket.gradients), 1 - beta_2)
    denominators = math.sqrt(squares)
    math.add_(denominators, group["adam_eps"])
    steps = math.div(averages, denominators)
    correction = (1 - beta_2**bucket.step) ** 0.5 / (1 - beta_1**bucket.step)
    math.mul_(steps, bucket.rate * group["adam_lr_ratio"] * correction)
    math.sub_(bucket.weights, steps)
