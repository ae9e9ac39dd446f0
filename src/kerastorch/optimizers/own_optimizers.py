"""Optimizers with Keras' names, argument order and defaults whose rules `torch.optim` does not have.

The keyword-only arguments are those of `Optimizer`. The rules, which are optimizers of torch, are in `update_rules/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerastorch.core.errors import check_float, check_int
from kerastorch.optimizers.base import Optimizer
from kerastorch.optimizers.update_rules import adafactor, ftrl, lamb, lion, schedule_free_adamw


@dataclass(eq=False, repr=False)
class Lion(Optimizer):
    """Steps of equal size in each element, along the sign of a momentum (Chen et al. 2023).

    `u = sign(beta_1 * m + (1 - beta_1) * g)`, `w -= learning_rate * u`, `m = beta_2 * m + (1 - beta_2) * g`. There is
    one average for each weight, half as much as Adam has. Its authors advise a learning rate 3 to 10 times smaller than
    that of AdamW, a weight decay as many times larger, and large batches.

    Args:
        learning_rate: Step size, > 0.
        beta_1: Weight of the average in the direction of a step, > 0 and < 1.
        beta_2: Momentum of the average, >= 0 and < 1.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Lion(0.1)([weight])
    >>> (weight * torch.tensor([5.0, -0.01])).sum().backward()
    >>> optimizer.step()
    >>> weight.data
    tensor([ 0.9000, -1.9000])
    """

    kind = lion.Lion

    beta_1: float = 0.9
    beta_2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        check_float("beta_1", self.beta_1, above=0, below=1, advice="With 0 the average would have no effect.")

    def arguments(self) -> dict[str, Any]:
        return {"betas": (self.beta_1, self.beta_2)}


@dataclass(eq=False, repr=False)
class Lamb(Optimizer):
    """Adam with a step as long as the weight, times the learning rate, in each layer (You et al. 2019).

    `u` is the step of Adam for a learning rate of 1; `w -= learning_rate * |w| / |u| * u`, where `|w|` is the norm of
    the whole weight. If a norm is 0 the ratio is 1. It is made for very large batches. As in Keras, weight decay is
    decoupled; in the paper it is a part of `u`.

    Args:
        learning_rate: Step size, as a part of the norm of the weight, > 0.
        beta_1: Momentum of the average of gradients, >= 0 and < 1.
        beta_2: Momentum of the average of their squares, >= 0 and < 1.
        epsilon: Added to the root.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))  # its norm is 5
    >>> optimizer = Lamb(0.1)([weight])
    >>> weight.sum().backward()
    >>> optimizer.step()
    >>> round(float((weight.data - torch.tensor([3.0, 4.0])).norm()), 4)
    0.5
    """

    kind = lamb.Lamb

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def arguments(self) -> dict[str, Any]:
        return {"betas": (self.beta_1, self.beta_2), "eps": self.epsilon}


@dataclass(eq=False, repr=False)
class Ftrl(Optimizer):
    """Follow the regularized leader: weights that minimize all gradients so far and a penalty (McMahan et al. 2013).

    With `p = -learning_rate_power`, each step computes `s = n^p` before and after `n += g^2`, adds
    `g - (s_new - s_old) / learning_rate * w` to the linear term `z`, and sets `w = 0` if `|z| <= l1`, else
    `w = (sign(z) * l1 - z) / ((beta + s_new) / learning_rate + 2 * l2)`. With L1 regularization many weights are
    exactly 0. It is made for linear models with many sparse features.

    The weights follow from `z` alone, which starts at 0: the first steps take most of the initial weights away.

    Args:
        learning_rate: Step size, > 0.
        learning_rate_power: Power of `n` that divides the step size, negated, <= 0. With 0 the step size is constant.
        initial_accumulator_value: Value that `n` starts with, >= 0. With 0, elements stay as they are until they have a
            gradient.
        l1_regularization_strength: `l1`, >= 0.
        l2_regularization_strength: `l2`, >= 0.
        l2_shrinkage_regularization_strength: Strength of an L2 penalty, whose gradient `2 * strength * w` is added to
            `g` in `z` but not in `n`, >= 0.
        beta: Added to `s_new`, >= 0.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Ftrl(1.0, l1_regularization_strength=1.0)([weight])
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     (weight - torch.tensor([3.0, 0.01])).square().sum().backward()
    ...     optimizer.step()
    >>> weight.data.round(decimals=2)  # the second weight has little effect on the loss
    tensor([3., 0.])
    """

    kind = ftrl.Ftrl

    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1_regularization_strength: float = 0.0
    l2_regularization_strength: float = 0.0
    l2_shrinkage_regularization_strength: float = 0.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_float("learning_rate_power", self.learning_rate_power, most=0)
        for kind in ("l1_regularization", "l2_regularization", "l2_shrinkage_regularization"):
            check_float(f"{kind}_strength", getattr(self, f"{kind}_strength"), least=0)
        check_float("beta", self.beta, least=0)

    def arguments(self) -> dict[str, Any]:
        return {
            "lr_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1": self.l1_regularization_strength,
            "l2": self.l2_regularization_strength,
            "l2_shrinkage": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }


@dataclass(eq=False, repr=False)
class Adafactor(Optimizer):
    """Adam without momentum, which stores mean squares only of rows and columns (Shazeer & Stern 2018).

    For weights with two axes or more, the running mean `v` of `g^2 + epsilon_1` is the product of its means over rows
    and over columns, divided by the mean of all. Its momentum in step `t` is `1 - t^beta_2_decay`. The update
    `u = g / sqrt(v)` is divided by `max(1, rms(u) / clip_threshold)`, and
    `w -= max(epsilon_2, rms(w)) * rho * u` with `rho = min(learning_rate, 1 / sqrt(t))`. `rms` is the root mean square.

    `relative_step=False` makes `rho` the learning rate, as Keras documents it; Keras 3.15 computes the minimum in both
    cases.

    Args:
        learning_rate: Largest relative step size, > 0.
        beta_2_decay: Power of the number of steps, <= 0.
        epsilon_1: Added to squared gradients, >= 0.
        epsilon_2: Least root mean square of a weight, so that weights of 0 can change, >= 0.
        clip_threshold: Largest root mean square of an update, > 0.
        relative_step: Whether the relative step size is at most `1 / sqrt(t)`.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.ones(100, 50))
    >>> optimizer = Adafactor()([weight])
    >>> weight.square().sum().backward()
    >>> optimizer.step()
    >>> optimizer.state[weight]["row_var"].shape, optimizer.state[weight]["col_var"].shape
    (torch.Size([100]), torch.Size([50]))
    """

    kind = adafactor.Adafactor

    beta_2_decay: float = -0.8
    epsilon_1: float = 1e-30
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0
    relative_step: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_float("beta_2_decay", self.beta_2_decay, most=0)
        check_float("epsilon_1", self.epsilon_1, least=0)
        check_float("epsilon_2", self.epsilon_2, least=0)
        check_float("clip_threshold", self.clip_threshold, above=0)

    def arguments(self) -> dict[str, Any]:
        return {
            "beta2_decay": self.beta_2_decay,
            "eps": (self.epsilon_1, self.epsilon_2),
            "d": self.clip_threshold,
            "relative_step": self.relative_step,
        }


@dataclass(eq=False, repr=False)
class ScheduleFreeAdamW(Optimizer):
    """Adam with an average of its weights in place of a learning-rate schedule (Defazio et al. 2024).

    The gradient is computed at `y = (1 - beta_1) * z + beta_1 * x`. Then `z -= learning_rate * g / (sqrt(v) + epsilon)`
    with Adam's running mean square `v`, corrected for its bias, and `x` becomes the mean of all `z` so far. In training
    the weights of the model are `y`. `x` is the result: `optimizer.eval()` puts it into the model, and
    `optimizer.train()` puts `y` back. `fit` validates with `x` and ends with it; `fit` of Keras stays with `y`.

    In a loop of your own, call `optimizer.eval()` before you evaluate or save the model, and `optimizer.train()` before
    the next step.

    Weight decay is that of the paper, `learning_rate * weight_decay * y` subtracted from `z`. Keras subtracts it from
    `y`; then only `x` decays, and `z` runs away from it.

    Args:
        learning_rate: Step size, > 0.
        beta_1: Weight of the average `x` in `y`, > 0 and < 1.
        beta_2: Momentum of the average of squared gradients, >= 0 and < 1.
        epsilon: Added to the root.
        warmup_steps: Number of first steps, in which the learning rate increases linearly, >= 0.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = ScheduleFreeAdamW(0.5)([weight])
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     (weight - 3).square().sum().backward()
    ...     optimizer.step()
    >>> optimizer.eval()
    >>> bool((weight - 3).abs() < 0.1)
    True
    """

    kind = schedule_free_adamw.ScheduleFreeAdamW

    learning_rate: float = 0.0025
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_float("beta_1", self.beta_1, above=0, below=1, advice="With 0 the average x could not be computed.")
        check_int("warmup_steps", self.warmup_steps, 0)

    def arguments(self) -> dict[str, Any]:
        return {
            "betas": (self.beta_1, self.beta_2),
            "eps": self.epsilon,
            "warmup_steps": self.warmup_steps,
            "weight_decay": self.weight_decay or 0.0,
        }
