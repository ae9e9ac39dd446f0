"""Shapes and dtypes of inputs, and the sizes with which models are tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from kerastorch.core.nested import leaves, map_structure

# Two sizes for each axis that varies: the sizes that differ between two runs are those that vary with the input.
TRIAL_BATCH_SIZES = (2, 3)  # rows
TRIAL_SIZES = (192, 320)  # of the other axes; convolutional networks can halve both six times
# Sizes of axes that vary, tried in this order until a lazy module can be built: windows need a large size, tables of
# positions a small one.
BUILD_SIZES = (32, 192, 8, 1)
# Sizes for `torch.export`, tried in this order. Rows: the first is traced, and torch takes a size of 1 for a constant.
# Other axes that vary: the sizes of two runs, and by how much each further axis is larger than the one before it.
EXPORT_BATCH_SIZES = (3, 2, 1)
EXPORT_SIZES = ((16, 24, 8), (16, 24, 0), (192, 320, 64), (192, 320, 0), (3, 4, 1), (3, 4, 0))


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one tensor.

    Attributes:
        shape: The sizes; `None` for an axis whose size varies. The first of these is the batch axis.
        dtype: `None` means torch's default dtype.
    """

    shape: tuple[int | None, ...]
    dtype: torch.dtype | None = None

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """Return the spec of a batch, whose first axis varies."""
        return cls((None, *tensor.shape[1:]), tensor.dtype)

    def zeros(self, batch: int, varying: int) -> Tensor:
        """Return zeros of this shape and dtype, with the given sizes of axes that vary.

        Args:
            batch: Number of rows.
            varying: Size of the other axes that vary.
        """
        open_axes = [axis for axis, size in enumerate(self.shape) if size is None]
        sizes = [size or varying for size in self.shape]
        if open_axes:
            sizes[open_axes[0]] = batch
        return torch.zeros(sizes, dtype=self.dtype)


def is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor is neither sparse nor nested."""
    return tensor.layout == torch.strided and not tensor.is_nested


def specs_of(x: Any) -> Any:
    """Return the specs of a batch in the same structure.

    `None` if a leaf is no dense tensor, or has no batch axis.
    """
    if not all(isinstance(leaf, Tensor) and leaf.ndim and is_dense(leaf) for _, leaf in leaves(x)):
        return None
    return map_structure(TensorSpec.of, x)
