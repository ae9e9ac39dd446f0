"""The rows of a summary: the calls of a model's parts, or its tree where it cannot be called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import fx, nn

from kerastorch.core.errors import mismatch
from kerastorch.core.module_tree import is_unbuilt, modules
from kerastorch.core.name_lookup import own_name
from kerastorch.inspection.call_recorder import Call, Shape


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        depth: 0 for a layer of the model, 1 for a part of it, ...
        name: its own, or that of its place.
        kind: the name of its class.
        shape: of what came out.
        params: how many, its parts' among them; `'shared'` from its second use on.
        trainable: `'yes'`, `'no'`, `'partly'`; `'-'` where there is nothing to train.
    """

    depth: int
    name: str
    kind: str
    shape: str
    params: str
    trainable: str


def of_calls(root: nn.Module, calls: Sequence[Call], depth: int) -> list[Row]:
    """The parts that were called, `depth` levels of them, and at the end what was not called and has parameters."""
    uses = Counter(_use(call) for call in calls if call.again)
    picked = [call for call in calls if 1 <= call.depth <= depth] or calls[:1]
    repeated = {_use(call): call for call in reversed(picked) if call.again}  # a loop over time steps is one row
    rows = [_of_call(call, uses[_use(call)]) for call in picked if not call.again or repeated[_use(call)] is call]
    if len(calls) > 1:
        rows += _rest(root, {id(part) for call in calls[1:] for part in modules(call.part)})
    return rows


def of_tree(root: nn.Module, depth: int) -> list[Row]:
    """The children of a module that cannot be called, since nobody knows on what."""
    rows: list[Row] = []
    seen: set[int] = set()

    def walk(part: nn.Module, level: int) -> None:
        for name, child in part._modules.items():
            if child is not None:
                again = id(child) in seen
                seen.add(id(child))
                rows.append(_row(level, own_name(child) or name, child, "?", again))
                if level + 1 < depth and not again:
                    walk(child, level + 1)

    walk(root, 0)
    return rows or [_row(0, own_name(root) or kind(root).lower(), root, "?", 0)]


def between(rows: Sequence[Row], layer_range: Sequence[str]) -> list[Row]:
    """From the first layer that the first pattern matches to the last one that the second does.

    Raises:
        ValueError: not two strings; a pattern that no layer's name begins with.
    """
    if isinstance(layer_range, str) or len(layer_range) != 2 or not all(isinstance(one, str) for one in layer_range):
        raise mismatch("layer_range", layer_range, "two names of layers, or patterns of them")
    tops = [index for index, row in enumerate(rows) if row.depth == 0]
    found = [[index for index in tops if re.match(pattern, rows[index].name)] for pattern in layer_range]
    for pattern, indices in zip(layer_range, found, strict=True):
        if not indices:
            raise ValueError(
                f"layer_range: no layer's name begins with {pattern!r}. "
                f"Layers: {', '.join(rows[index].name for index in tops)}."
            )
    begin, last = found[0][0], found[1][-1]
    begin, last = min(begin, last), max(begin, last)
    end = next((index for index in tops if index > last), len(rows))
    return list(rows[begin:end])


def kind(part: nn.Module) -> str:
    """The name of a module's class; of a view, that of what it is a view of, if that is more than a record of calls."""
    viewed = vars(part).get("module_viewed")
    return type(part if viewed is None or isinstance(viewed, fx.GraphModule) else viewed).__name__


def shown(shapes: Sequence[Shape]) -> str:
    """`(None, 64)`, or several of them."""
    return ", ".join(str(shape) for shape in shapes) or "-"


def trainable(parts: Iterable[nn.Module]) -> str:
    """Whether the parameters of these learn."""
    learns = {weight.requires_grad for part in parts for weight in part.parameters(recurse=False)}
    return {frozenset(): "-", frozenset({True}): "yes", frozenset({False}): "no"}.get(frozenset(learns), "partly")


def _use(call: Call) -> tuple[int, tuple[Shape, ...]]:
    return id(call.part), tuple(call.shapes)


def _of_call(call: Call, uses: int) -> Row:
    name = own_name(call.part) or call.path.removeprefix(f"{call.around}.") or kind(call.part).lower()
    return _row(max(call.depth - 1, 0), name, call.part, shown(call.shapes), uses if call.again else 0)


def _row(depth: int, name: str, part: nn.Module, shape: str, again: int) -> Row:
    inside = modules(part)
    count = (
        "shared" + (f" x{again}" if again > 1 else "")
        if again
        else "unbuilt"
        if any(map(is_unbuilt, inside))
        else f"{_count(part):,}"
    )
    return Row(depth, name, kind(part), shape, count, trainable(inside))


def _count(part: nn.Module) -> int:
    weights = {id(weight): weight for one in modules(part) for weight in one._parameters.values() if weight is not None}
    return sum(weight.numel() for weight in weights.values())


def _rest(root: nn.Module, called: set[int]) -> list[Row]:
    """What has parameters and is within nothing that was called."""
    rows = []
    own = sum(weight.numel() for weight in root.parameters(recurse=False))
    if own:
        rows.append(Row(0, "(its own)", "Parameter", "-", f"{own:,}", trainable([root])))

    def walk(part: nn.Module, path: str) -> None:
        for name, child in part.named_children():
            if id(child) in called:
                continue
            inside = [id(one) in called for one in modules(child)]
            if any(inside):
                walk(child, f"{path}{name}.")
            elif _count(child):
                rows.append(_row(0, own_name(child) or f"{path}{name}", child, "not called", 0))

    walk(root, "")
    return rows
