"""Embedding: a trained vector for each integer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch.core.errors import check_float, check_int, mismatch
from kerastorch.core.torch_class import TorchClass
from kerastorch.initializers import Initializer
from kerastorch.layers.base import Layer
from kerastorch.layers.keras_weight import keras_weight
from kerastorch.layers.weight_options import make_weight, set_weight_options
from kerastorch.symbolic.array_inputs import to_tensors


class Embedding(Layer):
    """Table of trained vectors: row `i` of `weight` for each integer `i`, as in `torch.nn.Embedding`.

    Once built, a layer that makes no masks is an instance of `torch.nn.Embedding`.

    Args:
        input_dim: Number of rows; the integers of the input are 0 to `input_dim - 1`.
        output_dim: Size of a row.
        embeddings_initializer: Fills `weight`, `(input_dim, output_dim)`. Default uniform.
        embeddings_regularizer: Penalty on `weight`, added to the training loss. Default none.
        embeddings_constraint: Constraint that is applied to `weight` after each step. A norm is by default that of a
            row; `dim=0` gives that of a column, the default of Keras. Default none.
        mask_zero: Whether 0 is padding; the mask of the output is then `True` for every other integer. Default `False`.
        weights: Initial rows, or a list with these rows as its only element; `get_config` leaves them out. Default
            `None` for rows from `embeddings_initializer`.
        name: Name of the layer. Default none.
        trainable: Whether the weights are trained. Default `True`.

    Shape: `(batch, ...)` -> `(batch, ..., output_dim)`. Floats are truncated to integers, as in Keras; `fit`,
    `evaluate` and `predict` raise an error for floats that are not whole.

    Raises:
        ValueError: When called on the CPU with an integer that is negative or at least `input_dim`.

    >>> Embedding(10, 3)(torch.tensor([[0, 9]])).shape
    torch.Size([1, 2, 3])
    """

    excluded_args = frozenset({"weights"})  # the state dict has them
    torch_class = TorchClass(nn.Embedding, {"num_embeddings": "input_dim", "embedding_dim": "output_dim"})

    weight: torch.nn.Parameter
    embeddings = keras_weight("weight")
    embeddings_initializer: Initializer

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
        set_weight_options(self, "embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        self.mask_zero = mask_zero
        self._initial_rows = None if weights is None else self._check_rows(weights)

    def _check_rows(self, weights: Any) -> Tensor:
        rows = weights[0] if isinstance(weights, list) and len(weights) == 1 else weights
        rows = torch.as_tensor(rows).detach().clone()
        if rows.shape != (self.input_dim, self.output_dim):
            raise mismatch("the shape of weights", tuple(rows.shape), f"{(self.input_dim, self.output_dim)}")
        return rows

    def build(self, input_shape: torch.Size | None = None) -> None:
        rows = self._initial_rows
        fill = None if rows is None else lambda weight: weight.copy_(rows)
        self.weight = make_weight(self, "embeddings", (self.input_dim, self.output_dim), "weight", initializer=fill)
        self._initial_rows = None

    def forward(self, x: Tensor) -> Tensor:
        indices = x if x.dtype in (torch.int64, torch.int32) else x.long()
        try:
            return F.embedding(indices, self.weight)
        except IndexError:
            wrong = indices[(indices < 0) | (indices >= self.input_dim)]
            raise ValueError(
                f"Embedding has rows 0 to {self.input_dim - 1} (input_dim={self.input_dim}), and its input has "
                f"{int(wrong[0])}."
            ) from None

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return to_tensors(self, (x,), {})[0][0].ne(0) if self.mask_zero else None

    def torch_attributes(self) -> dict[str, Any] | None:
        if self.mask_zero:  # a module in place of this layer would make no masks
            return None
        names = ("padding_idx", "max_norm")
        return dict.fromkeys(names) | {"norm_type": 2.0, "scale_grad_by_freq": False, "sparse": False}

    def extra_repr(self) -> str:
        return f"{self.input_dim}, {self.output_dim}{'' if self.built else ', unbuilt'}"


class ReversibleEmbedding(Embedding):
    """Embedding that can also compute logits: `layer(y, reverse=True)` is `y @ weight.T` (Press & Wolf 2016).

    Args:
        input_dim: Number of rows; the integers of the input are 0 to `input_dim - 1`.
        output_dim: Size of a row.
        tie_weights: Whether the reverse direction uses `weight`; if `False`, it has its own `reverse_weight`,
            `(input_dim, output_dim)`. Default `True`.
        embeddings_initializer: Fills `weight`, `(input_dim, output_dim)`, and `reverse_weight`. Default uniform.
        embeddings_regularizer: Penalty on `weight`, added to the training loss. Default none.
        embeddings_constraint: Constraint that is applied to `weight` after each step. Default none.
        mask_zero: Whether 0 is padding; the mask of the output is then `True` for every other integer. Default `False`.
        reverse_dtype: Dtype in which the reverse direction computes, as `"float32"` or a dtype of torch; `None`, the
            default, for that of its input.
        logit_soft_cap: Bound `c` of the logits of the reverse direction, `c * tanh(y / c)`; `None`, the default, for
            no bound.
        name: Name of the layer. Default none.
        trainable: Whether the weights are trained. Default `True`.

    Shape: `(batch, ...)` -> `(batch, ..., output_dim)`; with `reverse=True`,
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
        reverse_dtype: torch.dtype | str | None = None,
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
        found = getattr(torch, reverse_dtype, None) if isinstance(reverse_dtype, str) else reverse_dtype
        if reverse_dtype is not None and not (isinstance(found, torch.dtype) and found.is_floating_point):
            raise mismatch("reverse_dtype", reverse_dtype, "a floating-point dtype, as 'float32'")
        self.reverse_dtype = found
        self.logit_soft_cap = None if logit_soft_cap is None else check_float("logit_soft_cap", logit_soft_cap, above=0)

    def build(self, input_shape: torch.Size | None = None) -> None:
        super().build(input_shape)
        self.reverse_weight = None
        if not self.tie_weights:
            self.reverse_weight = self.add_weight((self.input_dim, self.output_dim), self.embeddings_initializer)

    def forward(self, x: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            return super().forward(x)
        weight: Tensor = self.weight if self.reverse_weight is None else self.reverse_weight
        if self.reverse_dtype is not None:
            x, weight = x.to(self.reverse_dtype), weight.to(self.reverse_dtype)
        y = F.linear(x, weight)
        return y if self.logit_soft_cap is None else self.logit_soft_cap * torch.tanh(y / self.logit_soft_cap)
