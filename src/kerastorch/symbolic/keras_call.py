"""Modules that are written and called as in Keras: `call` beside `forward`, and the argument `training` of a call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn

from kerastorch.core.module_tree import module_within
from kerastorch.core.train_mode import mode_within_call
from kerastorch.symbolic.forward_parameters import forward_parameters


def pair_call_and_forward(cls: type[nn.Module]) -> None:
    """Give a class `forward` if it defines `call` alone, and `call` if it defines `forward` alone.

    So a subclass may override either, and call the other class's method by either name.

    Args:
        cls: A class whose own methods are looked at; those of its bases are paired already.
    """
    own = vars(cls)
    if "call" in own and "forward" not in own:
        cls.forward = _forward_of(own["call"])
    elif "forward" in own and "call" not in own:
        cls.call = own["forward"]  # type: ignore[attr-defined]


def _forward_of(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `forward` that runs a `call`, and gives its parameter `training` the mode of the module by default."""
    names = [*inspect.signature(call).parameters]
    if "training" not in names:
        return call
    position = names.index("training") - 1  # without `self`

    @functools.wraps(call)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if len(args) > position:
            if args[position] is None:
                args = (*args[:position], self.training, *args[position + 1 :])
        elif kwargs.get("training") is None:
            kwargs["training"] = self.training
        return call(self, *args, **kwargs)

    return forward


def training_of_call(module: nn.Module, kwargs: dict[str, Any]) -> tuple[dict[str, Any], AbstractContextManager[None]]:
    """Return the arguments of a call without `training`, and the context in which the call has this mode.

    A `forward` that takes `training` is given it, too.

    Args:
        module: The module that is called.
        kwargs: Keyword arguments of the call, with `training`: `True`, `False`, or `None` for the mode that it has.

    Raises:
        TypeError: `training` is something else.
    """
    training = kwargs["training"]
    if training is not None and not isinstance(training, (bool, int)):
        raise TypeError(f"training must be True, False or None, got {training!r}.")
    if not _takes_training(module):
        kwargs = {name: value for name, value in kwargs.items() if name != "training"}
    return kwargs, nullcontext() if training is None else mode_within_call(module, bool(training))


def training_by_name(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with `training` as a keyword, if it was passed by position.

    In Keras it comes after the input of layers such as `Dropout`, whose `forward` takes the input alone here.

    Args:
        module: The module that is called.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
    """
    names = [*forward_parameters(module)]
    if len(names) == 1:
        names.append("training")
    position = names.index("training") if "training" in names else len(args)
    if position >= len(args) or not isinstance(args[position], bool | None):
        return args, kwargs
    return args[:position], dict(zip(names[position:], args[position:], strict=False)) | kwargs


def _takes_training(module: nn.Module) -> bool:
    """Return whether `forward` of a module takes the argument `training`."""
    parameters = forward_parameters(module_within(module)).values()
    return any(one.name == "training" or one.kind is one.VAR_KEYWORD for one in parameters)
