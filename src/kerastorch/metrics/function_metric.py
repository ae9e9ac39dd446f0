"""FunctionMetric: a function of all rows of a pass as a metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.torch_private import pytree
from kerastorch.losses.alignment import align_targets
from kerastorch.losses.argument_order import Order
from kerastorch.losses.broadcasting import without_broadcasting


class FunctionMetric:
    """A function of all rows as a metric.

    Rows are stored, and `compute` calls the function once.

    Args:
        function: Takes targets and outputs; returns a number, a tensor, or a dict of them.
        order: The order in which it takes them.
        name: Name for error messages.
    """

    def __init__(self, function: Callable[..., Any], order: Order, name: str) -> None:
        self.function, self._order, self._name = function, order, name
        self.rows: list[tuple[Tensor, Tensor]] = []

    def to(self, device: torch.device) -> None:
        """Do nothing: rows stay on the device that they come from."""

    def update(self, y_pred: Tensor, y_true: Tensor) -> None:
        if self.rows:
            before = self.rows[0]
            if before[0].shape[1:] != y_pred.shape[1:] or before[1].shape[1:] != y_true.shape[1:]:
                raise ValueError(
                    f"metric {self._name!r} is a function, which is called once on all rows, and batches differ in "
                    f"shape: outputs {tuple(before[0].shape)} and {tuple(y_pred.shape)}. Pad all batches to one "
                    "length, or write a subclass of kerastorch.metrics.Metric, which is updated batch by batch."
                )
        self.rows.append((y_pred, y_true))

    def compute(self) -> Any:
        y_pred = torch.cat([row[0] for row in self.rows])
        y_true = torch.cat([row[1] for row in self.rows])
        aligned = align_targets(self._name, y_true, y_pred)
        outcome = without_broadcasting(self._name, self._call, y_true, aligned, y_pred)
        value = _means(outcome.value)
        if outcome.used_numpy and not outcome.as_given and y_true.shape != aligned.shape:
            self._check_numpy_broadcasting(value, y_true, aligned, y_pred)
        return value

    def _check_numpy_broadcasting(self, value: Any, y_true: Tensor, aligned: Tensor, y_pred: Tensor) -> None:
        """Raise an error if a function with NumPy has a different value for unaligned targets."""
        try:
            unaligned_value = _means(self._call(y_true, y_pred))
        except Exception:  # the function requires aligned targets
            return
        pairs = zip(pytree.tree_leaves(value), pytree.tree_leaves(unaligned_value), strict=True)
        for one, two in pairs:
            if not torch.allclose(one, two, rtol=1e-4, atol=1e-6, equal_nan=True):
                raise ValueError(
                    f"{self._name} gives {one:g} for y of shape {tuple(aligned.shape)} and {two:g} for y of shape "
                    f"{tuple(y_true.shape)}, beside outputs {tuple(y_pred.shape)}: NumPy broadcasts. Bring both to one "
                    "shape in the function: y_true.reshape(y_pred.shape)."
                )

    def _call(self, y_true: Tensor, y_pred: Tensor) -> Any:
        return self.function(y_true, y_pred) if self._order == "keras" else self.function(y_pred, y_true)

    def merge(self, others: Sequence[Any]) -> None:
        """Append the rows of other accumulators."""
        for one in others:
            for row in one.rows:
                self.update(*row)

    def reset(self) -> None:
        self.rows = []


def _means(value: Any) -> Any:
    """Return the mean of a tensor or number; of a dict, the mean of each entry."""
    if isinstance(value, Mapping):
        return {str(key): _means(one) for key, one in value.items()}
    return torch.as_tensor(value).float().mean()
