"""The network of a fit: from a model, a function that builds one, or the class of a module."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from kerastorch.core.errors import shown, suggest
from kerastorch.model import Model
from kerastorch.wrappers.compiled_copy import copy_compiled
from kerastorch.wrappers.targets import Targets

N_FEATURES = ("n_features", "n_features_in", "num_features", "n_inputs", "n_in", "in_features", "input_dim")
N_OUTPUTS = ("n_outputs", "num_outputs", "n_out", "out_features", "output_dim", "n_classes", "num_classes", "n_labels")


def network_of_model(model: object, x: Any, y: Any, model_kwargs: Mapping[str, Any] | None) -> Model:
    """Return the network for `model=`, compiled if the given one is.

    Args:
        model: A model or module, which is copied, or a function that returns one.
        x: Training inputs, for the function.
        y: Training targets, for the function.
        model_kwargs: Further arguments of the function.

    Raises:
        TypeError: It is neither; the function returns something else, or does not take its arguments.
        ValueError: There are `model_kwargs` beside a model.
    """
    if isinstance(model, nn.Module):
        if model_kwargs:
            raise ValueError("model_kwargs are arguments of a function that builds the model, but model is a model.")
        return copy_compiled(model) if isinstance(model, Model) else Model(copy.deepcopy(model))
    if not callable(model):
        raise TypeError(f"model must be a model, or a function build_fn(X, y) that returns one, got {shown(model)}.")
    if model_kwargs is not None and not isinstance(model_kwargs, Mapping):
        raise TypeError(f"model_kwargs must be a dict, got {shown(model_kwargs)}.")
    built = _call_build_function(model, x, y, dict(model_kwargs or {}))
    if not isinstance(built, nn.Module):
        raise TypeError(f"model: {_name(model)}(X, y) must return a model, got {shown(built)}.")
    return built if isinstance(built, Model) else Model(built)


def _call_build_function(function: Callable[..., Any], x: Any, y: Any, arguments: dict[str, Any]) -> Any:
    """Call a function with `X` and `y`, by name if it has these names, as far as it takes them."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # callables of C have none
        return function(X=x, y=y, **arguments)
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    _check_arguments(_name(function), "model_kwargs", arguments, parameters)
    by_name = {"X": x, "x": x, "y": y}
    given = {name: value for name, value in by_name.items() if name in parameters and name not in arguments}
    if takes_any and "x" not in given:
        given = {"X": x, "y": y, **given}
    missing = [
        name
        for name, one in parameters.items()
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        if name not in given and name not in arguments
    ]
    values = [] if given else [x, y][: len(missing)]  # other names, such as build_fn(data, target)
    named = {**dict(zip(missing, values, strict=False)), **given, **arguments}
    try:
        inspect.signature(function).bind(**named)
    except TypeError as error:
        raise TypeError(
            f"model: {_name(function)} is called with X and y: {error}. Write def build_fn(X, y), and pass "
            "the values of further parameters in model_kwargs."
        ) from None
    return function(**named)


def network_of_module(module: object, options: Mapping[str, Any], x: Any, targets: Targets) -> Model:
    """Return the network for `module=`.

    Args:
        module: The class of a module, a function that returns one, or a module, which is copied.
        options: Arguments of the class, from `module__` parameters.
        x: Training inputs.
        targets: Encoding of the targets.

    Raises:
        TypeError: It is none of these, or does not take an argument.
        ValueError: There are arguments beside a module that exists already.
    """
    if isinstance(module, nn.Module):
        if options:
            raise ValueError(
                f"module__{next(iter(options))} is an argument of a class, but module is a module already."
            )
        return Model(copy.deepcopy(module))
    if not callable(module):
        raise TypeError(f"module must be a class of torch.nn.Module, got {shown(module)}.")
    parameters = inspect.signature(module).parameters
    _check_arguments(_name(module), "module__", options, parameters)
    made = module(**{**_sizes(parameters, x, targets), **options})
    if not isinstance(made, nn.Module):
        raise TypeError(f"module: {_name(module)}() must make a torch.nn.Module, got {shown(made)}.")
    return made if isinstance(made, Model) else Model(made)


def _sizes(parameters: Mapping[str, inspect.Parameter], x: Any, targets: Targets) -> dict[str, int]:
    """Return values for the parameters whose names say that they are numbers of features or of outputs."""
    width = targets.widths[0] if targets.kind != "several" else None
    found: dict[str, int] = {}
    for name, one in parameters.items():
        if name in N_FEATURES:
            found[name] = x.shape[1]
        elif name in N_OUTPUTS and width is not None:
            keeps_one = targets.kind == "classes" and width == 2 and one.default == 1  # a single logit
            found[name] = 1 if keeps_one else width
    return found


def _check_arguments(
    owner: str, where: str, given: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]
) -> None:
    """Raise a TypeError for an argument that a class or function does not take."""
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    for name in given:
        if name not in parameters:
            known = [one for one in parameters if one not in ("X", "x", "y")]
            what = f"module__{name}" if where == "module__" else f"{where}[{name!r}]"
            raise TypeError(f"{what}: {owner} takes no argument {name!r}.{suggest(name, known)}")


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)
