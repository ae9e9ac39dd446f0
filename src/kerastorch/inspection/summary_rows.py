"""Make the rows of a summary from the calls of submodules, or from the module tree if the inputs are not known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import fx, nn

from kerastorch.core.errors import mismatch
from kerastorch.core.module_tree import is_unbuilt, modules
from kerastorch.core.name_lookup import own_name
from kerastorch.core.sharded_modules import class_before_sharding
from kerastorch.inspection.call_recorder import Call, Shape


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        depth: Nesting level; 0 for a layer of the model, 1 for a part of such a layer, ...
        name: The layer's own name, or the name of its attribute.
        kind: The name of its class.
        shape: Output shapes.
        params: Number of elements in its parameters, nested ones included; `'shared'` if the layer was used before.
        trainable: `'yes'`, `'no'`, or `'partly'`; `'-'` for a layer without parameters.
    """

    depth: int
    name: str
    kind: str
    shape: str
    params: str
    trainable: str


def rows_of_calls(root: nn.Module, calls: Sequence[Call], depth: int) -> list[Row]:
    """Return rows of the submodules that were called, and at the end of those with parameters that were not called.

    Args:
        root: The model.
        calls: Calls of the model and its submodules, its own first.
        depth: Number of nesting levels to show.
    """
    uses = Counter(_use(call) for call in calls if call.is_repeated)
    shown = [call for call in calls if 1 <= call.depth <= depth] or calls[:1]
    # repeated calls with equal shapes share one row, because a loop over time steps makes many of them
    repeated = {_use(call): call for call in reversed(shown) if call.is_repeated}
    rows = [
        _row_of_call(call, uses[_use(call)]) for call in shown if not call.is_repeated or repeated[_use(call)] is call
    ]
    if len(calls) > 1:
        rows += _rows_not_called(root, {id(part) for call in calls[1:] for part in modules(call.module)})
    return rows


def rows_of_tree(root: nn.Module, depth: int) -> list[Row]:
    """Return rows of the children of a module whose inputs are not known; output shapes are `'?'`."""
    rows: list[Row] = []
    seen: set[int] = set()

    def walk(part: nn.Module, level: int) -> None:
        for name, child in part._modules.items():
            if child is not None:
                is_repeated = id(child) in seen
                seen.add(id(child))
                rows.append(_row(level, own_name(child) or name, child, "?", int(is_repeated)))
                if level + 1 < depth and not is_repeated:
                    walk(child, level + 1)

    walk(root, 0)
    return rows or [_row(0, own_name(root) or class_name(root).lower(), root, "?", 0)]


def rows_in_range(rows: Sequence[Row], layer_range: Sequence[str]) -> list[Row]:
    """Return the rows between two layers, which are included.

    Args:
        rows: Rows of a summary.
        layer_range: Two regular expressions; the first matches the beginning of the first layer's name, the second the
            beginning of the last layer's name.

    Raises:
        ValueError: `layer_range` is not two strings, or one of them matches no layer.
    """
    is_text = isinstance(layer_range, str)
    if is_text or len(layer_range) != 2 or not all(isinstance(pattern, str) for pattern in layer_range):
        raise mismatch("layer_range", layer_range, "two names of layers, or patterns of them")
    tops = [index for index, row in enumerate(rows) if row.depth == 0]
    matches = [[index for index in tops if re.match(pattern, rows[index].name)] for pattern in layer_range]
    for pattern, indices in zip(layer_range, matches, strict=True):
        if not indices:
            raise ValueError(
                f"layer_range: no layer's name begins with {pattern!r}. "
                f"Layers: {', '.join(rows[index].name for index in tops)}."
            )
    begin, last = matches[0][0], matches[1][-1]
    begin, last = min(begin, last), max(begin, last)
    end = next((index for index in tops if index > last), len(rows))
    return list(rows[begin:end])


def class_name(part: nn.Module) -> str:
    """Return the name of a module's class; for a view of a module, the name of the viewed module's class.

    A functional model is a view of a `torch.fx.GraphModule`, but is shown under the name of its own class.
    """
    viewed = vars(part).get("module_viewed")
    shown = part if viewed is None or isinstance(viewed, fx.GraphModule) else viewed
    return class_before_sharding(type(shown)).__name__


def format_shapes(shapes: Sequence[Shape]) -> str:
    """Return shapes as text, such as `(None, 64), (None, 8)`; `-` if there are none."""
    return ", ".join(str(shape) for shape in shapes) or "-"


def format_trainable(parts: Iterable[nn.Module]) -> str:
    """Return `'yes'`, `'no'` or `'partly'` according to the parameters of modules; `'-'` if there are none."""
    flags = {weight.requires_grad for part in parts for weight in part.parameters(recurse=False)}
    return {frozenset(): "-", frozenset({True}): "yes", frozenset({False}): "no"}.get(frozenset(flags), "partly")


def _use(call: Call) -> tuple[int, tuple[Shape, ...]]:
    """Return what calls have in common that are shown in one row: the module and the output shapes."""
    return id(call.module), tuple(call.shapes)


def _row_of_call(call: Call, uses: int) -> Row:
    """Return the row of a call; `uses` is the number of repeated calls that it stands for."""
    part = call.module
    name = own_name(part) or call.path.removeprefix(f"{call.caller}.") or class_name(part).lower()
    return _row(max(call.depth - 1, 0), name, part, format_shapes(call.shapes), uses if call.is_repeated else 0)


def _row(depth: int, name: str, part: nn.Module, shape: str, repeated: int) -> Row:
    """Return the row of a module; `repeated` is 0 for its first use, else the number of further uses."""
    inside = modules(part)
    if repeated:
        params = f"shared x{repeated}" if repeated > 1 else "shared"
    else:
        params = "unbuilt" if any(map(is_unbuilt, inside)) else f"{_count_params(part):,}"
    return Row(depth, name, class_name(part), shape, params, format_trainable(inside))


def _count_params(part: nn.Module) -> int:
    """Return the number of elements in the parameters of a module; a shared parameter counts once."""
    weights = {
        id(weight): weight for child in modules(part) for weight in child._parameters.values() if weight is not None
    }
    return sum(weight.numel() for weight in weights.values())


def _rows_not_called(root: nn.Module, called: set[int]) -> list[Row]:
    """Return rows of parameters outside the modules that were called.

    Args:
        root: The model.
        called: Ids of the called modules and of all modules in them.
    """
    rows = []
    own = sum(weight.numel() for weight in root.parameters(recurse=False))
    if own:
        rows.append(Row(0, "(its own)", "Parameter", "-", f"{own:,}", format_trainable([root])))

    def walk(part: nn.Module, path: str) -> None:
        for name, child in part.named_children():
            if id(child) in called:
                continue
            if any(id(part) in called for part in modules(child)):
                walk(child, f"{path}{name}.")
            elif _count_params(child):
                rows.append(_row(0, own_name(child) or f"{path}{name}", child, "not called", 0))

    walk(root, "")
    return rows
