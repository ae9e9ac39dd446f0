"""What attention in several heads shares: projections, masks, dropout and the way forward."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import constraints, initializers, regularizers
from kerastorch.core.errors import check_float, check_int
from kerastorch.layers.attention_masks import band, causal, check_steps, joined, softmax
from kerastorch.layers.base import Layer
from kerastorch.layers.core import Dense
from kerastorch.layers.random_generator import RandomGenerator


class _Heads(Layer):
    supports_masking = True  # the output has the steps of the query, whose mask comes first
    takes_channels_last = True
    _sizes: tuple[int, int, int, int]  # heads of the query, heads of key and value, size of a key, of a value
    _shape_out: tuple[int, ...] | None = None

    def _settle(
        self,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: None,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        use_gate: bool,
        seed: int | None,
    ) -> None:
        if flash_attention is not None:
            raise ValueError(
                "flash_attention must be None: torch picks the fastest kernel by itself. To force one, call the model "
                "inside torch.nn.attention.sdpa_kernel(...)."
            )
        self.dropout = check_float("dropout", dropout, least=0, below=1)
        self.use_bias = use_bias
        self.sliding_window = sliding_window if sliding_window is None else check_int("sliding_window", sliding_window)
        self.flash_attention = None
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.use_gate = use_gate
        self._draws = RandomGenerator(seed)
        self.seed = self._draws.seed

    def build(self, query_shape: torch.Size) -> None:
        if len(query_shape) != 3:
            raise ValueError(f"{type(self).__name__} takes (batch, time, features), got shape {tuple(query_shape)}.")
        heads, groups, key, value = self._sizes
        self.query = self._projection(heads * key)
        self.key = self._projection(groups * key)
        self.value = self._projection(groups * value)
        self.gate = self._projection(heads * value, "sigmoid") if self.use_gate else None
        width = query_shape[-1] if self._shape_out is None else math.prod(self._shape_out)
        self.attention_output = self._projection(width)
        # the penalty on the last projection's output is that on the layer's, which is the same
        self.attention_output.activity_regularizer = None

    def _projection(self, units: int, activation: Any = None) -> Dense:
        dense = Dense(
            units,
            activation,
            self.use_bias,
            self.kernel_initializer,
            self.bias_initializer,
            self.kernel_regularizer,
            self.bias_regularizer,
            self.activity_regularizer,
            self.kernel_constraint,
            self.bias_constraint,
        )
        return dense.to(self._placement)

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """See the class.

        Args:
            query: `(batch, queries, features)`.
            value: `(batch, keys, features)`.
            key: as `value`, which it is where it is not given.
            query_mask: `(batch, queries)`; a query masked attends to nothing.
            value_mask: `(batch, keys)`; a value masked is not attended to.
            key_mask: `(batch, keys)`, the same.
            attention_mask: `(batch, queries, keys)`, `(queries, keys)` or `(batch, heads, queries, keys)`; `True` where
                a query may attend.
            return_attention_scores: whether the weights come out too, `(batch, heads, queries, keys)`.
            use_causal_mask: whether a position attends to none behind it.
        """
        key = value if key is None else key
        heads, groups, *_ = self._sizes
        masks = {"query_mask": query_mask, "value_mask": value_mask, "key_mask": key_mask}
        check_steps(self.display_name(), query, value, key, **masks, attention_mask=attention_mask)
        mask = self._mask(query, value, query_mask, value_mask, key_mask, attention_mask)
        only_causal = use_causal_mask and mask is None and not return_attention_scores
        if use_causal_mask and not only_causal:
            mask = joined(mask, causal(query.shape[1], value.shape[1], query.device))
        gate = None if self.gate is None else self.gate(query)
        q = _split(self.query(query), heads)  # (batch, heads, time, size)
        k, v = _split(self.key(key), groups), _split(self.value(value), groups)
        share = self.dropout if self.training else 0.0
        weights = None
        if return_attention_scores or (share and self.seed is not None):
            if only_causal:
                mask = causal(query.shape[1], value.shape[1], query.device)
            k, v = (one.repeat_interleave(heads // groups, 1) if groups < heads else one for one in (k, v))
            weights = softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), mask)
            y = (weights * self._draws.dropout(weights.shape, share, weights) if share else weights) @ v
        else:
            y = F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, dropout_p=share, is_causal=only_causal, enable_gqa=groups < heads
            )
        y = y.transpose(1, 2).flatten(2)
        output = self.attention_output(y if gate is None else y * gate)
        if self._shape_out is not None:
            output = output.unflatten(-1, self._shape_out)
        return (output, weights) if return_attention_scores else output

    def _mask(
        self,
        query: Tensor,
        value: Tensor,
        query_mask: Tensor | None,
        value_mask: Tensor | None,
        key_mask: Tensor | None,
        attention_mask: Tensor | None,
    ) -> Tensor | None:
        """Of all masks one, `(batch, 1 or heads, queries, keys)`."""
        mask = None
        if query_mask is not None:
            mask = query_mask.bool().unsqueeze(-1)
        for one in (value_mask, key_mask):
            if one is not None:
                mask = joined(mask, one.bool().unsqueeze(-2))
        if self.sliding_window is not None:
            mask = joined(mask, band(query.shape[1], value.shape[1], self.sliding_window, query.device))
        if mask is not None and mask.ndim == 3:
            mask = mask.unsqueeze(1)
        if attention_mask is None:
            return mask
        given = attention_mask.bool()
        return joined(mask, given.unsqueeze(1) if given.ndim == 3 else given)


def _split(x: Tensor, heads: int) -> Tensor:
    """`(batch, time, heads * size)` -> `(batch, heads, time, size)`."""
    apart: Tensor = x.unflatten(-1, (heads, -1))
    return apart.transpose(1, 2)
