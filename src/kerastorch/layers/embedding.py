"""Embedding: a row of a table for each whole number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import constraints, initializers, regularizers
from kerastorch.core.errors import check_float, check_int, mismatch
from kerastorch.layers.base import Layer


class Embedding(Layer):
    """Row `i` of `weight` for each whole number `i`: `torch.nn.Embedding`.

    Args:
        input_dim: how many rows; the numbers are below it.
        output_dim: how long a row is.
        embeddings_initializer: fills `weight`, `(input_dim, output_dim)`.
        embeddings_regularizer: penalty on `weight`.
        embeddings_constraint: what `weight` must satisfy after each step; a norm is that of a row (Keras' default is
            that of a column: `dim=0`).
        mask_zero: whether 0 is padding: `compute_mask` then says where there is another number.
        weights: the rows to start from, or a list with them alone; `get_config` leaves them out.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, ...)` -> `(batch, ..., output_dim)`. Floats are cut to integers, as in Keras; `fit` and its kin say
    so where they are none.

    Raises:
        ValueError: when called, a number that is negative or too large; on the CPU.

    >>> Embedding(10, 3)(torch.tensor([[0, 9]])).shape
    torch.Size([1, 2, 3])
    """

    excluded_args = frozenset({"weights"})  # the state dict has them

    weight: torch.nn.Parameter

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.input_dim = check_int("input_dim", input_dim)
        self.output_dim = check_int("output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self._start = None if weights is None else self._checked(weights)

    def _checked(self, weights: Any) -> Tensor:
        rows = weights[0] if isinstance(weights, list) and len(weights) == 1 else weights
        rows = torch.as_tensor(rows).detach().clone()
        if rows.shape != (self.input_dim, self.output_dim):
            raise mismatch("the shape of weights", tuple(rows.shape), f"{(self.input_dim, self.output_dim)}")
        return rows

    def build(self, input_shape: torch.Size) -> None:
        start = self._start
        self.weight = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer if start is None else lambda weight: weight.copy_(start),
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="weight",
        )
        self._start = None

    def forward(self, x: Tensor) -> Tensor:
        rows = x if x.dtype in (torch.int64, torch.int32) else x.long()
        try:
            return F.embedding(rows, self.weight)
        except IndexError:
            wrong = rows[(rows < 0) | (rows >= self.input_dim)]
            raise ValueError(
                f"Embedding has rows 0 to {self.input_dim - 1} (input_dim={self.input_dim}), and its input has "
                f"{int(wrong[0])}."
            ) from None

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return x.ne(0) if self.mask_zero else None

    def extra_repr(self) -> str:
        return f"{self.input_dim}, {self.output_dim}{'' if self.built else ', unbuilt'}"


class ReversibleEmbedding(Embedding):
    """An `Embedding` that also goes back: `layer(y, reverse=True)` is `y @ weight.T` (Press & Wolf 2016).

    Args:
        input_dim: see `Embedding`; so are the initializer, regularizer, constraint and `mask_zero`.
        output_dim: how long a row is.
        tie_weights: whether the way back takes `weight`, or a `reverse_weight` of its own, laid out alike.
        embeddings_initializer: fills `weight`.
        embeddings_regularizer: penalty on `weight`.
        embeddings_constraint: what `weight` must satisfy.
        mask_zero: whether 0 is padding.
        logit_soft_cap: `c * tanh(y / c)` of what comes out on the way back.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, ...)` -> `(batch, ..., output_dim)`; reversed,
    `(batch, ..., output_dim)` -> `(batch, ..., input_dim)`.

    >>> layer = ReversibleEmbedding(10, 3)
    >>> layer(layer(torch.tensor([[0, 9]])), reverse=True).shape
    torch.Size([1, 2, 10])
    """

    reverse_weight: torch.nn.Parameter | None

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        logit_soft_cap: float | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            name=name,
            trainable=trainable,
        )
        self.tie_weights = tie_weights
        self.logit_soft_cap = None if logit_soft_cap is None else check_float("logit_soft_cap", logit_soft_cap, above=0)

    def build(self, input_shape: torch.Size) -> None:
        super().build(input_shape)
        self.reverse_weight = None
        if not self.tie_weights:
            self.reverse_weight = self.add_weight((self.input_dim, self.output_dim), self.embeddings_initializer)

    def forward(self, x: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            return super().forward(x)
        y = F.linear(x, self.weight if self.reverse_weight is None else self.reverse_weight)
        return y if self.logit_soft_cap is None else self.logit_soft_cap * torch.tanh(y / self.logit_soft_cap)
