"""Summarize a model: layers, output shapes, parameters, multiply-adds and activations, as text or HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from kerastorch.core.module_tree import is_unbuilt, modules
from kerastorch.core.name_lookup import own_name
from kerastorch.core.nested import leaves
from kerastorch.core.tensor_spec import TRIAL_SIZES, ValueSpec
from kerastorch.inspection.module_profile import ModuleProfile, profile_module
from kerastorch.inspection.summary_rows import Row, class_name, rows_in_range, rows_of_calls, rows_of_tree
from kerastorch.inspection.text_table import format_bytes, to_html, to_text
from kerastorch.runtime.input_specs import has_varying_axes, resolve_input_specs

_UNKNOWN_SHAPES = "Shapes: not known. Pass them as summary(input_shape=(None, 64)) or summary(input_data=x)."
_NESTED = "Shapes: not shown, since the rows of nested tensors have several lengths."
_FIXED_SIZES = "Sizes: those of the data, since the model cannot be called with other lengths of the first axis."


@dataclass(frozen=True)
class Summary:
    """The content of a summary.

    Attributes:
        title: The line above the table.
        rows: Rows of the table.
        totals: Lines below the table.
        show_trainable: Whether the table has a column that says which layers are trainable.
    """

    title: str
    rows: list[Row]
    totals: list[str]
    show_trainable: bool = False

    def text(self, line_length: int) -> str:
        """Return the summary as text with lines of at most `line_length` characters."""
        return "\n".join([self.title, to_text(*self._table("└ "), line_length), *(f" {line}" for line in self.totals)])

    def _repr_html_(self) -> str:
        """Return the summary as HTML, which notebooks display."""
        totals = "<br>\n".join(html.escape(line) for line in self.totals)
        return f"<p><b>{html.escape(self.title)}</b></p>\n{to_html(*self._table('└ '))}\n<p>{totals}</p>"

    def _table(self, branch: str) -> tuple[list[str], list[list[str]], list[bool]]:
        """Return header, cells and alignment of the table; `branch` stands before the names of nested layers."""
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
    """Return the summary of any module; the arguments are those of `Model.summary`."""
    specs = resolve_input_specs(module, input_shape, input_data)
    if specs is None or _has_nested_tensors(specs):
        reason = _UNKNOWN_SHAPES if specs is None else _NESTED
        rows, totals = rows_of_tree(module, depth), [*_count_weights(module), reason]
    else:
        profile = profile_module(module, specs)
        rows = rows_of_calls(profile.module, profile.calls, depth)
        totals = [*_count_weights(profile.module), *_describe_costs(profile)]
        if profile.specs is not specs:
            totals.append(_FIXED_SIZES)
    if layer_range is not None:
        rows = rows_in_range(rows, layer_range)
    name = own_name(module) or class_name(module)
    return Summary(f'Model: "{name}"', rows, totals, show_trainable)


def _has_nested_tensors(specs: Any) -> bool:
    """Return whether inputs are nested tensors, whose operations cannot be counted."""
    values = [spec.value for _, spec in leaves(specs) if isinstance(spec, ValueSpec)]
    return any(isinstance(value, Tensor) and value.is_nested for value in values)


def _count_weights(module: nn.Module) -> list[str]:
    """Return lines with the numbers of elements in parameters and buffers; shared ones count once."""
    weights = [weight for weight in module.parameters() if not nn.parameter.is_lazy(weight)]
    trainable = [weight for weight in weights if weight.requires_grad]
    frozen = [weight for weight in weights if not weight.requires_grad]
    unbuilt = " so far: the model is not built" if any(map(is_unbuilt, modules(module))) else ""
    lines = [
        f"Total params: {_format_count(weights)}{unbuilt}",
        f"Trainable params: {_format_count(trainable)}",
        f"Non-trainable params: {_format_count(frozen)}",
    ]
    buffers = [buffer for buffer in module.buffers() if not nn.parameter.is_lazy(buffer) and buffer.numel()]
    return [*lines, f"Buffers: {_format_count(buffers)}, not counted as params"] if buffers else lines


def _format_count(tensors: Sequence[Tensor]) -> str:
    """Return the number of elements in tensors, and their size."""
    return f"{sum(tensor.numel() for tensor in tensors):,} ({format_bytes(sum(tensor.nbytes for tensor in tensors))})"


def _describe_costs(profile: ModuleProfile) -> list[str]:
    """Return lines with the multiply-adds and the saved activations of a sample, or of a call of a fixed batch size."""
    specs = profile.specs
    unit = "one sample" if has_varying_axes(specs) else "one call"
    if has_varying_axes(specs, beside_batch=True):
        unit += f" ({TRIAL_SIZES[0]} for sizes that vary)"
    lines = [f"Multiply-adds, {unit}: {profile.multiply_adds:,}"]
    if profile.activation_bytes is not None:
        lines.append(f"Kept for the backward pass, {unit}: {format_bytes(profile.activation_bytes)}")
    return lines
