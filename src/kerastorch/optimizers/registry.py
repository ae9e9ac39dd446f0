"""From what a user wrote to something that makes a `torch.optim` optimizer of parameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch

from kerastorch.core.name_lookup import look_up
from kerastorch.optimizers import keras_optimizers
from kerastorch.optimizers.base import Optimizer, TorchOptimizer, is_fusable, with_kernel
from kerastorch.optimizers.learning_rate import with_learning_rate

Factory = Callable[[Iterable[Any]], TorchOptimizer]

_KERAS = ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam")
_NAMES: dict[str, Any] = {name.lower(): getattr(keras_optimizers, name) for name in _KERAS}
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
    SGD(learning_rate=0.01)
    >>> get("adamm")
    Traceback (most recent call last):
    ValueError: Unknown optimizer 'adamm'. Did you mean 'adam'? Known: ...
    """
    given = identifier
    if isinstance(identifier, str):
        identifier = look_up("optimizer", identifier, _NAMES)
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
    built = optimizer.build(params) if isinstance(optimizer, Optimizer) else _knowing_its_rate(optimizer)(params)
    if not isinstance(built, TorchOptimizer):
        raise TypeError(f"optimizer: {optimizer!r} must make a torch.optim optimizer, got {type(built).__name__}.")
    for group in built.param_groups if sparse else ():
        group["fused"] = False
    return built


def hold(optimizer: TorchOptimizer, params: list[Any], *, sparse: bool = False) -> None:
    """Let an optimizer of one group that has not stepped hold `params`, where it holds others.

    It stays the same object with the same settings, since the user may hold it, or a schedule over it.
    """
    group = optimizer.param_groups[0]
    if len(optimizer.param_groups) > 1 or list(map(id, group["params"])) == list(map(id, params)):
        return
    group["params"] = params
    if group.get("fused") and (sparse or not is_fusable(params)):
        group["fused"] = False


def _knowing_its_rate(factory: Factory) -> Factory:
    """The same factory; a class of torch, or a partial of one, makes optimizers with `learning_rate`."""
    if isinstance(factory, functools.partial) and isinstance(factory.func, type):
        return functools.partial(_knowing_its_rate(factory.func), *factory.args, **factory.keywords)
    known: Any = factory
    return with_learning_rate(known) if isinstance(known, type) and issubclass(known, TorchOptimizer) else factory
