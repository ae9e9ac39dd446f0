"""The calls of a module's parts, seen by hooks: which, within which, and what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int | None, ...]


@dataclass
class Call:
    """One call of a part.

    Attributes:
        path: its name in the module's tree; that of the root is empty.
        part: the module called.
        depth: of calls around it.
        around: the path of the one that called it.
        again: whether it was called before.
        shapes: of the tensors that came out.
    """

    path: str
    part: nn.Module
    depth: int
    around: str
    again: bool
    shapes: list[Shape]


@contextmanager
def record_calls(module: nn.Module) -> Iterator[list[Call]]:
    """The calls of `module` and its parts from now on, in the order in which they begin."""
    found: list[Call] = []
    open_calls: list[Call] = []
    seen: set[nn.Module] = set()

    def begins(path: str) -> Any:
        def hook(part: nn.Module, _: Any) -> None:
            around = open_calls[-1].path if open_calls else ""
            call = Call(path, part, len(open_calls), around, part in seen, [])
            seen.add(part)
            found.append(call)
            open_calls.append(call)

        return hook

    def ends(_: nn.Module, __: Any, output: Any) -> None:
        open_calls.pop().shapes = shapes(output)

    with ExitStack() as stack:
        for path, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                continue
            stack.callback(part.register_forward_pre_hook(begins(path), prepend=True).remove)
            stack.callback(part.register_forward_hook(ends).remove)
        yield found


def shapes(output: Any) -> list[Shape]:
    """Of the tensors in what a module returned."""
    return [tuple(tensor.shape) for tensor in tensors_in(output)]


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in what a module takes or returns; of a packed sequence the packed rows."""
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return [value.data]
    if isinstance(value, (tuple, list)):
        return [tensor for one in value for tensor in tensors_in(one)]
    if isinstance(value, Mapping):
        return [tensor for one in value.values() for tensor in tensors_in(one)]
    return [value] if isinstance(value, Tensor) else []


def merged(one: list[Call], other: list[Call]) -> list[Call]:
    """Calls of two runs, with `None` for sizes that differ; those of the first where the runs went different ways."""
    if [call.path for call in one] != [call.path for call in other]:
        return one
    for call, twin in zip(one, other, strict=True):
        call.shapes = common(call.shapes, twin.shapes)
    return one


def common(one: list[Shape], other: list[Shape]) -> list[Shape]:
    """Shapes of two runs, with `None` for sizes that differ."""
    return [
        tuple(a if a == b else None for a, b in zip(*pair, strict=True)) if len(pair[0]) == len(pair[1]) else pair[0]
        for pair in zip(one, other, strict=False)
    ]
