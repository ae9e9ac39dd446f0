"""Input: what a model will be given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.errors import mismatch


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
        if isinstance(shape, int) or not all(size is None or (isinstance(size, int) and size > 0) for size in shape):
            raise mismatch("shape", shape, "a tuple of sizes >= 1 (None where one varies) without the batch axis")
        if isinstance(dtype, str):
            found = getattr(torch, dtype, None)
            if not isinstance(found, torch.dtype):
                raise mismatch("dtype", dtype, "a torch dtype or its name, as 'float32'")
            dtype = found
        self.shape = tuple(shape)
        self.dtype: torch.dtype = dtype or torch.get_default_dtype()
        self.name = name

    def example(self) -> torch.Tensor:
        """One sample of zeros, varying sizes being 1."""
        return torch.zeros((1, *(size or 1 for size in self.shape)), dtype=self.dtype)

    def __repr__(self) -> str:
        return f"Input(shape={self.shape}, dtype={self.dtype})"
