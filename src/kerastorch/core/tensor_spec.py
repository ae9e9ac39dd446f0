"""Spec: what a model is given, without the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from kerastorch.core.nested import leaves, map_structure

TRIAL_BATCH_SIZES = (2, 3)  # run with both, what differs afterwards is known to vary
TRIAL_SIZES = (192, 320)  # the same for other axes that vary; they can be halved a few times


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one tensor.

    Attributes:
        shape: its sizes; `None` where one varies, the first of these being the batch's.
        dtype: `None` is torch's default.
    """

    shape: tuple[int | None, ...]
    dtype: torch.dtype | None = None

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """Of a batch, whose first axis varies."""
        return cls((None, *tensor.shape[1:]), tensor.dtype)

    def zeros(self, batch: int, varying: int) -> Tensor:
        """A tensor like this."""
        open_axes = [axis for axis, size in enumerate(self.shape) if size is None]
        sizes = [size or varying for size in self.shape]
        if open_axes:
            sizes[open_axes[0]] = batch
        return torch.zeros(sizes, dtype=self.dtype)


def specs_of(x: Any) -> Any:
    """The specs of a batch of inputs, in their structure; `None` where it is not all tensors."""
    if not all(isinstance(leaf, Tensor) and leaf.ndim for _, leaf in leaves(x)):
        return None
    return map_structure(TensorSpec.of, x)
