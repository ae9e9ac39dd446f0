"""The squared error of targets whose columns have different units, for the default networks of the estimators."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, mismatch
from kerastorch.losses.base import ValueLoss
from kerastorch.losses.regression import last_mean


class StandardizedSquaredError(ValueLoss):
    """`mean(((y_true - y_pred) / scale)^2)`: with standard deviations as scale, 1 minus the R² of a column.

    Args:
        scale: The scale of each column, > 0: a number, or a number for each.
        reduction: As in `Loss`.
        name: As in `Loss`.

    Shape: targets and outputs `(batch, columns)`.

    Raises:
        ValueError: A scale is not a number above 0.

    >>> StandardizedSquaredError([1.0, 10.0])(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 10.0]]))
    tensor(1.)
    """

    def __init__(
        self,
        scale: float | Sequence[float],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        given = scale if isinstance(scale, (list, tuple)) else [scale]
        self.scale = [check_float("scale", one, above=0) for one in given]
        if not self.scale:
            raise mismatch("scale", scale, "a number, or a number for each column")
        self._scales = torch.tensor(self.scale, dtype=torch.float64)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        scales = self._scales.to(y_pred.device, y_pred.dtype)
        return last_mean(((y_pred - y_true) / scales).square())
