"""The shape of the output of a module for inputs of a shape, without a call on data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from kerastorch.core.lazy_build import copy_module
from kerastorch.core.module_tree import is_built
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import Symbol, call, map_symbols


def output_shape(module: nn.Module, input_shapes: tuple[Any, ...]) -> Any:
    """Return the shape of what a module returns, with `None` for sizes that vary.

    The module is called on symbols; a copy of it, if it is not built.

    Args:
        module: The module.
        input_shapes: The shape of each input with the batch axis, or shapes in lists and dicts; `None` or -1 for sizes
            that vary.
    """
    called = module if is_built(module) else copy_module(module)
    result = call(called, *map(inputs_of, input_shapes))
    rows = _rows(input_shapes[0])

    def shape(symbol: Symbol) -> tuple[int | None, ...]:
        examples = (one.shape for one in symbol.values)  # `symbol.shape` would record a call for each size that varies
        sizes = [one if one == other else None for one, other in zip(*examples, strict=True)]
        return tuple([rows, *sizes[1:]] if sizes and sizes[0] is None else sizes)

    return map_symbols(result, shape)


def inputs_of(shape: Any) -> Any:
    """Return an `Input` for a shape, and a structure of them for a structure of shapes.

    Args:
        shape: The shape with the batch axis, or shapes in lists and dicts; `None` or -1 for sizes that vary.
    """
    if isinstance(shape, Mapping):
        return {key: inputs_of(one) for key, one in shape.items()}
    if _is_structure(shape):
        return [inputs_of(one) for one in shape]
    return Input([None if size in (None, -1) else size for size in shape[1:]])


def _rows(shape: Any) -> int | None:
    """Return the size of the batch axis of the first shape; `None` if it varies."""
    if isinstance(shape, Mapping):
        return _rows(next(iter(shape.values())))
    if _is_structure(shape):
        return _rows(shape[0])
    return None if shape[0] in (None, -1) else int(shape[0])


def _is_structure(shape: Any) -> bool:
    return len(shape) > 0 and isinstance(shape[0], (tuple, list, Mapping))
