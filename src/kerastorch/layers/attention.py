"""Attention and AdditiveAttention, attention layers without projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float
from kerastorch.layers.attention_masks import additive_mask, causal_mask, check_steps, intersection
from kerastorch.layers.base import Layer
from kerastorch.layers.random_generator import RandomGenerator


class Attention(Layer):
    """Dot-product attention, `softmax(scores) @ value` with `scores = query @ key.T` (Luong et al. 2015).

    The scores are not divided by the root of `dim`. torch's `scaled_dot_product_attention` does the work, unless
    `score_mode="concat"`, the weights are returned, or there is dropout with a `seed`: then the layer computes the
    softmax itself. If a query may attend to nothing, its output is the mean of all values, as in Keras.

    Args:
        use_scale: Whether scores are multiplied by a trained `scale`.
        score_mode: `"dot"`, or `"concat"` for `scores = concat_score_weight * sum(tanh(scale * (query + key)))`.
        dropout: Fraction of the attention weights that is set to 0 in training.
        seed: Seed of the dropout masks; `None` uses torch's global generator.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `[query, value]` or `[query, value, key]`, `(batch, queries, dim)` and twice `(batch, keys, dim)` ->
    `(batch, queries, dim of value)`.

    >>> Attention()([torch.zeros(2, 4, 3), torch.zeros(2, 6, 3)]).shape
    torch.Size([2, 4, 3])
    """

    scale: torch.nn.Parameter | None
    concat_score_weight: torch.nn.Parameter | None

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.use_scale = use_scale
        self.score_mode = check_choice("score_mode", score_mode, ("dot", "concat"))
        self.dropout = check_float("dropout", dropout, least=0, below=1)
        self._draws = RandomGenerator(seed)
        self.seed = self._draws.seed

    def build(self, input_shape: Any) -> None:
        """Create the scalar factors that the arguments ask for."""
        has_concat_weight = self.score_mode == "concat"
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        self.concat_score_weight = (
            self.add_weight((), "ones", name="concat_score_weight") if has_concat_weight else None
        )

    def forward(
        self,
        inputs: Sequence[Tensor],
        mask: Sequence[Tensor | None] | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Return the attended values of each query, `(batch, queries, dim of value)`.

        Args:
            inputs: `[query, value]` or `[query, value, key]`; the default key is `value`.
            mask: `[query_mask, value_mask]`, `(batch, queries)` and `(batch, keys)`, each of them may be `None`. If a
                mask is `False`, the output of that query is 0, or no query attends to that value.
            return_attention_scores: Whether to return `(output, weights)`, with weights of shape `(batch, queries,
                keys)`.
            use_causal_mask: Whether a position attends only to itself and to earlier positions.

        Raises:
            TypeError: `inputs` is not a list of 2 or 3 tensors.
            ValueError: A key, value or mask of a shape that does not fit.
        """
        query, value, key = _unpack_inputs(self, inputs)
        query_mask, value_mask = (None, None) if mask is None else (mask[0], mask[1])
        check_steps(self.display_name(), query, value, key, query_mask=query_mask, value_mask=value_mask)
        permitted = None if value_mask is None else value_mask.bool().unsqueeze(-2)  # (batch, 1, keys)
        is_only_causal = use_causal_mask and permitted is None
        if use_causal_mask:
            permitted = intersection(permitted, causal_mask(query.shape[-2], key.shape[-2], query.device))
        rate = self.dropout if self.training else 0.0
        weights = None
        # torch's kernel has wrong gradients for a query without any permitted key, because it subtracts -1e9 in float32
        has_kernel = self._has_kernel() and (permitted is None or is_only_causal)
        if not has_kernel or return_attention_scores or (rate and self.seed is not None):
            scores = self._scores(query, key)
            weights = (scores if permitted is None else scores + additive_mask(permitted, scores.dtype)).softmax(-1)
            output = (weights * self._draws.dropout(weights.shape, rate, weights) if rate else weights) @ value
        else:
            query = query if self.scale is None else query * self.scale
            output = F.scaled_dot_product_attention(
                query, key, value, dropout_p=rate, is_causal=is_only_causal, scale=1.0
            )
        if query_mask is not None:
            output = output.masked_fill(~query_mask.bool().unsqueeze(-1), 0)
        return (output, weights) if return_attention_scores else output

    def _has_kernel(self) -> bool:
        """Return whether the scores are products, which torch's kernel computes."""
        return self.score_mode == "dot"

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Return the scores before the softmax, `(batch, queries, keys)`."""
        if self.score_mode == "dot":
            scores = query @ key.transpose(-2, -1)
            return scores if self.scale is None else scores * self.scale
        sums = query.unsqueeze(-2) + key.unsqueeze(-3)  # (batch, queries, keys, dim)
        sums = sums if self.scale is None else self.scale * sums
        scores = sums.tanh().sum(-1)
        return scores if self.concat_score_weight is None else self.concat_score_weight * scores

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the query."""
        return None if mask is None else mask[0]


class AdditiveAttention(Attention):
    """Additive attention, `softmax(scores) @ value` with `scores = sum(scale * tanh(query + key))`.

    Source: Bahdanau et al. 2015. torch has no kernel for these scores, so they need memory for a tensor of shape
    `(batch, queries, keys, dim)`.

    Args:
        use_scale: Whether there is a trained `scale`, `(dim,)`.
        dropout: Fraction of the attention weights that is set to 0 in training.
        seed: Seed of the dropout masks; `None` uses torch's global generator.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `[query, value]` or `[query, value, key]`, `(batch, queries, dim)` and twice `(batch, keys, dim)` ->
    `(batch, queries, dim of value)`. Masks are those of `Attention`.

    >>> AdditiveAttention()([torch.zeros(2, 4, 3), torch.zeros(2, 6, 3)]).shape
    torch.Size([2, 4, 3])
    """

    def __init__(
        self,
        use_scale: bool = True,
        dropout: float = 0.0,
        *,
        seed: int | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(use_scale, dropout=dropout, seed=seed, name=name, trainable=trainable)

    def build(self, input_shape: Any) -> None:
        """Create the scale, one factor for each feature."""
        self.scale = self.add_weight(input_shape[0][-1:], name="scale") if self.use_scale else None

    def _has_kernel(self) -> bool:
        return False

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        features = (query.unsqueeze(-2) + key.unsqueeze(-3)).tanh()  # (batch, queries, keys, dim)
        return features.sum(-1) if self.scale is None else features @ self.scale


def _unpack_inputs(layer: Layer, inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return query, value and key; the default key is the value.

    Raises:
        TypeError: `inputs` is not a list of 2 or 3 tensors.
    """
    if not isinstance(inputs, (tuple, list)) or len(inputs) not in (2, 3):
        given = f"{len(inputs)} of them" if isinstance(inputs, (tuple, list)) else type(inputs).__name__
        raise TypeError(f"{type(layer).__name__} takes a list, [query, value] or [query, value, key], got {given}.")
    return inputs[0], inputs[1], inputs[-1]
