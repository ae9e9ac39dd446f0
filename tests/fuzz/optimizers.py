"""Optimizers: what `compile` is given, and how a loop in plain torch steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import kerastorch as kt

Clip = Callable[[list[nn.Parameter]], None]


@dataclass(frozen=True)
class Rule:
    """One optimizer.

    Attributes:
        give: the model -> what `compile` is given.
        plain: parameters -> the optimizer of the loop.
        clip: what is done to gradients before each step.
        decay: the share of a weight that is taken away before each step.
        every: batches of a step, on the mean of their gradients.
    """

    give: Callable[[nn.Module], Any]
    plain: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
    clip: Clip | None = None
    decay: float = 0.0
    every: int = 1


def by_norm(weights: list[nn.Parameter]) -> None:
    """Keras' `clipnorm=0.1`."""
    for weight in weights:
        weight.grad.mul_(min(1.0, 0.1 / max(float(weight.grad.norm()), 1e-12)))


def by_value(weights: list[nn.Parameter]) -> None:
    """Keras' `clipvalue=0.05`."""
    for weight in weights:
        weight.grad.clamp_(-0.05, 0.05)


def by_global_norm(weights: list[nn.Parameter]) -> None:
    """Keras' `global_clipnorm=0.1`."""
    nn.utils.clip_grad_norm_(weights, 0.1)


def _sgd(**settings: Any) -> Callable[[list[nn.Parameter]], torch.optim.Optimizer]:
    return lambda weights: torch.optim.SGD(weights, lr=0.05, **settings)


def _adam(weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(weights, lr=0.01, eps=1e-2)  # a large epsilon: no step is the sign of a rounding error


def _ours(**settings: Any) -> Callable[[nn.Module], Any]:
    return lambda model: kt.optimizers.SGD(0.05, **settings)


OPTIMIZERS: dict[str, Rule] = {
    "sgd": Rule(lambda model: torch.optim.SGD(model.parameters(), lr=0.05), _sgd()),
    "momentum": Rule(lambda model: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), _sgd(momentum=0.9)),
    "adam": Rule(lambda model: torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-2), _adam),
    "by name": Rule(lambda model: "sgd", lambda weights: torch.optim.SGD(weights, lr=0.01)),
    "Adam": Rule(lambda model: kt.optimizers.Adam(0.01, epsilon=1e-2), _adam),
    "SGD(nesterov)": Rule(_ours(momentum=0.9, nesterov=True), _sgd(momentum=0.9, nesterov=True)),
    "SGD(clipnorm)": Rule(_ours(clipnorm=0.1), _sgd(), clip=by_norm),
    "SGD(clipvalue)": Rule(_ours(clipvalue=0.05, momentum=0.5), _sgd(momentum=0.5), clip=by_value),
    "SGD(global_clipnorm)": Rule(_ours(global_clipnorm=0.1), _sgd(), clip=by_global_norm),
    "SGD(weight_decay)": Rule(_ours(weight_decay=0.1), _sgd(), decay=0.05 * 0.1),
    "SGD(accumulate)": Rule(_ours(gradient_accumulation_steps=3), _sgd(), every=3),
    "SGD(accumulate, clipnorm)": Rule(_ours(gradient_accumulation_steps=2, clipnorm=0.1), _sgd(), by_norm, every=2),
}
