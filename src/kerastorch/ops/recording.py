"""The decorator of operations: on symbolic tensors a call is recorded, as one node of a functional model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.array_conversion import from_array
from kerastorch.ops.conversion import to_dtype
from kerastorch.symbolic.symbolic_tensor import Symbol, has_symbols, record_call

P = ParamSpec("P")
R = TypeVar("R")

OPERATIONS: dict[str, Callable[..., Any]] = {}  # by name, without "ops."; what a file may call


def op(function: Callable[P, R]) -> Callable[P, R]:
    """Make a public operation of a function of tensors.

    If an argument is a symbolic tensor, the call is recorded under the name of the operation, and runs on the data of
    the model later. The name is added to the table of operations that files of functional models may hold.
    """
    return make_op(function, function.__name__)


def image_op(function: Callable[P, R]) -> Callable[P, R]:
    """Make a public operation in `ops.image`, as `op` does."""
    return make_op(function, f"image.{function.__name__}")


def random_op(function: Callable[P, R]) -> Callable[P, R]:
    """Make a public operation in `kerastorch.random`, as `op` does."""
    return make_op(function, f"random.{function.__name__}")


def make_op(function: Callable[P, R], name: str) -> Callable[P, R]:
    """Return the operation of a function, and add it to the table under `name`."""

    @functools.wraps(function)
    def public(*args: P.args, **kwargs: P.kwargs) -> R:
        is_plain = not kwargs and all(type(arg) is Tensor for arg in args)
        if not is_plain and has_symbols((args, kwargs)):
            return record_call(public, _for_graph(args), _for_graph(kwargs))
        return function(*args, **kwargs)

    room, _, _ = name.rpartition(".")
    public.__module__ = {"": "kerastorch.ops", "image": "kerastorch.ops.image", "random": "kerastorch.random"}[room]
    OPERATIONS[name] = public
    return public


_IN_GRAPHS = (
    type(None), bool, int, float, complex, str, slice, type(Ellipsis), Tensor, Symbol, torch.dtype, torch.device,
)  # fmt: skip


def _for_graph(value: Any) -> Any:
    """Return an argument with tensors in the place of arrays, which a graph cannot hold.

    Raises:
        TypeError: A graph can hold it in no form, such as a function or a `SeedGenerator`.
    """
    if isinstance(value, np.generic) and value.ndim == 0:
        return value.item()
    if isinstance(value, np.ndarray):
        return from_array(value, "array").clone()
    if isinstance(value, Mapping):
        return {key: _for_graph(item) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_for_graph(item) for item in value)
    if isinstance(value, type | np.dtype):  # a dtype, as `int` and `np.float32`
        return to_dtype(value)
    if not isinstance(value, _IN_GRAPHS):
        raise TypeError(
            f"An operation on a symbolic tensor takes numbers, text and tensors beside it, got {value!r}. "
            "Put the call into the forward of a layer of your own."
        )
    return value
