"""Lookup of optimizers by name, and creation of `torch.optim` optimizers from what a user gives to `compile`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from kerastorch.core.errors import shown
from kerastorch.core.name_lookup import advice_by_name, look_up, spellings
from kerastorch.core.torch_optimizer_private import ensure_step_hooks, without_compiler_import
from kerastorch.optimizers import keras_optimizers
from kerastorch.optimizers.base import Optimizer, TorchOptimizer, is_fusable, with_kernel
from kerastorch.optimizers.lbfgs import LBFGS
from kerastorch.optimizers.learning_rate import with_learning_rate
from kerastorch.optimizers.minimizers import BFGS, ConjugateGradient, Minimizer, NewtonCG
from kerastorch.optimizers.muon import Muon
from kerastorch.optimizers.own_optimizers import Adafactor, Ftrl, Lamb, Lion, ScheduleFreeAdamW
from kerastorch.optimizers.schedules.base import LearningRateSchedule
from kerastorch.optimizers.step_options import StepOptions

Factory = Callable[[Iterable[Any]], TorchOptimizer]

_KERAS = ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam")
_NAMES: dict[str, Any] = {name.lower(): getattr(keras_optimizers, name) for name in _KERAS}
_NAMES |= {kind.__name__.lower(): kind for kind in (Lion, Lamb, Ftrl, Adafactor, Muon, ScheduleFreeAdamW, LBFGS)}
# the other classes of torch.optim, with torch's defaults
_NAMES |= {
    name.lower(): kind
    for name, kind in inspect.getmembers(torch.optim, inspect.isclass)
    if issubclass(kind, TorchOptimizer) and kind is not TorchOptimizer and name.lower() not in _NAMES
}
_NAMES |= {
    "momentum": functools.partial(keras_optimizers.SGD, momentum=0.9),
    "nesterov": functools.partial(keras_optimizers.SGD, momentum=0.9, nesterov=True),
    "cg": ConjugateGradient, "conjugate_gradient": ConjugateGradient, "conjugategradient": ConjugateGradient,
    "bfgs": BFGS, "newton": NewtonCG, "newton_cg": NewtonCG, "newtoncg": NewtonCG, "l_bfgs": LBFGS,
    "schedule_free": ScheduleFreeAdamW, "schedulefree": ScheduleFreeAdamW, "schedule_free_adamw": ScheduleFreeAdamW,
}  # fmt: skip

_ADVICE = advice_by_name({  # for names that users try
    "Gradient descent is 'sgd' with all rows as one batch: fit(x, y, batch_size=len(x)).":
        "gd gradient_descent batch_gradient_descent",
    "Its name is 'sgd'.": "stochastic_gradient_descent minibatch_gradient_descent mini_batch_gradient_descent",
    "Its name is 'momentum': SGD(momentum=0.9).": "sgd_momentum sgd_with_momentum",
    "Its name is 'nesterov': SGD(momentum=0.9, nesterov=True).": "nag nesterov_momentum",
    "AMSGrad is an argument: optimizers.Adam(amsgrad=True).": "amsgrad",
    "Second-order methods here are 'bfgs', 'lbfgs' and 'newton'.":
        "gauss_newton levenberg_marquardt lm trust_region quasi_newton",
})  # fmt: skip


def is_name(name: str) -> bool:
    """Return whether `get` knows a name."""
    return any(spelling in _NAMES for spelling in spellings(name))


def get(identifier: Any) -> StepOptions | Factory | TorchOptimizer:
    """Return the optimizer for a name, class, instance, factory or `torch.optim` optimizer.

    Keras' names have Keras' defaults (`'adam'` has epsilon 1e-7); the other names of `torch.optim` have torch's.
    `'momentum'` is SGD with a momentum of 0.9, `'nesterov'` the same with Nesterov's momentum. `'cg'`, `'bfgs'` and
    `'newton'` are `ConjugateGradient`, `BFGS` and `NewtonCG`. An optimizer that already has parameters is returned
    unchanged.

    Returns:
        Settings (`StepOptions`), a factory `params -> torch.optim.Optimizer`, or a `torch.optim.Optimizer`.

    Raises:
        ValueError: The name is unknown.
        TypeError: The identifier is none of these, or a partial with a schedule.

    >>> get("sgd")
    SGD(learning_rate=0.01)
    >>> get("nesterov")
    SGD(learning_rate=0.01, momentum=0.9, nesterov=True)
    >>> get("adamm")
    Traceback (most recent call last):
    ValueError: Unknown optimizer 'adamm'. Did you mean 'adam'? Known: ...
    """
    given = identifier
    if isinstance(identifier, str):
        identifier = look_up("optimizer", identifier, _NAMES, _ADVICE)
        if isinstance(identifier, type) and issubclass(identifier, TorchOptimizer):
            return functools.partial(with_kernel, identifier)
        identifier = identifier()
    if isinstance(identifier, type) and issubclass(identifier, (Optimizer, Minimizer)):
        identifier = identifier()
    if isinstance(identifier, functools.partial):
        _check_no_schedule(identifier)
    if callable(identifier) or isinstance(identifier, TorchOptimizer):
        optimizer: StepOptions | Factory | TorchOptimizer = identifier
        return optimizer
    raise TypeError(f"An optimizer is a name, a class, an instance or a partial, got {shown(given)}.{_hint(given)}")


def _hint(given: Any) -> str:
    """Return a sentence that says what to write in place of something that is no optimizer."""
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return f" A learning rate is an argument of the optimizer: compile(optimizers.Adam({given!r}), ...)."
    if isinstance(given, torch.optim.lr_scheduler.LRScheduler):
        return (
            " A scheduler of torch is a callback: fit(callbacks=[callbacks.LRScheduler(lambda optimizer: "
            f"torch.optim.lr_scheduler.{type(given).__name__}(optimizer, ...))])."
        )
    return ""


def _check_no_schedule(factory: functools.partial[Any]) -> None:
    """Raise a TypeError for a partial of a class of torch with a schedule, which such a class cannot use."""
    for name, value in factory.keywords.items():
        if isinstance(factory.func, type) and isinstance(value, LearningRateSchedule):
            kind = factory.func.__name__
            raise TypeError(
                f"{kind} takes no schedule, but {name}={value!r} is one. Write kerastorch.optimizers.Torch({kind}, "
                f"{name}=...), which sets the rate before each step."
            )


def create_optimizer(
    optimizer: StepOptions | Factory | TorchOptimizer, params: list[Any], *, sparse: bool = False
) -> TorchOptimizer:
    """Return a `torch.optim` optimizer of parameters.

    Args:
        optimizer: As `get` returns it; a `torch.optim` optimizer is returned unchanged.
        params: Parameters of the model, or `(name, parameter)` pairs, which patterns of parameter names need.
        sparse: Whether gradients may be sparse, so that fused kernels are turned off.

    Raises:
        TypeError: A factory returns something else.
    """
    if isinstance(optimizer, TorchOptimizer):
        return optimizer
    with without_compiler_import():
        if isinstance(optimizer, StepOptions):
            built = optimizer.build(params if optimizer.is_grouped else _without_names(params))
        else:
            built = _factory_with_learning_rate(optimizer)(_without_names(params))
    if not isinstance(built, TorchOptimizer):
        raise TypeError(f"optimizer: {optimizer!r} must make a torch.optim optimizer, got {type(built).__name__}.")
    ensure_step_hooks(built)
    for group in built.param_groups if sparse else ():
        group["fused"] = False
    return built


def _without_names(params: list[Any]) -> list[Any]:
    return [one[1] if isinstance(one, tuple) else one for one in params]


def replace_parameters(optimizer: TorchOptimizer, config: Any, params: list[Any], *, sparse: bool = False) -> None:
    """Replace the parameters of an optimizer that has not made a step.

    The optimizer stays the same object with the same settings, because the user or a learning rate schedule may refer
    to it. With several groups that are not those of patterns nothing changes.

    Args:
        optimizer: The optimizer.
        config: As `get` returns it.
        params: The new parameters, as `(name, parameter)` pairs.
        sparse: Whether gradients may be sparse, so that the fused kernel is turned off.
    """
    groups = optimizer.param_groups
    if isinstance(config, StepOptions) and config.is_grouped:
        divided = [group.params for group in config.group(dict(params))]
    else:
        divided = [_without_names(params)]
    if len(divided) != len(groups):
        return
    for group, some in zip(groups, divided, strict=True):
        if list(map(id, group["params"])) == list(map(id, some)):
            continue
        _set_parameters(group, some, sparse=sparse)


def exchange_parameters(optimizer: TorchOptimizer, new: Mapping[int, Any]) -> None:
    """Put other parameters in the place of those that an optimizer holds; its state is lost.

    Args:
        optimizer: The optimizer.
        new: The new parameters, by the `id` of the old ones; others stay.
    """
    for group in optimizer.param_groups:
        _set_parameters(group, [new.get(id(one), one) for one in group["params"]])
    optimizer.state.clear()


def _set_parameters(group: dict[str, Any], params: list[Any], *, sparse: bool = False) -> None:
    group["params"] = params
    if group.get("fused") and (sparse or not is_fusable(params)):
        group["fused"] = False


def _factory_with_learning_rate(factory: Factory) -> Factory:
    """Return a factory whose optimizers have the attribute `learning_rate`.

    A factory that is no class of torch, nor a partial of one, is returned unchanged.
    """
    if isinstance(factory, functools.partial) and isinstance(factory.func, type):
        return functools.partial(_factory_with_learning_rate(factory.func), *factory.args, **factory.keywords)
    kind: Any = factory
    return with_learning_rate(kind) if isinstance(kind, type) and issubclass(kind, TorchOptimizer) else factory
