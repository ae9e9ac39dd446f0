"""Errors from inside a model, told in the user's words: which layer, what it was given."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import named_modules
from kerastorch.core.nested import leaves
from kerastorch.layers.convolution import Convolutional
from kerastorch.layers.core import Dense

_SHAPE_WORDS = ("shape", "size", "expected", "dimension", "channels", "mat1", "match")


def raise_with_context(error: Exception, model: nn.Module, x: Any) -> NoReturn:
    """Raise `error` in the user's words, caused by itself; called where it was caught."""
    other = with_context(error, model, x)
    if other is error:
        raise
    raise other from error


def with_context(error: Exception, model: nn.Module, x: Any) -> Exception:
    """`error` itself, or one that names the layer it came from and why; only errors raised within `model`."""
    if isinstance(error, TypeError) and _misses_an_input(error, model):
        return TypeError(f"{str(error).rstrip('.')}. {_given(model, x)}")
    layer = _innermost(error.__traceback__, model)
    if layer is None or isinstance(error, (NotImplementedError, ValueError, torch.OutOfMemoryError)):
        return error
    name, module, given = layer
    shown = ", ".join(f"{label} {tuple(leaf.shape)} {leaf.dtype}" for label, leaf in leaves(x, "x") if _is_tensor(leaf))
    where = (
        f"layer {name or 'the model'!r} ({module!r})"
        if len(repr(module)) < 200
        else f"layer {name or 'the model'!r} ({type(module).__name__})"
    )
    message = str(error).rstrip(".")
    if not isinstance(error, RuntimeError) or not any(word in message for word in _SHAPE_WORDS):
        error.add_note(f"In {where}; the batch was {shown}.")
        return error
    return ValueError(f"{where} cannot take its input: {message}. The batch was {shown}.{_advice(module, given)}")


def _misses_an_input(error: TypeError, model: nn.Module) -> bool:
    """Whether it is the model's own `forward` that was called without one of its inputs."""
    inner = getattr(model, "module_viewed", None) or model
    start = f"{getattr(type(inner).forward, '__qualname__', '')}() missing"
    return str(error).startswith(start) and "required positional argument" in str(error)


def _given(model: nn.Module, x: Any) -> str:
    """What the model was called on, and how to give it more."""
    if isinstance(x, Mapping):
        inner = getattr(model, "module_viewed", None) or model
        other = sorted(map(repr, set(x) - set(inspect.signature(inner.forward).parameters)))
        return (
            f"The batch is a dict with {', '.join(other)}, which forward() does not take, and so it was given the dict "
            "as one argument. Yield (x, y), where x has the inputs alone: ({'a': a, 'b': b}, y)."
        )
    count = len(x) if isinstance(x, (tuple, list)) else 1
    return (
        f"It was given {'one input' if count == 1 else f'{count} inputs'}: a batch is (x, y) or (x, y, sample_weight), "
        "and the second item is taken as the target. Yield ((a, b), y) for two inputs; with arrays, pass x=(a, b)."
    )


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)


def _innermost(traceback: TracebackType | None, model: nn.Module) -> tuple[str, nn.Module, Tensor | None] | None:
    """The deepest submodule whose `forward` was running, its name and its input."""
    names = {id(module): name for name, module in named_modules(model)}
    found = None
    while traceback is not None:
        code, local = traceback.tb_frame.f_code, traceback.tb_frame.f_locals
        owner = local.get("self")
        if code.co_name == "forward" and isinstance(owner, nn.Module) and id(owner) in names:
            arguments = [local.get(name) for name in code.co_varnames[1 : code.co_argcount]]
            given = arguments[0] if arguments and isinstance(arguments[0], Tensor) else None
            found = (names[id(owner)], owner, given)
        traceback = traceback.tb_next
    return found


def _advice(module: nn.Module, given: Tensor | None) -> str:
    if given is None:
        return ""
    wanted = module.weight.shape[-1] if isinstance(module, (nn.Linear, Dense)) else None
    if wanted is not None and given.shape[-1] != wanted:
        return f" It expects {wanted} features, its input has {given.shape[-1]}."
    if isinstance(module, Convolutional) and module.split(given.shape)[0] != module.in_channels:
        return f" It takes {module.axes()} with {module.in_channels} channels. {module.other_format()}"
    channels = getattr(module, "in_channels", None)
    if (
        isinstance(module, nn.modules.conv._ConvNd)
        and given.ndim >= 4
        and given.shape[-1] == channels != given.shape[1]
    ):
        axes = (0, given.ndim - 1, *range(1, given.ndim - 1))
        return f" Its input looks channels-last; use x.transpose{axes}."
    return ""
