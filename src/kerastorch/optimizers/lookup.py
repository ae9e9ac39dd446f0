"""From what a user wrote to something that makes a `torch.optim` optimizer of parameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch

from kerastorch.names import find
from kerastorch.optimizers import keras_named
from kerastorch.optimizers.base import Optimizer, TorchOptimizer, with_kernel

Factory = Callable[[Iterable[Any]], TorchOptimizer]

_KERAS = ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam")
_NAMES: dict[str, Any] = {name.lower(): getattr(keras_named, name) for name in _KERAS}
# every other class of torch.optim, with torch's defaults
_NAMES |= {
    name.lower(): kind
    for name, kind in inspect.getmembers(torch.optim, inspect.isclass)
    if issubclass(kind, TorchOptimizer) and kind is not TorchOptimizer and name.lower() not in _NAMES
}


def get(identifier: Any) -> Optimizer | Factory | TorchOptimizer:
    """A name, class, instance or partial: settings, a factory `params -> optimizer`, or a `torch.optim` optimizer.

    Keras' names take Keras' defaults (`'adam'` has epsilon 1e-7), the other names of `torch.optim` torch's. An
    optimizer that already holds parameters is used as it is.

    >>> get("sgd")
    SGD(learning_rate=0.01, ...)
    >>> get("adamm")
    Traceback (most recent call last):
    ValueError: Unknown optimizer 'adamm'. Did you mean 'adam'? Known: ...
    """
    given = identifier
    if isinstance(identifier, str):
        identifier = find("optimizer", identifier, _NAMES)
        if not issubclass(identifier, Optimizer):
            return functools.partial(with_kernel, identifier)
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        identifier = identifier()
    if callable(identifier) or isinstance(identifier, TorchOptimizer):
        found: Optimizer | Factory | TorchOptimizer = identifier
        return found
    raise TypeError(f"An optimizer is a name, a class, an instance or a partial, got {given!r}.")


def attach(
    optimizer: Optimizer | Factory | TorchOptimizer, params: list[Any], *, sparse: bool = False
) -> TorchOptimizer:
    """The `torch.optim` optimizer for `params`; fused kernels do not take gradients that are `sparse`."""
    if isinstance(optimizer, TorchOptimizer):
        return optimizer
    built = optimizer.build(params) if isinstance(optimizer, Optimizer) else optimizer(params)
    if not isinstance(built, TorchOptimizer):
        raise TypeError(f"optimizer: {optimizer!r} must make a torch.optim optimizer, got {type(built).__name__}.")
    for group in built.param_groups if sparse else ():
        group["fused"] = False
    return built
