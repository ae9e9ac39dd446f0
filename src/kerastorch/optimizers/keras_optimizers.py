"""Optimizers with Keras' names, argument order and defaults, each computed by its `torch.optim` class.

The keyword-only arguments are those of `Optimizer`. torch and Keras add epsilon in different places: inside or outside
the square root (RMSprop, Adagrad), before or after the bias correction (Adam). Here torch decides, so an update differs
from that of Keras only if gradients are about as small as epsilon (its square root for RMSprop).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from kerastorch.optimizers.base import LearningRates, Optimizer


@dataclass(eq=False, repr=False)
class SGD(Optimizer):
    """Gradient descent with momentum: `v = momentum * v + g`, `w -= learning_rate * v`.

    With a constant learning rate this equals Keras' rule, in which `v` contains the learning rate.

    Args:
        learning_rate: Step size, > 0.
        momentum: From 0 to 1.
        nesterov: Whether to use Nesterov's momentum, `w -= learning_rate * (g + momentum * v)`.

    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = SGD(0.1)([weight])
    >>> weight.square().sum().backward()
    >>> optimizer.step()
    >>> weight.data
    tensor([0.8000])
    """

    kind = torch.optim.SGD

    learning_rate: LearningRates = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True does nothing without momentum; give it, as momentum=0.9.")

    def arguments(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "nesterov": self.nesterov}


@dataclass(eq=False, repr=False)
class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient (Hinton 2012).

    Args:
        learning_rate: Step size, > 0.
        rho: Momentum of the running mean square, from 0 to 1.
        momentum: Momentum of the step, from 0 to 1.
        epsilon: Added to the root.
        centered: Whether to subtract the squared running mean, so that steps are divided by a standard deviation.
    """

    kind = torch.optim.RMSprop

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def arguments(self) -> dict[str, Any]:
        return {"alpha": self.rho, "momentum": self.momentum, "eps": self.epsilon, "centered": self.centered}


@dataclass(eq=False, repr=False)
class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients (Duchi et al. 2011).

    Args:
        learning_rate: Step size, > 0.
        initial_accumulator_value: Value that the sum starts with, >= 0.
        epsilon: Added to the root.
    """

    kind = torch.optim.Adagrad

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def arguments(self) -> dict[str, Any]:
        return {"initial_accumulator_value": self.initial_accumulator_value, "eps": self.epsilon}


@dataclass(eq=False, repr=False)
class Adadelta(Optimizer):
    """Steps from running averages of squared gradients and squared steps (Zeiler 2012).

    Args:
        learning_rate: Factor of a step, > 0.
        rho: Momentum of both averages, from 0 to 1.
        epsilon: Added to both averages.
    """

    kind = torch.optim.Adadelta

    rho: float = 0.95
    epsilon: float = 1e-7

    def arguments(self) -> dict[str, Any]:
        return {"rho": self.rho, "eps": self.epsilon}


@dataclass(eq=False, repr=False)
class _AdamBase(Optimizer):
    """Base of Adam's variants: the momenta of their running averages.

    Args:
        learning_rate: Step size, > 0.
        beta_1: Momentum of the average of gradients, >= 0 and < 1.
        beta_2: Momentum of the average of their squares (Adamax: of their largest absolute value), >= 0 and < 1.
        epsilon: Added to the root.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def arguments(self) -> dict[str, Any]:
        return {"betas": (self.beta_1, self.beta_2), "eps": self.epsilon}


@dataclass(eq=False, repr=False)
class Adamax(_AdamBase):
    """Adam with the infinity norm (Kingma & Ba 2014, section 7).

    Args:
        learning_rate: Step size, > 0.
        beta_1: Momentum of the average of gradients, >= 0 and < 1.
        beta_2: Decay of the largest absolute gradient, >= 0 and < 1.
        epsilon: Added to each absolute gradient.
    """

    kind = torch.optim.Adamax


@dataclass(eq=False, repr=False)
class Nadam(_AdamBase):
    """Adam with Nesterov momentum (Dozat 2016).

    The momentum is warmed up by the factor `1 - 0.5 * 0.96^step`, as in Keras; torch's default,
    `1 - 0.5 * 0.96^(0.004 * step)`, takes far longer.

    Args:
        learning_rate: Step size, > 0.
        beta_1: Momentum of the average of gradients, >= 0 and < 1.
        beta_2: Momentum of the average of their squares, >= 0 and < 1.
        epsilon: Added to the root.
    """

    kind = torch.optim.NAdam

    def arguments(self) -> dict[str, Any]:
        return super().arguments() | {"momentum_decay": 1.0}


@dataclass(eq=False, repr=False)
class Adam(_AdamBase):
    """Steps from running averages of the gradient and of its square (Kingma & Ba 2014).

    Args:
        learning_rate: Step size, > 0.
        beta_1: Momentum of the average of gradients, >= 0 and < 1.
        beta_2: Momentum of the average of their squares, >= 0 and < 1.
        epsilon: Added to the root. The default is that of Keras; torch has 1e-8.
        amsgrad: Whether to divide by the largest average so far (Reddi et al. 2018).
    """

    kind = torch.optim.Adam

    amsgrad: bool = False

    def arguments(self) -> dict[str, Any]:
        decay = {"weight_decay": self.weight_decay or 0.0, "decoupled_weight_decay": True}
        return super().arguments() | {"amsgrad": self.amsgrad} | decay


@dataclass(eq=False, repr=False)
class AdamW(_AdamBase):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017), by default 0.004 as in Keras.

    Args:
        learning_rate: Step size, > 0.
        beta_1: Momentum of the average of gradients, >= 0 and < 1.
        beta_2: Momentum of the average of their squares, >= 0 and < 1.
        epsilon: Added to the root. The default is that of Keras; torch has 1e-8.
        amsgrad: Whether to divide by the largest average so far (Reddi et al. 2018).
    """

    kind = torch.optim.AdamW

    weight_decay: float | None = 0.004
    amsgrad: bool = False

    def arguments(self) -> dict[str, Any]:
        return super().arguments() | {"amsgrad": self.amsgrad, "weight_decay": self.weight_decay or 0.0}
