"""Conversion of NumPy arrays and lists to tensors, for losses that are called by hand."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kerastorch.core.array_conversion import from_array, to_float_tensor


def to_tensors(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return targets, outputs and sample weights as tensors; tensors are returned unchanged.

    Outputs in an array get torch's default dtype, float32. Targets and sample weights keep their dtype, because losses
    align it themselves, and are moved to the device of the outputs.

    Args:
        y_true: Targets: a tensor, a NumPy array or a nested list.
        y_pred: Outputs, in the same forms.
        sample_weight: Weights of the samples, in the same forms, or `None`.
    """
    if not isinstance(y_pred, Tensor):
        y_pred = to_float_tensor(y_pred, "y_pred")
    if not isinstance(y_true, Tensor):
        y_true = from_array(y_true, "y_true").to(y_pred.device)
    if sample_weight is not None and not isinstance(sample_weight, Tensor):
        sample_weight = from_array(sample_weight, "sample_weight").to(y_pred.device)
    return y_true, y_pred, sample_weight
