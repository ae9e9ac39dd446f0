"""Adding the layer and its input to errors that are raised within a model."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from kerastorch.core.errors import shown as shown_value
from kerastorch.core.module_tree import module_within, named_modules
from kerastorch.core.nested import is_record, leaves
from kerastorch.core.torch_private import ConvBase
from kerastorch.layers.convolution import Convolutional
from kerastorch.layers.core import Dense
from kerastorch.runtime.call_module import forward_inputs, split_arguments

_LONGEST_REPR = 200  # characters: of a module with a longer `repr`, messages contain only the name of the class
# An error of torch with one of these words is about the shape of the input.
_SHAPE_WORDS = ("shape", "size", "expected", "dimension", "channels", "mat1", "match")


def raise_with_context(error: Exception, model: nn.Module, x: Any) -> NoReturn:
    """Raise an error again with its layer and input; called in the `except` block that caught it.

    Args:
        error: Raised by a call of the model.
        model: The model that was called.
        x: The batch of inputs.
    """
    explained = with_context(error, model, x)
    if explained is error:
        raise
    raise explained from error


def with_context(error: Exception, model: nn.Module, x: Any) -> Exception:
    """Return an error that names its layer and the input, or the error itself with a note.

    Errors from outside of the layers of the model are returned unchanged.
    """
    if isinstance(error, TypeError) and _misses_input(error, model):
        return TypeError(f"{str(error).rstrip('.')}. {_describe_inputs(model, x)}")
    if isinstance(error, (TypeError, AttributeError)) and _is_one_input_of_several_arrays(model, x):
        return TypeError(
            f"{str(error).rstrip('.')}. forward() takes one input, and x is {shown_value(x)}. Pass the one input "
            "alone; targets are another argument, y."
        )
    if isinstance(error, (TypeError, AttributeError)) and is_record(x):
        names = [field.name for field in dataclasses.fields(x)]
        shown = ", ".join(f"batch.{name}" for name in names)
        return TypeError(
            f"{str(error).rstrip('.')}. The batch is a {type(x).__name__}, which forward() got as a whole. If it takes "
            f"a field, write compile(..., prepare_batch=lambda batch: ({shown}))."
        )
    if isinstance(error, IndexError) and isinstance(x, Tensor) and "indices" in str(error):
        return IndexError(
            f"{str(error).rstrip('.')}. forward() got the tensor {_describe(x)}. If it takes the whole "
            "dict that a loader yields, write compile(..., prepare_batch=lambda batch: (batch, batch['label']))."
        )
    layer = _innermost(error.__traceback__, model)
    if layer is None or isinstance(error, (NotImplementedError, ValueError, torch.OutOfMemoryError)):
        return error
    name, module, given = layer
    shown = ", ".join(f"{label} {_describe(leaf)}" for label, leaf in leaves(x, "x"))
    description = str(module) if len(str(module)) < _LONGEST_REPR else type(module).__name__
    where = f"layer {name or 'the model'!r} ({description})"
    message = str(error).rstrip(".")
    if not isinstance(error, RuntimeError) or not any(word in message for word in _SHAPE_WORDS):
        error.add_note(f"In {where}; the batch was {shown}.")
        return error
    return ValueError(f"{where} cannot take its input: {message}. The batch was {shown}.{_advice(module, given)}")


def _is_one_input_of_several_arrays(model: nn.Module, x: Any) -> bool:
    """Return whether several arrays were passed as one argument to a `forward` that takes one."""
    if not isinstance(x, (tuple, list, Mapping)) or forward_inputs(model).n_positional != 1:
        return False
    args, kwargs = split_arguments(model, x)
    return not kwargs and len(args) == 1 and args[0] is x


def _misses_input(error: TypeError, model: nn.Module) -> bool:
    """Return whether an error says that the `forward` of the model lacks an input."""
    inner = module_within(model)
    start = f"{getattr(type(inner).forward, '__qualname__', '')}() missing"
    return str(error).startswith(start) and "required positional argument" in str(error)


def _describe_inputs(model: nn.Module, x: Any) -> str:
    """Return a sentence about the inputs of the model, and how to pass more of them."""
    inner = module_within(model)
    args, kwargs = split_arguments(model, x)
    if _can_bind(inner, args, kwargs):  # so that a step of the user's has called the model, with other arguments
        return (
            "The batch has all inputs, but the model was called with all of them as one argument. Write "
            f"self({'**x' if kwargs else '*x'}) in a step of your own."
        )
    if isinstance(x, Mapping):
        other = sorted(map(repr, set(x) - set(inspect.signature(inner.forward).parameters)))
        if not other:
            return f"The batch has the inputs {', '.join(map(repr, x))} alone. Yield (x, y), where x is a dict of all."
        return (
            f"The batch is a dict with {', '.join(other)}, which forward() does not take, and so it was given the dict "
            "as one argument. Yield (x, y), where x has the inputs alone: ({'a': a, 'b': b}, y)."
        )
    count = len(x) if isinstance(x, (tuple, list)) else 1
    return (
        f"It was given {'one input' if count == 1 else f'{count} inputs'}: a batch is (x, y) or (x, y, sample_weight), "
        "and the second item is taken as the target. Yield ((a, b), y) for two inputs; with arrays, pass x=(a, b)."
    )


def _can_bind(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether the `forward` of a module takes these arguments, and needs no others."""
    try:
        inspect.signature(module.forward).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _describe(leaf: Any) -> str:
    """Return the shape and dtype of a tensor, or the class of another input."""
    if not isinstance(leaf, Tensor):
        return type(leaf).__name__
    return f"nested {leaf.dtype}" if leaf.is_nested else f"{tuple(leaf.shape)} {leaf.dtype}"


def _innermost(traceback: TracebackType | None, model: nn.Module) -> tuple[str, nn.Module, Tensor | None] | None:
    """Return the name, the module and the input of the innermost `forward` in a traceback, or `None`."""
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
    """Return a sentence about what a layer expects instead of its input, or an empty string."""
    if given is None:
        return ""
    wanted = module.weight.shape[-1] if isinstance(module, (nn.Linear, Dense)) else None
    if wanted == 1 and given.ndim == 1:
        return " It expects one feature and a feature axis, (rows, 1): use x[:, None]."
    if wanted is not None and given.shape[-1] != wanted:
        return f" It expects {wanted} features, its input has {given.shape[-1]}."
    if isinstance(module, Convolutional) and module.channels_and_sizes(given.shape)[0] != module.in_channels:
        return f" It takes {module.expected_axes()} with {module.in_channels} channels. {module.other_format_advice()}"
    channels = getattr(module, "in_channels", None)
    if isinstance(module, ConvBase) and channels == 1 and given.ndim == module.weight.ndim - 1:
        return " Its input has no axis for the channels; use x[:, None]."
    if isinstance(module, ConvBase) and given.ndim >= 4 and given.shape[-1] == channels != given.shape[1]:
        axes = (0, given.ndim - 1, *range(1, given.ndim - 1))
        return f" Its input looks channels-last; use x.transpose{axes}."
    return ""
