"""Shapes and dtypes of inputs, and the sizes with which models are tried."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from kerastorch.core.nested import copy_leaf, leaves, map_structure

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
        rows: Length of the first axis in the data that the spec was made from; `None` if there were no data.
    """

    shape: tuple[int | None, ...]
    dtype: torch.dtype | None = None
    rows: int | None = field(default=None, compare=False)

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """Return the spec of a batch, whose first axis varies."""
        return cls((None, *tensor.shape[1:]), tensor.dtype, tensor.shape[0])

    def fixed(self) -> Self:
        """Return the spec with the length that the first axis had in the data."""
        if self.rows is None or self.shape[:1] != (None,):
            return self
        return replace(self, shape=(self.rows, *self.shape[1:]))

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


class ValueSpec:
    """An input that is used as it was: an object, text, or a tensor that is not dense.

    Args:
        value: The input.
    """

    shape: tuple[int | None, ...] = ()
    dtype: torch.dtype | None = None

    def __init__(self, value: Any) -> None:
        self.value = value

    def zeros(self, batch: int, varying: int) -> Any:
        """Return a copy of the input, whatever the sizes."""
        return copy_leaf(self.value)

    def fixed(self) -> ValueSpec:
        """Return the spec itself."""
        return self


def is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor is neither sparse nor nested."""
    return tensor.layout == torch.strided and not tensor.is_nested


def specs_of(x: Any) -> Any:
    """Return the specs of a batch in the same structure, or `None` if there are no inputs.

    The first axis varies, unless its lengths differ among the tensors: then it is no axis of samples.
    """
    found = [leaf for _, leaf in leaves(x)]
    lengths = {leaf.shape[0] for leaf in found if _has_rows(leaf)}
    if not found:
        return None

    def spec(leaf: Any) -> TensorSpec | ValueSpec:
        if not _has_rows(leaf):
            return ValueSpec(leaf)
        return TensorSpec.of(leaf) if len(lengths) == 1 else TensorSpec(tuple(leaf.shape), leaf.dtype)

    return map_structure(spec, x)


def _has_rows(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and is_dense(leaf) and leaf.ndim > 0


def fixed_specs(specs: Any) -> Any:
    """Return specs with the lengths that the first axes had in the data; `None` if these are not known."""
    fixed = map_structure(lambda spec: spec.fixed(), specs)
    changes = any(one.shape != other.shape for (_, one), (_, other) in zip(leaves(specs), leaves(fixed), strict=True))
    return fixed if changes else None


def has_values(specs: Any) -> bool:
    """Return whether an input is no dense tensor, so that no other one can be made of its spec."""
    return any(isinstance(spec, ValueSpec) for _, spec in leaves(specs))
