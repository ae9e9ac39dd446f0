"""ClassLabels: the class numbers in targets, which may be numbers themselves or one-hot."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kerastorch.losses.alignment import to_class_numbers
from kerastorch.losses.base import Loss
from kerastorch.losses.class_axis import is_one_hot
from kerastorch.losses.classification import SparseCategoricalCrossentropy
from kerastorch.losses.torch_losses import TorchLoss


@dataclass(frozen=True)
class ClassLabels:
    """Conversion of the targets of one output to class numbers.

    Attributes:
        one_hot_axis: Axis of the classes of one-hot targets; `None` if targets are class numbers.
    """

    one_hot_axis: int | None

    @classmethod
    def of(cls, y: Tensor, loss: Loss | None) -> ClassLabels:
        """Return the conversion that fits the first targets.

        Vectors and columns are class numbers. Two-dimensional targets are one-hot, unless the loss takes class numbers.
        Targets with more axes are one-hot if they have a single 1 along axis 1 or the last axis.

        Args:
            y: Targets, `(batch, ...)`.
            loss: Loss of the output, which may tell the form of its targets.

        Raises:
            ValueError: The targets have no class for each row or place.
        """
        if y.ndim == 1 or y.shape[1:].numel() == 1 or _takes_numbers(loss, y):
            return cls(None)
        axes = (1,) if y.ndim == 2 else (1, -1)
        for axis in axes:
            if y.shape[axis] > 1 and is_one_hot(y, axis):
                return cls(axis)
        if y.ndim > 2 and not (loss is not None and loss.task == "regression"):
            return cls(None)
        raise ValueError(f"class_weight needs one class for each row, y has shape {tuple(y.shape)}; use sample_weight.")

    def __call__(self, y: Tensor, is_checked: bool) -> Tensor:
        """Return class numbers, int64.

        Args:
            y: Targets, `(batch, ...)`.
            is_checked: Whether the targets are known to be valid; if not, their values are looked at.

        Raises:
            ValueError: A row is not one-hot, or a value is no whole number.
        """
        if self.one_hot_axis is not None:
            if not is_checked and not is_one_hot(y, self.one_hot_axis):
                raise ValueError(
                    f"class_weight needs one class for each row, y has shape {tuple(y.shape)} and a row has no 1 or "
                    "several; use sample_weight."
                )
            return y.to(torch.uint8).argmax(self.one_hot_axis)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y.flatten()
        elif y.ndim > 2 and y.shape[1] == 1:
            y = y.squeeze(1)
        elif y.ndim > 2 and y.shape[-1] == 1:
            y = y.squeeze(-1)
        return y.to(torch.int64) if is_checked else to_class_numbers(y)


def _takes_numbers(loss: Loss | None, y: Tensor) -> bool:
    """Return whether a loss takes class numbers in any shape, so that targets are not one-hot by chance."""
    if isinstance(loss, SparseCategoricalCrossentropy):
        return True
    if isinstance(loss, TorchLoss) and loss.task == "multiclass":
        return not y.is_floating_point()
    return loss is not None and loss.task == "binary" and y.ndim > 2
