"""Mean: the running mean of one logged number, stored on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.torch_private import is_view

FOLD = 256  # batches whose values are summed together
# Number of values on the CPU that are joined to one tensor: each small tensor that stays alive may keep the freed
# memory of its batch from being used again.
JOIN = 16


class Mean:
    """Weighted mean of one value per batch. Values stay on the device until the mean is read."""

    def __init__(self) -> None:
        self._values: list[Any] = []  # not joined yet
        self._counts: list[Any] = []
        self._means: Tensor | None = None  # joined since the last fold
        self._weights: Tensor | None = None
        self._pending = 0
        self._sum: Tensor | float = 0.0
        self._count: Tensor | float = 0

    def add(self, value: Any, count: Tensor | float) -> None:
        """Add the value of one batch, or a vector of the values of several.

        Sums are computed every `FOLD` batches, so that reading the mean in between does not change the result.

        Args:
            value: A number, a scalar tensor, or a vector.
            count: Weight of the batch; of several batches one weight for each of them, or a vector.
        """
        if isinstance(value, Tensor):
            value = unshared(value)
        elif isinstance(value, np.ndarray):
            value = torch.as_tensor(value).clone()
        self._values.append(value)
        self._counts.append(count)
        self._pending += 1
        if self._pending == FOLD:
            self._sum, self._count = self._totals()
            self._means, self._weights, self._pending = None, None, 0
        elif len(self._values) == JOIN and isinstance(value, Tensor) and value.device.type == "cpu":
            self._join()

    def _join(self) -> None:
        """Append the values of the last batches to those since the last fold."""
        means = _vector(self._values)
        weights = _weights(self._counts, self._values, means)
        if self._means is not None and self._weights is not None:
            means, weights = torch.cat([self._means, means]), torch.cat([self._weights, weights])
        self._means, self._weights = means, weights
        self._values, self._counts = [], []

    def _totals(self) -> tuple[Tensor | float, Tensor | float]:
        if self._values:
            self._join()
        if self._means is None or self._weights is None:
            return self._sum, self._count
        # a batch of weight 0 may have the value NaN, the mean of no rows
        total = torch.where(self._weights > 0, self._means * self._weights, 0.0).sum()
        return total + self._sum, self._weights.sum() + self._count

    def totals(self) -> tuple[float, float]:
        """Return the weighted sum and the sum of the weights, which add up over parts of the rows."""
        total, count = self._totals()
        if isinstance(total, Tensor) and isinstance(count, Tensor):
            total, count = torch.stack([total, count]).tolist()  # one device synchronisation for both
        return float(total), float(count)

    @staticmethod
    def of_parts(parts: Sequence[tuple[float, float]]) -> Mean:
        """Return the mean of all rows.

        Args:
            parts: `totals` of the means of parts of the rows.
        """
        mean = Mean()
        mean._sum, mean._count = sum(total for total, _ in parts), sum(count for _, count in parts)
        return mean

    def state_dict(self) -> dict[str, Any]:
        """Return all values that were added, folded or not."""
        self._totals()
        return {
            "means": self._means, "weights": self._weights, "pending": self._pending,
            "sum": self._sum, "count": self._count,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._values, self._counts = [], []
        self._means, self._weights, self._pending = state["means"], state["weights"], state["pending"]
        self._sum, self._count = state["sum"], state["count"]

    def read(self) -> float:
        """Return the mean so far; NaN before the first batch."""
        total, count = self.totals()
        return float(total / count) if count else float("nan")


def unshared(tensor: Tensor) -> Tensor:
    """Detach a tensor from its history and from memory that may be written to later.

    It is copied unless a function has just created it: it may be a parameter, a buffer, or a part of a batch whose
    memory the loader uses again.
    """
    if not tensor.requires_grad:
        return tensor.clone()
    is_new = tensor.grad_fn is not None and not is_view(tensor)
    return tensor.detach() if is_new else tensor.detach().clone()


def _precise(device: torch.device) -> torch.dtype:
    """Return the widest float dtype of a device."""
    return torch.float32 if device.type == "mps" else torch.float64


def _vector(values: Sequence[Any]) -> Tensor:
    """Join numbers, scalar tensors and vectors to one vector."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        return torch.tensor(values, dtype=torch.float64)
    device = tensors[0].device
    if len(tensors) == len(values) and len({(t.ndim, t.dtype, t.device) for t in tensors}) == 1:
        joined = torch.cat(tensors) if tensors[0].ndim == 1 else torch.stack(tensors).flatten()  # one call for all
        return joined.to(_precise(device))
    return torch.cat([torch.as_tensor(value).reshape(-1).to(device, _precise(device)) for value in values])


def _weights(counts: Sequence[Any], values: Sequence[Any], means: Tensor) -> Tensor:
    """Return the weight of each element of `means`, which was joined from `values`."""
    sizes = [value.numel() if isinstance(value, Tensor) else 1 for value in values]
    if not any(isinstance(count, Tensor) for count in counts):
        plain = torch.tensor(counts, dtype=means.dtype)
        if len(means) != len(sizes):
            plain = plain.repeat_interleave(torch.tensor(sizes))
        return plain.to(means.device)
    parts = [torch.as_tensor(count).detach().to(means.device, means.dtype).reshape(-1) for count in counts]
    return torch.cat([part.expand(size) for part, size in zip(parts, sizes, strict=True)])
