"""Operations made of functions of torch that differ from Keras' only in the names of arguments or in dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from kerastorch.ops.conversion import common_tensors, to_tensor, to_tensors
from kerastorch.ops.recording import make_op

Convert = Callable[[Tensor], Tensor]


class Unary(Protocol):
    """An operation of one tensor."""

    __name__: str

    def __call__(self, x: Any) -> Tensor: ...


class Binary(Protocol):
    """An operation of two tensors, which broadcast."""

    __name__: str

    def __call__(self, x1: Any, x2: Any) -> Tensor: ...


class Bitwise(Protocol):
    """An operation of the bits of two tensors, which broadcast."""

    __name__: str

    def __call__(self, x: Any, y: Any) -> Tensor: ...


class Reduction(Protocol):
    """An operation that reduces axes of a tensor."""

    __name__: str

    def __call__(self, x: Any, axis: Any = None, keepdims: bool = False) -> Tensor: ...


def unary(name: str, function: Callable[..., Tensor], doc: str, convert: Convert | None = None) -> Unary:
    """Make the operation `name(x)`.

    Args:
        name: The name of the operation.
        function: The function of torch.
        doc: The docstring.
        convert: Applied to the tensor first, for dtypes that `function` treats differently.
    """

    def operation(x: Any) -> Tensor:
        x = to_tensor(x)
        return function(x if convert is None else convert(x))

    return make_op(_named(operation, name, doc), name)


def binary(name: str, function: Callable[..., Tensor], doc: str) -> Binary:
    """Make the operation `name(x1, x2)`, in which torch promotes; arguments as in `unary`."""

    def operation(x1: Any, x2: Any) -> Tensor:
        return function(*to_tensors(x1, x2))

    return make_op(_named(operation, name, doc), name)


def promoting(name: str, function: Callable[..., Tensor], doc: str) -> Binary:
    """Make the operation `name(x1, x2)` of two tensors that are promoted as in Keras; arguments as in `unary`."""

    def operation(x1: Any, x2: Any) -> Tensor:
        return function(*common_tensors(x1, x2))

    return make_op(_named(operation, name, doc), name)


def bitwise(name: str, function: Callable[..., Tensor], doc: str) -> Bitwise:
    """Make the operation `name(x, y)`; arguments as in `unary`."""

    def operation(x: Any, y: Any) -> Tensor:
        return function(*to_tensors(x, y))

    return make_op(_named(operation, name, doc), name)


def reduction(name: str, function: Callable[[Tensor, Any, bool], Tensor], doc: str) -> Reduction:
    """Make the operation `name(x, axis=None, keepdims=False)`.

    Args:
        name: The name of the operation.
        function: Function of a tensor, the axes or `None` for all, and whether reduced axes stay with size 1.
        doc: The docstring.
    """

    def operation(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        return function(to_tensor(x), tuple(axis) if isinstance(axis, list) else axis, keepdims)

    return make_op(_named(operation, name, doc), name)


def _named(function: Any, name: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function of tensors that computes in float32 for half precision, and returns half precision."""

    def computed(*tensors: Tensor) -> Tensor:
        half = tensors[0].dtype if tensors[0].dtype in (torch.float16, torch.bfloat16) else None
        found = function(*(tensor.float() if half else tensor for tensor in tensors))
        return found if half is None else found.to(half)

    return computed
