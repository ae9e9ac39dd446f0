"""The optimizers under Keras' names, argument order and defaults, each on its `torch.optim` class.

What is keyword-only here is what all of them share: see `Optimizer`. Where torch adds epsilon outside the square
root and Keras inside (RMSprop, Adagrad) or elsewhere (Adam's bias correction), torch's kernel decides: an update
differs from Keras' only where gradients are about as small as epsilon (its square root for RMSprop).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from kerastorch.optimizers.base import Optimizer


@dataclass(eq=False, repr=False)
class SGD(Optimizer):
    """Gradient descent, with momentum `v = momentum * v + g`, `w -= learning_rate * v` (Nesterov on request).

    With a constant learning rate this is Keras' rule, which multiplies the rate into `v`.

    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = SGD(0.1)([weight])
    >>> weight.square().sum().backward()
    >>> optimizer.step()
    >>> weight.data
    tensor([0.8000])
    """

    kind = torch.optim.SGD

    learning_rate: float = 0.01
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
    """Steps divided by a running root mean square of the gradient (Hinton 2012)."""

    kind = torch.optim.RMSprop

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def arguments(self) -> dict[str, Any]:
        return {"alpha": self.rho, "momentum": self.momentum, "eps": self.epsilon, "centered": self.centered}


@dataclass(eq=False, repr=False)
class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients (Duchi et al. 2011)."""

    kind = torch.optim.Adagrad

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def arguments(self) -> dict[str, Any]:
        return {"initial_accumulator_value": self.initial_accumulator_value, "eps": self.epsilon}


@dataclass(eq=False, repr=False)
class Adadelta(Optimizer):
    """Steps from running averages of squared gradients and squared steps (Zeiler 2012)."""

    kind = torch.optim.Adadelta

    rho: float = 0.95
    epsilon: float = 1e-7

    def arguments(self) -> dict[str, Any]:
        return {"rho": self.rho, "eps": self.epsilon}


@dataclass(eq=False, repr=False)
class _Moments(Optimizer):
    """What the Adam family shares."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def arguments(self) -> dict[str, Any]:
        return {"betas": (self.beta_1, self.beta_2), "eps": self.epsilon}


@dataclass(eq=False, repr=False)
class Adamax(_Moments):
    """Adam with the infinity norm (Kingma & Ba 2014, section 7)."""

    kind = torch.optim.Adamax


@dataclass(eq=False, repr=False)
class Nadam(_Moments):
    """Adam with Nesterov momentum (Dozat 2016).

    Keras warms the momentum up by `1 - 0.5 * 0.96^step`; torch's own default, `0.96^(0.004 * step)`, takes far longer.
    """

    kind = torch.optim.NAdam

    def arguments(self) -> dict[str, Any]:
        return super().arguments() | {"momentum_decay": 1.0}


@dataclass(eq=False, repr=False)
class Adam(_Moments):
    """Steps from running averages of the gradient and of its square (Kingma & Ba 2014); epsilon is Keras' 1e-7."""

    kind = torch.optim.Adam

    amsgrad: bool = False

    def arguments(self) -> dict[str, Any]:
        decay = {"weight_decay": self.weight_decay or 0.0, "decoupled_weight_decay": True}
        return super().arguments() | {"amsgrad": self.amsgrad} | decay


@dataclass(eq=False, repr=False)
class AdamW(_Moments):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017), by default Keras' 0.004."""

    kind = torch.optim.AdamW

    weight_decay: float | None = 0.004
    amsgrad: bool = False

    def arguments(self) -> dict[str, Any]:
        return super().arguments() | {"amsgrad": self.amsgrad, "weight_decay": self.weight_decay or 0.0}
