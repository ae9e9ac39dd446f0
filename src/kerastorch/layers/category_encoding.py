"""CategoryEncoding, and how category numbers become vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.layers.base import Layer

VECTOR_MODES = ("one_hot", "multi_hot", "count")


class CategoryEncoding(Layer):
    """Category numbers as vectors of `num_tokens`, in the dtype the layer was moved to.

    Args:
        num_tokens: how many categories there are; the input is 0 to `num_tokens - 1`.
        output_mode: `"multi_hot"`: 1 for each category that is in the sample; `"count"`: how often it is;
            `"one_hot"`: a vector for each number.
        sparse: must be `False`; there are no sparse outputs.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, n)` integers -> `(batch, num_tokens)`; `(n,)` is one sample. One-hot: `(batch, n)` ->
    `(batch, n, num_tokens)`, and `(batch, 1)` or `(batch,)` -> `(batch, num_tokens)`.

    A call takes `count_weights`, of the input's shape: what each number counts instead of 1, for `"count"`. A number
    out of range is an error; on an accelerator, and compiled, it is torch's.

    >>> CategoryEncoding(4, "count")(torch.tensor([[0, 1], [3, 3]]))
    tensor([[1., 1., 0., 0.],
            [0., 0., 0., 2.]])
    """

    takes_integers = True
    _like: Tensor

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
        self.sparse = check_dense(sparse)
        self.register_buffer("_like", torch.empty(0), persistent=False)  # follows .to(): the dtype of the vectors

    def forward(self, x: Tensor, count_weights: Tensor | None = None) -> Tensor:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(f"count_weights are for output_mode='count', this layer has {self.output_mode!r}.")
        check_integers(x, "CategoryEncoding")
        outside = f"CategoryEncoding takes numbers from 0 to {self.num_tokens - 1}"
        raise_if_any((x < 0) | (x >= self.num_tokens), x, outside)
        return encode_categories(x, self.output_mode, self.num_tokens, self._like.dtype, count_weights)

    def extra_repr(self) -> str:
        return f"{self.num_tokens}, {self.output_mode}"


def encode_categories(
    index: Tensor, mode: str, depth: int, dtype: torch.dtype, weights: Tensor | None = None
) -> Tensor:
    """What `mode` makes of the numbers on the last axis of `index`: `(..., depth)`."""
    index = index.long()
    if mode == "one_hot":
        index = index if index.ndim > 1 and index.shape[-1] == 1 else index.unsqueeze(-1)
    elif index.ndim == 0:
        index = index.unsqueeze(0)
    if mode != "count":
        return torch.zeros(*index.shape[:-1], depth, dtype=dtype, device=index.device).scatter(-1, index, 1)
    counted = torch.ones_like(index, dtype=dtype) if weights is None else weights
    if counted.shape != index.shape:
        raise ValueError(f"count_weights have shape {tuple(counted.shape)}, the input {tuple(index.shape)}.")
    room = torch.zeros(*index.shape[:-1], depth, dtype=counted.dtype, device=index.device)
    return room.scatter_add(-1, index, counted)


def raise_if_any(wrong: Tensor, x: Tensor, sentence: str) -> None:
    """Raise where something is wrong, if looking is no wait and nothing is traced."""
    if torch.compiler.is_compiling() or wrong.__class__ is not Tensor or wrong.device.type != "cpu":
        return
    if bool(wrong.any()):
        raise ValueError(f"{sentence}, got {x[wrong].flatten()[0].item():g}.")


def check_integers(x: Tensor, name: str) -> None:
    """Refuse what holds no integers."""
    if not isinstance(x, Tensor) or x.is_floating_point() or x.is_complex():
        given = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{name} takes a tensor of integers, got {given}; use x.long(), or Input(dtype='int64').")


def check_dense(sparse: bool) -> bool:
    """Refuse `sparse=True`."""
    if sparse is not False:
        raise mismatch(
            "sparse", sparse, "False", "Layers after it take dense tensors; x.to_sparse() makes a sparse one."
        )
    return False
