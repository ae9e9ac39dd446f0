"""Attention and AdditiveAttention: without projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float
from kerastorch.layers.attention_masks import causal, check_steps, joined, penalty
from kerastorch.layers.base import Layer
from kerastorch.layers.random_generator import RandomGenerator


class Attention(Layer):
    """`softmax(scores) @ value` with `scores = query @ key.T` (Luong et al. 2015), not divided by a root.

    Products go through `torch.nn.functional.scaled_dot_product_attention`. The sums of `score_mode="concat"`, weights
    that are returned, and dropout with a `seed` cannot: there the softmax is written out.

    A query that may attend to nothing gets the mean of all values, as in Keras.

    Args:
        use_scale: whether scores are multiplied with a learned `scale`.
        score_mode: `"dot"`, or `"concat"`: `concat_score_weight * sum(tanh(scale * (query + key)))`.
        dropout: share of the weights that is set to 0 in training.
        seed: see `Dropout`.
        name: see `Layer`; so is `trainable`.

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
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        concat = self.score_mode == "concat"
        self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight") if concat else None

    def forward(
        self,
        inputs: Sequence[Tensor],
        mask: Sequence[Tensor | None] | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """See the class.

        Args:
            inputs: `[query, value]` or `[query, value, key]`.
            mask: `[query_mask, value_mask]`, `(batch, queries)` and `(batch, keys)`, each may be `None`: the output
                of a masked query is 0, a masked value is not attended to.
            return_attention_scores: whether the weights come out too, `(batch, queries, keys)`.
            use_causal_mask: whether a position attends to none behind it.
        """
        query, value, key = _three(self, inputs)
        query_mask, value_mask = (None, None) if mask is None else (mask[0], mask[1])
        check_steps(self.display_name(), query, value, key, query_mask=query_mask, value_mask=value_mask)
        lets = None if value_mask is None else value_mask.bool().unsqueeze(-2)
        only_causal = use_causal_mask and lets is None
        if use_causal_mask:
            lets = joined(lets, causal(query.shape[-2], key.shape[-2], query.device))
        share = self.dropout if self.training else 0.0
        weights = None
        if self._summed() or return_attention_scores or (share and self.seed is not None):
            scores = self._scores(query, key)
            weights = (scores if lets is None else scores + penalty(lets, scores.dtype)).softmax(-1)
            dropped = weights * self._draws.dropout(weights.shape, share, weights) if share else weights
            output = dropped @ value
        else:
            query = query if self.scale is None else query * self.scale
            added = None if lets is None or only_causal else penalty(lets, query.dtype)
            output = F.scaled_dot_product_attention(
                query, key, value, attn_mask=added, dropout_p=share, is_causal=only_causal, scale=1.0
            )
        if query_mask is not None:
            output = output.masked_fill(~query_mask.bool().unsqueeze(-1), 0)
        return (output, weights) if return_attention_scores else output

    def _summed(self) -> bool:
        """Whether scores are sums over the features, which no kernel of torch's computes."""
        return self.score_mode == "concat"

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        if self.score_mode == "dot":
            scores = query @ key.transpose(-2, -1)
            return scores if self.scale is None else scores * self.scale
        both = query.unsqueeze(-2) + key.unsqueeze(-3)  # (batch, queries, keys, dim)
        both = both if self.scale is None else self.scale * both
        scores = both.tanh().sum(-1)
        return scores if self.concat_score_weight is None else self.concat_score_weight * scores

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """That of the query."""
        return None if mask is None else mask[0]


class AdditiveAttention(Attention):
    """`softmax(scores) @ value` with `scores = sum(scale * tanh(query + key))` (Bahdanau et al. 2015).

    Its scores are no products, so no kernel of torch's computes them: the softmax is written out, and
    `(batch, queries, keys, dim)` numbers are held.

    Args:
        use_scale: whether there is a learned `scale`, `(dim,)`.
        dropout: share of the weights that is set to 0 in training.
        seed: see `Dropout`.
        name: see `Layer`; so is `trainable`.

    Shape: as `Attention`'s; so are masks.

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
        super().__init__(use_scale, "dot", dropout, seed, name=name, trainable=trainable)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(input_shape[0][-1:], name="scale") if self.use_scale else None

    def _summed(self) -> bool:
        return True

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        both = (query.unsqueeze(-2) + key.unsqueeze(-3)).tanh()  # (batch, queries, keys, dim)
        return both.sum(-1) if self.scale is None else both @ self.scale


def _three(layer: Layer, inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    if not isinstance(inputs, (tuple, list)) or len(inputs) not in (2, 3):
        given = f"{len(inputs)} of them" if isinstance(inputs, (tuple, list)) else type(inputs).__name__
        raise TypeError(f"{type(layer).__name__} takes a list, [query, value] or [query, value, key], got {given}.")
    return inputs[0], inputs[1], inputs[-1]
