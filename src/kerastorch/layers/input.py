"""Input: what a model will be given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.errors import mismatch, whole


class Input:
    """The shape and dtype of one sample, at the front of a `Sequential` that is to be built at once.

    Args:
        shape: of one sample, without the batch axis; `None` for a size that varies.
        dtype: `torch.float32`, `"float32"`, `"int64"`, ...; `None` is torch's default dtype.
        name: for messages.

    >>> Input(shape=(64,)).example().shape
    torch.Size([1, 64])
    """

    def __init__(self, shape: Sequence[int | None], dtype: Any = None, name: str | None = None) -> None:
        try:
            self.shape = tuple(None if size is None else whole("size", size) for size in shape)
        except (TypeError, ValueError):
            expected = "a tuple of sizes >= 1 (None where one varies) without the batch axis"
            raise mismatch("shape", shape, expected) from None
        if isinstance(dtype, str):
            found = getattr(torch, dtype, None)
            if not isinstance(found, torch.dtype):
                raise mismatch("dtype", dtype, "a torch dtype or its name, as 'float32'")
            dtype = found
        if not isinstance(dtype, torch.dtype | None):
            raise mismatch("dtype", dtype, "a torch dtype or its name, as 'float32'")
        self.dtype: torch.dtype = dtype or torch.get_default_dtype()
        self.name = name

    def example(self) -> torch.Tensor:
        """One sample of zeros, varying sizes being 1."""
        return torch.zeros((1, *(size or 1 for size in self.shape)), dtype=self.dtype)

    def __repr__(self) -> str:
        return f"Input(shape={self.shape}, dtype={self.dtype})"
