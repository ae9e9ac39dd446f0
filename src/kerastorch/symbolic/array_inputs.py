"""Inputs of a call that are no tensors of the right dtype: arrays, lists of numbers, and tensors to cast."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_NUMERIC = "biufc"  # kinds of NumPy's dtypes


def to_tensors(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with tensors in place of arrays, on the device of the module.

    Arguments without arrays are returned as they are, since a `forward` may change a list that it is given.

    Arrays of float64 become tensors of torch's default dtype. The first argument may be a list of numbers, too.

    Args:
        module: The module that is called.
        args: Positional arguments.
        kwargs: Keyword arguments.
    """
    if args and _is_list_of_numbers(args[0]):
        args = (np.asarray(args[0]), *args[1:])
    if not any(map(_has_array, (*args, *kwargs.values()))):
        return args, dict(kwargs)
    device = next((one.device for one in module.parameters()), None)
    return tuple(_convert(one, device) for one in args), {name: _convert(one, device) for name, one in kwargs.items()}


def without_tensorflow(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with arrays in place of eager tensors of TensorFlow.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.

    Raises:
        TypeError: There is a symbolic tensor of TensorFlow.
    """
    # code that torch.compile traces has tensors of torch alone, and it cannot trace the names of modules
    if torch.compiler.is_compiling() or not any(map(_is_of_tensorflow, (*args, *kwargs.values()))):
        return args, kwargs
    return tuple(map(_from_tensorflow, args)), {name: _from_tensorflow(one) for name, one in kwargs.items()}


def cast_like_weights(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return the inputs of a layer in the dtype of its weights, as Keras casts them; `None` if all are.

    Only float64, integers and bools are cast: tensors of 16 bits are those of autocast. Numbers of rows become integers
    for an embedding.

    Args:
        module: The layer, whose call has failed.
        args: Positional arguments of the call.
    """
    own = (one for one in module.parameters(recurse=False) if one.is_floating_point() and not is_lazy(one))
    weight = next(own, None)
    if weight is None:
        return None
    dtype = torch.int64 if isinstance(module, nn.Embedding) else weight.dtype
    return tuple(_cast(one, dtype) for one in args) if any(_is_other(one, dtype) for one in args) else None


def _is_other(value: Any, dtype: torch.dtype) -> bool:
    return isinstance(value, Tensor) and value.dtype is not dtype and not _is_of_autocast(value.dtype)


def _is_of_autocast(dtype: torch.dtype) -> bool:
    return dtype.is_complex or dtype in (torch.bfloat16, torch.float16)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if _is_other(value, dtype) else value


def _is_of_tensorflow(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "tensorflow"


def _from_tensorflow(value: Any) -> Any:
    """Return the array of an eager tensor of TensorFlow; other values are returned as they are.

    Raises:
        TypeError: It is a symbolic tensor, which has no values, as in `tf.data.Dataset.map`.
    """
    if not _is_of_tensorflow(value):
        return value
    try:
        return np.asarray(value.numpy())
    except (AttributeError, NotImplementedError):
        raise TypeError(
            "A layer was called on a symbolic tensor of TensorFlow, as in tf.data.Dataset.map, where only TensorFlow "
            "computes. Put the layer into the model, call it on the batches in a loop, or map it over a dataset of "
            "kerastorch, whose batches are tensors of torch."
        ) from None


def _is_list_of_numbers(value: Any) -> bool:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
        if isinstance(value, numbers.Number):
            return True
    return False


def _has_array(value: Any) -> bool:
    """Return whether a value is a numeric array, or a list, tuple or dict with one."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in _NUMERIC
    if type(value) is dict:
        return any(map(_has_array, value.values()))
    return type(value) in (list, tuple) and any(map(_has_array, value))


def _convert(value: Any, device: torch.device | None) -> Any:
    """Return a structure with tensors in place of numeric arrays."""
    if not _has_array(value):
        return value
    if type(value) in (list, tuple):
        return type(value)(_convert(one, device) for one in value)
    if type(value) is dict:
        return {name: _convert(one, device) for name, one in value.items()}
    tensor = torch.from_numpy(np.ascontiguousarray(value)).to(device)
    return tensor.to(torch.get_default_dtype()) if tensor.dtype is torch.float64 else tensor
