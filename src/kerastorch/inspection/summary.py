"""A summary: layers, output shapes, parameters and what a call costs, as text and for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from kerastorch.core.module_tree import is_unbuilt, modules
from kerastorch.core.name_lookup import own_name
from kerastorch.core.tensor_spec import TRIAL_SIZES
from kerastorch.inspection import summary_rows
from kerastorch.inspection.module_profile import ModuleProfile, profile_module
from kerastorch.inspection.summary_rows import Row
from kerastorch.inspection.text_table import as_html, memory, text
from kerastorch.runtime.input_specs import has_varying_axes, resolve_input_specs


@dataclass(frozen=True)
class Summary:
    """What `summary()` shows.

    Attributes:
        title: the line above the table.
        rows: of the table.
        totals: the lines below it.
        show_trainable: whether there is a column for that.
    """

    title: str
    rows: list[Row]
    totals: list[str]
    show_trainable: bool = False

    def text(self, line_length: int) -> str:
        """For a terminal of so many columns."""
        return "\n".join([self.title, text(*self._table("└ "), line_length), *(f" {line}" for line in self.totals)])

    def _repr_html_(self) -> str:
        totals = "<br>\n".join(html.escape(line) for line in self.totals)
        return f"<p><b>{html.escape(self.title)}</b></p>\n{as_html(*self._table('└ '))}\n<p>{totals}</p>"

    def _table(self, branch: str) -> tuple[list[str], list[list[str]], list[bool]]:
        cells = [
            [
                f"{'  ' * row.depth}{branch if row.depth else ''}{row.name} ({row.kind})",
                row.shape,
                row.params,
                row.trainable,
            ]
            for row in self.rows
        ]
        columns = 4 if self.show_trainable else 3
        header = ["Layer (type)", "Output Shape", "Param #", "Trainable"][:columns]
        return header, [line[:columns] for line in cells], [False, False, True, False][:columns]


def summarize(
    module: nn.Module,
    *,
    depth: int = 1,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    input_shape: Any = None,
    input_data: Any = None,
) -> Summary:
    """Look at a module; the arguments are those of `Model.summary`."""
    given = resolve_input_specs(module, input_shape, input_data)
    seen = None if given is None else profile_module(module, given)
    rows = (
        summary_rows.of_tree(module, depth) if seen is None else summary_rows.of_calls(seen.module, seen.calls, depth)
    )
    if layer_range is not None:
        rows = summary_rows.between(rows, layer_range)
    totals = _weights(module if seen is None else seen.module)
    totals += _unknown() if seen is None else _costs(seen, given)
    name = own_name(module) or summary_rows.kind(module)
    return Summary(f'Model: "{name}"', rows, totals, show_trainable)


def _weights(module: nn.Module) -> list[str]:
    weights = [weight for weight in module.parameters() if not nn.parameter.is_lazy(weight)]
    learn = [weight for weight in weights if weight.requires_grad]
    rest = [weight for weight in weights if not weight.requires_grad]
    unbuilt = " so far: the model is not built" if any(map(is_unbuilt, modules(module))) else ""
    lines = [
        f"Total params: {_counted(weights)}{unbuilt}",
        f"Trainable params: {_counted(learn)}",
        f"Non-trainable params: {_counted(rest)}",
    ]
    buffers = [buffer for buffer in module.buffers() if not nn.parameter.is_lazy(buffer) and buffer.numel()]
    return [*lines, f"Buffers: {_counted(buffers)}, not counted as params"] if buffers else lines


def _counted(tensors: Iterable[Tensor]) -> str:
    tensors = list(tensors)
    return f"{sum(tensor.numel() for tensor in tensors):,} ({memory(sum(tensor.nbytes for tensor in tensors))})"


def _costs(seen: ModuleProfile, given: Any) -> list[str]:
    of = "one sample" if has_varying_axes(given) else "one call"
    if has_varying_axes(given, beside_batch=True):
        of += f" ({TRIAL_SIZES[0]} for sizes that vary)"
    lines = [f"Multiply-adds, {of}: {seen.multiply_adds:,}"]
    return lines if seen.kept is None else [*lines, f"Kept for the backward pass, {of}: {memory(seen.kept)}"]


def _unknown() -> list[str]:
    return ["Shapes: tell what the model is given, as summary(input_shape=(None, 64)) or summary(input_data=x)."]
