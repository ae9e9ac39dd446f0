"""Input: the symbolic input of a model."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.core.errors import check_int, mismatch
from kerastorch.core.keyword_hints import KeywordHints
from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES
from kerastorch.symbolic.fake_tensors import fake_mode
from kerastorch.symbolic.symbolic_tensor import Symbol


class Input(KeywordHints, Symbol):
    """The symbolic input of a functional model; in front of a `Sequential`, it builds the layers at once.

    Args:
        shape: The shape of one sample, without the batch axis; `None` for a size that varies.
        dtype: The dtype of the data: `torch.float32`, `"int64"`, ... Default: `torch.get_default_dtype()`.
        name: The name of the parameter of the model's `forward`. Default: `input`, numbered if there are several.
        batch_size: The size of the batch axis in Keras; it is checked, and the axis varies nevertheless. Default none.
        batch_shape: The shape with the batch axis, in place of `shape`. Default none.
        optional: Whether the model may be called with `None` for it, which layers are then given. Default `False`.

    Attributes:
        sample_shape: The shape of one sample.
        name: The argument of this name.
        optional: The argument of this name.

    Raises:
        ValueError: A size is not a positive integer or `None`; the dtype is unknown, or that of strings; the name is
            not a string.

    >>> x = Input(shape=(64,))
    >>> torch.relu(x).shape
    (None, 64)
    >>> x.example().shape
    torch.Size([1, 64])
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        dtype: Any = None,
        name: str | None = None,
        *,
        batch_size: int | None = None,
        batch_shape: Sequence[int | None] | None = None,
        optional: bool = False,
    ) -> None:
        if batch_size is not None:
            check_int("batch_size", batch_size)
        if (shape is None) == (batch_shape is None):
            raise ValueError("Input needs shape, without the batch axis, or batch_shape, with it.")
        shape = batch_shape[1:] if shape is None and batch_shape is not None else shape
        try:
            assert shape is not None
            self.sample_shape = tuple(None if size is None else check_int("size", size) for size in shape)
        except (TypeError, ValueError):
            expected = "a tuple of sizes >= 1 (None where one varies) without the batch axis"
            given: Any = shape
            raise mismatch(
                "shape", shape, expected, f"Write Input(({given},))." if type(given) is int else ""
            ) from None
        if isinstance(dtype, str):
            found = getattr(torch, dtype, None)
            if dtype in ("string", "str"):
                raise ValueError(
                    "Input: torch has no tensors of strings. Call StringLookup, TextVectorization or Hashing on the "
                    "data before they go into the model, and give Input the shape and dtype of what comes out."
                )
            if not isinstance(found, torch.dtype):
                raise mismatch("dtype", dtype, "a torch dtype or its name, as 'float32'")
            dtype = found
        if not isinstance(dtype, torch.dtype | None):
            raise mismatch("dtype", dtype, "a torch dtype or its name, as 'float32'")
        dtype = dtype or torch.get_default_dtype()
        if not isinstance(name, str | None):
            raise mismatch("name", name, "a string")
        with fake_mode():
            one, other = (
                torch.empty((batch, *(size or varying for size in self.sample_shape)), dtype=dtype)
                for batch, varying in zip(TRIAL_BATCH_SIZES, TRIAL_SIZES, strict=True)
            )
        super().__init__(None, (), {}, (one, other))
        self.name, self.optional = name, optional

    def example(self, varying: int = 1) -> torch.Tensor:
        """Return a batch of one sample of zeros, with the size `varying` for each axis that varies."""
        return torch.zeros((1, *(size or varying for size in self.sample_shape)), dtype=self.dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        # the examples on fake tensors cannot be pickled
        make = functools.partial(type(self), optional=self.optional) if self.optional else type(self)
        return make, (self.sample_shape, self.dtype, self.name)

    def __repr__(self) -> str:
        return f"Input(shape={self.sample_shape}, dtype={self.dtype})"
