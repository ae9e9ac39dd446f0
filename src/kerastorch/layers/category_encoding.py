"""CategoryEncoding, and the encoding of category numbers as vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.layers.base import Layer

VECTOR_MODES = ("one_hot", "multi_hot", "count")


class CategoryEncoding(Layer):
    """Encoding of category numbers as vectors of `num_tokens`, in the dtype that the layer was moved to.

    Args:
        num_tokens: Number of categories; the input has the integers 0 to `num_tokens - 1`.
        output_mode: `"multi_hot"` (default): 1 for each category of a sample; `"count"`: the number of its occurrences;
            `"one_hot"`: one vector for each integer.
        sparse: Must be `False`: there are no sparse outputs.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no trained weights.

    Shape: `(batch, n)` integers -> `(batch, num_tokens)`; `(n,)` is one sample. One-hot: `(batch, n)` ->
    `(batch, n, num_tokens)`, and `(batch, 1)` or `(batch,)` -> `(batch, num_tokens)`.

    For `"count"`, a call takes `count_weights`, of the shape of the input: each integer then counts as its weight
    instead of 1.

    Raises:
        ValueError: When called with an integer out of range. On an accelerator, and in compiled code, the error is
            torch's.

    >>> CategoryEncoding(4, "count")(torch.tensor([[0, 1], [3, 3]]))
    tensor([[1., 1., 0., 0.],
            [0., 0., 0., 2.]])
    """

    takes_integers = True
    _output_like: Tensor

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.num_tokens = check_int("num_tokens", num_tokens)
        self.output_mode = check_choice("output_mode", output_mode, VECTOR_MODES)
        self.sparse = check_not_sparse(sparse)
        # an empty buffer follows .to() and .double(), so that its dtype is that of the vectors
        self.register_buffer("_output_like", torch.empty(0), persistent=False)

    def forward(self, x: Tensor, count_weights: Tensor | None = None) -> Tensor:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(f"count_weights are for output_mode='count', this layer has {self.output_mode!r}.")
        check_integers(x, "CategoryEncoding")
        expected = f"CategoryEncoding takes numbers from 0 to {self.num_tokens - 1}"
        raise_if_any((x < 0) | (x >= self.num_tokens), x, expected)
        return encode_categories(x, self.output_mode, self.num_tokens, self._output_like.dtype, count_weights)

    def extra_repr(self) -> str:
        return f"{self.num_tokens}, {self.output_mode}"


def encode_categories(
    index: Tensor, mode: str, depth: int, dtype: torch.dtype, weights: Tensor | None = None
) -> Tensor:
    """Return vectors, `(..., depth)`, for the category numbers on the last axis of `index`.

    Args:
        index: Category numbers, 0 to `depth - 1`.
        mode: One of `VECTOR_MODES`. `"one_hot"` gives a vector for each number, the others one for each sample.
        depth: Size of a vector.
        dtype: Dtype of the vectors, unless there are weights.
        weights: For `"count"`: weight of each number, of the shape of `index`. Default 1.

    Raises:
        ValueError: Weights of a different shape.
    """
    index = index.long()
    if mode == "one_hot":
        index = index if index.ndim > 1 and index.shape[-1] == 1 else index.unsqueeze(-1)
    elif index.ndim == 0:
        index = index.unsqueeze(0)
    if mode != "count":
        return torch.zeros(*index.shape[:-1], depth, dtype=dtype, device=index.device).scatter(-1, index, 1)
    counts = torch.ones_like(index, dtype=dtype) if weights is None else weights
    if counts.shape != index.shape:
        raise ValueError(f"count_weights have shape {tuple(counts.shape)}, the input {tuple(index.shape)}.")
    zeros = torch.zeros(*index.shape[:-1], depth, dtype=counts.dtype, device=index.device)
    return zeros.scatter_add(-1, index, counts)


def raise_if_any(is_wrong: Tensor, x: Tensor, expected: str) -> None:
    """Raise an error that names a wrong element of `x`, if reading it needs no device synchronisation.

    Nothing is checked on accelerators, in compiled code and while tracing.

    Args:
        is_wrong: Whether each element of `x` is wrong.
        x: Input of a layer.
        expected: First part of the message.

    Raises:
        ValueError: An element is wrong.
    """
    if torch.compiler.is_compiling() or is_wrong.__class__ is not Tensor or is_wrong.device.type != "cpu":
        return
    if bool(is_wrong.any()):
        raise ValueError(f"{expected}, got {x[is_wrong].flatten()[0].item():g}.")


def check_integers(x: Tensor, name: str) -> None:
    """Raise an error unless `x` is a tensor of integers.

    Args:
        x: Input of a layer.
        name: Name of the layer, for the message.

    Raises:
        TypeError: No tensor, or a tensor of floats or complex numbers.
    """
    if not isinstance(x, Tensor) or x.is_floating_point() or x.is_complex():
        given = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{name} takes a tensor of integers, got {given}; use x.long(), or Input(dtype='int64').")


def check_not_sparse(sparse: bool) -> bool:
    """Return `False`, the only value of the argument `sparse`; raise a `ValueError` for others."""
    if sparse is not False:
        raise mismatch(
            "sparse", sparse, "False", "Layers after it take dense tensors; x.to_sparse() makes a sparse one."
        )
    return False
