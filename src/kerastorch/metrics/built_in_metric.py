"""BuiltInMetric: base of the metrics that kerastorch defines, and the conversion of what they are given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.array_conversion import to_tensors
from kerastorch.metrics.base import Metric
from kerastorch.metrics.variable import MetricVariable


class BuiltInMetric(Metric):
    """Base of kerastorch's own metrics, whose sums are in float64.

    In a pass over data, a metric gets many rows at once, prepared as its `output_format` says:

    - `'raw'`: the outputs of the model as they are.
    - `'scores'`: scores of classes, with the classes on the last axis.
    - `'values'`: predicted values; logits are converted to probabilities, logarithms to what they stand for.
    - `'probabilities'`: like `'values'`, and outputs that cannot be probabilities raise an error.
    - `'margins'`: outputs as they are, with targets in their shape.
    """

    @property
    def takes_logits(self) -> bool:
        """Whether the metric is made for logits, so that a pass over data does not convert them."""
        return bool(getattr(self, "from_logits", False))

    def add_sum(self, name: str, shape: tuple[int, ...] = ()) -> MetricVariable:
        """Return a new variable of zeros in float64.

        Args:
            name: Name in checkpoints.
            shape: Shape of the variable.
        """
        return self.add_variable(shape, dtype=torch.float64, aggregation="sum", name=name)

    def convert(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return what `update_state` was given as tensors, and move the state to the device of the outputs.

        Outputs of 16 bits are converted to float32.
        """
        y_true, y_pred, weight = to_tensors(y_true, y_pred, sample_weight)
        y_pred = y_pred.detach()
        if y_pred.dtype in (torch.bfloat16, torch.float16):
            y_pred = y_pred.float()
        self.to(y_pred.device)
        return y_true.detach().to(y_pred.device), y_pred, None if weight is None else weight.detach().to(y_pred.device)

    def finish(self, value: Tensor) -> Tensor:
        """Return a result in the dtype of the metric."""
        return value.to(self.dtype)


def divide_or_zero(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the quotient; 0 if the denominator is 0."""
    is_zero = denominator == 0
    return torch.where(is_zero, 0.0, numerator / torch.where(is_zero, 1.0, denominator))


def match_shapes(name: str, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Return targets and outputs in one shape; a last axis of size 1 may be missing in one of them.

    Args:
        name: Name of the metric, for the message.
        y_true: Targets.
        y_pred: Outputs.

    Raises:
        ValueError: The shapes differ in more than that.
    """
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        y_pred = y_pred.unsqueeze(-1)
    elif y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1:
        y_true = y_true.unsqueeze(-1)
    if y_true.shape != y_pred.shape:
        advice = (
            " If y_true holds class numbers, convert it with kerastorch.utils.to_categorical, or give compile() the "
            "name of the metric."
            if y_true.shape in (y_pred.shape[:-1], (*y_pred.shape[:-1], 1)) and y_pred.shape[-1] > 1
            else ""
        )
        raise ValueError(
            f"{name}: y_true has shape {tuple(y_true.shape)} and y_pred {tuple(y_pred.shape)}; the shapes must match."
            f"{advice}"
        )
    return y_true, y_pred


def spread_weight(name: str, weight: Tensor, shape: torch.Size) -> Tensor:
    """Return sample weights in float64 (float32 on MPS), in the shape of the values that they belong to.

    Args:
        name: Name of the metric, for the message.
        weight: `(batch,)`, `(batch, 1)`, or more of the axes of the values.
        shape: Shape of the values, `(batch, ...)`.

    Raises:
        ValueError: The shapes do not fit.
    """
    given = weight
    while weight.ndim > len(shape) and weight.shape[-1] == 1:
        weight = weight.squeeze(-1)
    weight = weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim))
    if weight.ndim != len(shape) or any(one not in (1, other) for one, other in zip(weight.shape, shape, strict=True)):
        raise ValueError(
            f"{name}: sample_weight has shape {tuple(given.shape)}, the values have {tuple(shape)}; give one for "
            f"each sample, shape ({shape[0] if len(shape) else 1},)."
        )
    return weight.to(widest_float(weight.device)).expand(shape)


def to_widest_float(values: Tensor) -> Tensor:
    """Return floats in the widest float dtype of their device, other values unchanged."""
    return values.to(widest_float(values.device)) if values.is_floating_point() else values


def widest_float(device: torch.device) -> torch.dtype:
    """Return float64, or float32 on devices without it."""
    return torch.float32 if device.type == "mps" else torch.float64
