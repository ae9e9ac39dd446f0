"""NonFiniteReport: where the first tensor that is not finite arose in a training step, and what helps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerastorch.runtime.tensor_stats import TensorStats

KINDS = ("input", "weight", "forward", "target", "loss", "gradient", "weight_gradient", "none")


@dataclass(frozen=True)
class Finding:
    """The first tensor of a training step that is not finite.

    Attributes:
        kind: `'input'`, `'weight'` (before the step), `'forward'` (the output of a layer), `'target'`, `'loss'`,
            `'gradient'` (of an activation), `'weight_gradient'`, or `'none'` if all tensors were finite.
        name: Path of the layer, name of the weight, or name of the input, as `"x['image']"`.
        layer: Class of the layer; empty for weights and inputs.
        value: `'nan'`, `'inf'` or `'-inf'`; empty for the kind `'none'`.
        operation: Name of the operation that returned the value, if it was seen.
        text: A clause that says all this.
    """

    kind: str
    name: str
    layer: str
    value: str
    operation: str
    text: str


@dataclass(frozen=True)
class LayerStats:
    """Statistics of one layer in the repeated step.

    Attributes:
        name: Path of the layer; empty for the model itself.
        layer: Name of its class.
        label: Name that the user has given to the layer, or its path.
        output: Statistics of its outputs: `minimum`, `maximum`, `finite_share`, `worst`. `None` if there are none.
        gradient: Statistics of the gradient of the outputs; `None` if there was none.
        weight_gradient: Statistics of the gradients of its own weights; `None` if there was none.
    """

    name: str
    layer: str
    label: str
    output: TensorStats | None
    gradient: TensorStats | None
    weight_gradient: TensorStats | None


@dataclass(frozen=True)
class NonFiniteReport:
    """What the repetition of a failed training step has shown. `print(report)` shows it with a table of the layers.

    Attributes:
        finding: The first tensor that is not finite.
        loss: Value of the loss in the repeated step; NaN if the step did not compute it.
        epoch: Number of the epoch, from 1; 0 if unknown.
        batch: Number of the batch in the epoch, from 1; 0 if unknown.
        learning_rates: Learning rate of each parameter group.
        remedies: Sentences on what usually helps.
        layers: Statistics of each layer, in the order of the forward pass.
    """

    finding: Finding
    loss: float
    epoch: int
    batch: int
    learning_rates: tuple[float, ...]
    remedies: tuple[str, ...]
    layers: tuple[LayerStats, ...]

    @property
    def where(self) -> str:
        """Return the epoch, the batch and the learning rate in words."""
        rates = ", ".join(f"{rate:.3g}" for rate in dict.fromkeys(self.learning_rates))
        shown = f" (learning rate {rates})" if rates else ""
        return f"epoch {self.epoch}, batch {self.batch}{shown}" if self.epoch else f"this step{shown}"

    @property
    def message(self) -> str:
        """Return the finding and the remedies in a few lines."""
        return "\n".join([f"In {self.where}: {self.finding.text}.", *(f"- {one}" for one in self.remedies)])

    def __str__(self) -> str:
        return f"{self.message}\n{self.table()}" if self.layers else self.message

    def __repr__(self) -> str:
        return f"<NonFiniteReport: {self.finding.text}>"

    def table(self) -> str:
        """Return the statistics of all layers as a table of text."""
        header = ("layer", "output min", "max", "finite", "gradient min", "max", "finite", "weight gradients finite")
        rows = [
            (
                f"{one.label or 'model'} ({one.layer})",
                *_cells(one.output),
                *_cells(one.gradient),
                _cells(one.weight_gradient)[2],
            )
            for one in self.layers
        ]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(size) if not at else cell.rjust(size) for at, (cell, size) in enumerate(cells))
            for cells in (list(zip(row, widths, strict=True)) for row in (header, *rows))
        ]
        return "\n".join(line.rstrip() for line in [lines[0], "-" * len(lines[0]), *lines[1:]])

    def to_json(self) -> dict[str, Any]:
        """Return the report as values of JSON."""
        return {
            "finding": vars(self.finding),
            "loss": self.loss if math.isfinite(self.loss) else str(self.loss),
            "epoch": self.epoch,
            "batch": self.batch,
            "learning_rates": list(self.learning_rates),
            "remedies": list(self.remedies),
            "layers": [
                {
                    "name": one.name,
                    "layer": one.layer,
                    **{
                        name: None if stats is None else stats.to_json()
                        for name, stats in (
                            ("output", one.output),
                            ("gradient", one.gradient),
                            ("weight_gradient", one.weight_gradient),
                        )
                    },
                }
                for one in self.layers
            ],
        }


def _cells(stats: TensorStats | None) -> tuple[str, str, str]:
    """Return minimum, maximum and finite share as text."""
    if stats is None:
        return "", "", ""
    share = 100 * stats.finite_share
    # a share that is not whole is never shown as 0 % or 100 %
    shown = f"{min(max(share, 0.01), 99.99):.2f}%" if 0 < share < 100 else f"{share:.0f}%"
    return _number(stats.minimum), _number(stats.maximum), shown


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"


def remedies_for(kind: str, rates: Sequence[float], dtypes: Mapping[str, bool]) -> tuple[str, ...]:
    """Return sentences on what usually helps against a finding.

    Args:
        kind: Kind of the finding.
        rates: Learning rates of the parameter groups.
        dtypes: Names of short dtypes in use, as `{"float16": True}`.
    """
    rate = max(rates, default=0.0)
    smaller = f"Lower the learning rate (now {rate:.3g})" if rate else "Lower the learning rate"
    half = ("float16 has no numbers above 65504: compute in bfloat16 or float32.",) if dtypes.get("float16") else ()
    return {
        "input": ("Check the data: rows with NaN or infinity must be removed or filled in.",),
        "target": ("Check the targets: rows with NaN or infinity must be removed or filled in.",),
        "weight": (f"An earlier step made them: {smaller[0].lower()}{smaller[1:]}, or clip gradients (clipnorm=1.0).",),
        "forward": (
            *half,
            f"{smaller}, or clip gradients (clipnorm=1.0), if the values grow from step to step; scale the inputs.",
            "Divisions, logarithms and roots need a small number: log(x + 1e-7), x / (y + 1e-7).",
        ),
        "loss": (
            *half,
            "Compute logarithms from logits (from_logits=True, log_softmax), or clamp their argument: log(0) is -inf.",
            f"{smaller} if the outputs grow from step to step.",
        ),
        "gradient": (
            *half,
            "The slope of a root or a norm at 0 is infinite: add a small number within it, sqrt(x + 1e-7).",
            "clipnorm does not help: the norm of a gradient with NaN is NaN.",
        ),
        "weight_gradient": (
            *half,
            "Look at the operation that uses this weight: a root, norm or division at 0, or a hook on the gradient.",
            "clipnorm does not help: the norm of a gradient with NaN is NaN.",
        ),
    }.get(
        kind,
        ("Operations that are not deterministic, or a state that no checkpoint contains, may have been different.",),
    )
