"""Record the calls of submodules by hooks: their order, nesting and output shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int | None, ...]  # `None` for a size that varies


@dataclass
class Call:
    """One call of a module.

    Attributes:
        path: The path of the module in the root module; empty for the root.
        module: The module that was called.
        depth: Number of calls around this one; 0 for the call of the root.
        caller: The path of the module that made the call; empty for the root.
        is_repeated: Whether the module was called before.
        shapes: Shapes of the tensors in the output.
    """

    path: str
    module: nn.Module
    depth: int
    caller: str
    is_repeated: bool
    shapes: list[Shape]


@contextmanager
def record_calls(module: nn.Module) -> Iterator[list[Call]]:
    """Yield a list to which each call of `module` and its submodules is appended, in the order in which they begin.

    Calls within scripted modules (`torch.jit.ScriptModule`) are not recorded, because these take no hooks.
    """
    calls: list[Call] = []
    open_calls: list[Call] = []
    called: set[nn.Module] = set()

    def make_pre_hook(path: str) -> Callable[[nn.Module, Any], None]:
        def on_begin(part: nn.Module, _: Any) -> None:
            caller = open_calls[-1].path if open_calls else ""
            call = Call(path, part, len(open_calls), caller, part in called, [])
            called.add(part)
            calls.append(call)
            open_calls.append(call)

        return on_begin

    def on_end(_: nn.Module, __: Any, output: Any) -> None:
        open_calls.pop().shapes = shapes(output)

    with ExitStack() as stack:
        for path, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                continue
            stack.callback(part.register_forward_pre_hook(make_pre_hook(path), prepend=True).remove)
            stack.callback(part.register_forward_hook(on_end).remove)
        yield calls


def shapes(output: Any) -> list[Shape]:
    """Return the shapes of the tensors in a nested output."""
    return [tuple(tensor.shape) for tensor in tensors_in(output)]


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors in a nested input or output; a packed sequence counts as the tensor of its rows."""
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return [value.data]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in tensors_in(item)]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    return [value] if isinstance(value, Tensor) else []


def merge_calls(first: list[Call], second: list[Call]) -> list[Call]:
    """Return the calls of two runs with different sizes, with `None` for sizes that differ in their outputs.

    If the runs called different modules, return the calls of the first run.
    """
    if [call.path for call in first] != [call.path for call in second]:
        return first
    for call, other in zip(first, second, strict=True):
        call.shapes = merge_shapes(call.shapes, other.shapes)
    return first


def merge_shapes(first: list[Shape], second: list[Shape]) -> list[Shape]:
    """Return shapes with `None` for sizes that differ between two runs.

    >>> merge_shapes([(2, 7)], [(3, 7)])
    [(None, 7)]
    """
    return [
        tuple(a if a == b else None for a, b in zip(*pair, strict=True)) if len(pair[0]) == len(pair[1]) else pair[0]
        for pair in zip(first, second, strict=False)
    ]
