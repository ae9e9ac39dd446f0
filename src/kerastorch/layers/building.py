"""Building a layer: by its first call, or by a call of `build`; and the shapes of its inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Buildable(Protocol):
    """A layer, as seen from here."""

    _is_building: bool

    def ensure_built(self, *input_shapes: Any) -> None:
        """Build the layer for inputs of these shapes, unless it is built."""


def marks_built(build: Callable[..., None]) -> Callable[..., None]:
    """Return a method `build` after which a layer is built, no matter who calls it."""

    @functools.wraps(build)
    def wrapper(self: Buildable, *input_shapes: Any, **named: Any) -> None:
        if self._is_building:
            build(self, *input_shapes, **named)
        else:
            self.ensure_built(*input_shapes, *named.values())

    return wrapper


def to_size(shape: Any) -> Any:
    """Return a shape as `torch.Size`, or shapes in a sequence or a dict; -1 is a size that varies."""
    if isinstance(shape, Mapping):
        return {name: to_size(one) for name, one in shape.items()}
    if shape and isinstance(shape[0], (tuple, list)):
        return tuple(map(to_size, shape))
    return torch.Size(-1 if size is None else size for size in shape)


def to_plain_shape(shape: Any) -> Any:
    """Return a shape, or shapes in a sequence or a dict, as tuples; -1 is a size that varies or is a symbol."""
    if isinstance(shape, Mapping):
        return {name: to_plain_shape(one) for name, one in shape.items()}
    if isinstance(shape, (tuple, list)):
        return tuple(map(to_plain_shape, shape))
    return shape if type(shape) is int else -1


def build_from_call(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Build a layer for the inputs of its first call; a forward pre-hook.

    Raises:
        TypeError: The first input is no tensor or list of tensors; or it is a list, and the layer takes a tensor.
    """
    shapes = [_shape_of(value) for value in (*args, *kwargs.values())]
    first = next(iter((*args, *kwargs.values())), None)
    if not shapes or shapes[0] is None:
        entry = first[0] if isinstance(first, (tuple, list)) and first else first
        advice = " TextVectorization turns texts into numbers; put it in front." if isinstance(entry, str) else ""
        raise TypeError(f"{type(layer).__name__} takes a tensor, got {type(first).__name__}.{advice}")
    try:
        ensure_built: Any = layer.ensure_built
        ensure_built(*(shape for shape in shapes if shape is not None))
    except TypeError as error:
        if not isinstance(first, (tuple, list)):
            raise
        raise TypeError(
            f"{type(layer).__name__} takes a tensor, got a {type(first).__name__} of {len(first)} tensors. To join "
            "them, put Concatenate() or another merging layer in front."
        ) from error


def _shape_of(value: Any) -> Any:
    """Return the shape of a tensor, the shapes in a list or a dict of tensors, or `None` for other arguments."""
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return (-1, -1, *value.data.shape[1:])
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, (tuple, list)) and value and all(isinstance(entry, Tensor) for entry in value):
        return tuple(entry.shape for entry in value)
    if isinstance(value, Mapping):
        shapes = {name: _shape_of(one) for name, one in value.items()}
        return {name: shape for name, shape in shapes.items() if shape is not None} or None
    return None
