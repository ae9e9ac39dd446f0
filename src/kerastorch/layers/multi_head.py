"""MultiHeadAttention and GroupQueryAttention: projections, attention in each head, a projection back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import constraints, initializers, regularizers
from kerastorch.errors import mismatch, number, whole
from kerastorch.layers.attending import band, causal, joined, softmax
from kerastorch.layers.base import Layer
from kerastorch.layers.core import Dense
from kerastorch.layers.drawing import Draws


class _Heads(Layer):
    supports_masking = True  # the output has the steps of the query, whose mask comes first
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
        self.dropout = number("dropout", dropout, least=0, below=1)
        self.use_bias = use_bias
        self.sliding_window = sliding_window if sliding_window is None else whole("sliding_window", sliding_window)
        self.flash_attention = None
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.use_gate = use_gate
        self._draws = Draws(seed)
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
        return dense.to(self._place)

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


class MultiHeadAttention(_Heads):
    """Attention in several heads (Vaswani et al. 2017, section 3.2.2), by `scaled_dot_product_attention` of torch.

    Its projections are `Dense` layers with weights laid out as `torch.nn.Linear`'s: `query`, `key`, `value`
    (`(num_heads * size, features)`, head by head), `attention_output` and, if asked for, `gate`. A query that may
    attend to nothing gets a zero from each head, always; Keras' layer does so with dropout or weights returned, and
    else takes the mean of the values that it may not see. Weights that are returned, and dropout with a `seed`, have no
    kernel: there the softmax is written out.

    Args:
        num_heads: how many heads.
        key_dim: size of queries and keys in a head.
        value_dim: size of values in a head; `None` is `key_dim`.
        dropout: share of the weights that is set to 0 in training.
        use_bias: whether projections have biases.
        output_shape: size or sizes of the output in the place of the features; `None`: those of the query.
        attention_axes: `None` or 1, the time; others would need more axes than the three that it takes.
        sliding_window: a query attends to what is less than that far away; `None`: to all.
        flash_attention: must be `None`; torch picks the kernel.
        kernel_initializer: fills the projections' weights.
        bias_initializer: fills their biases.
        kernel_regularizer: penalty on their weights.
        bias_regularizer: penalty on their biases.
        activity_regularizer: penalty on their outputs, over the batch size.
        kernel_constraint: what their weights must satisfy after each step.
        bias_constraint: what their biases must satisfy.
        use_gate: whether what the heads give is multiplied with `sigmoid(gate(query))` (Qiu et al. 2025).
        seed: see `Dropout`.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, queries, features)`, `(batch, keys, features)` -> `(batch, queries, features)`.

    >>> x = torch.zeros(2, 6, 8)
    >>> MultiHeadAttention(num_heads=2, key_dim=4)(x, x).shape
    torch.Size([2, 6, 8])
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self.num_heads = whole("num_heads", num_heads)
        self.key_dim = whole("key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else whole("value_dim", value_dim)
        self._sizes = self.num_heads, self.num_heads, self.key_dim, self.value_dim
        if output_shape is not None:
            sizes = output_shape if isinstance(output_shape, Sequence) else (output_shape,)
            self._shape_out = tuple(whole("output_shape", size) for size in sizes)
        self.output_shape = self._shape_out
        if attention_axes not in (None, 1, -2, (1,), [1], (-2,), [-2]):
            raise mismatch(
                "attention_axes", attention_axes, "None or 1", "Move other axes into the batch with reshape first."
            )
        self.attention_axes = attention_axes
        self._settle(
            dropout,
            use_bias,
            sliding_window,
            flash_attention,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            use_gate,
            seed,
        )


class GroupQueryAttention(_Heads):
    """Multi-head attention where several heads of the query share one of key and value (Ainslie et al. 2023).

    Projections, masks and kernels are those of `MultiHeadAttention`.

    Args:
        head_dim: size of each head.
        num_query_heads: how many heads the query has.
        num_key_value_heads: how many key and value have; a divisor of `num_query_heads`.
        dropout: see `MultiHeadAttention`; so are all others.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, queries, features)`, `(batch, keys, features)` -> `(batch, queries, features)`.

    >>> x = torch.zeros(2, 6, 8)
    >>> GroupQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
    torch.Size([2, 6, 8])
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self.head_dim = whole("head_dim", head_dim)
        self.num_query_heads = whole("num_query_heads", num_query_heads)
        self.num_key_value_heads = whole("num_key_value_heads", num_key_value_heads)
        if self.num_query_heads % self.num_key_value_heads:
            expected = f"a divisor of num_query_heads={num_query_heads}"
            raise mismatch("num_key_value_heads", num_key_value_heads, expected)
        self._sizes = self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim
        self._settle(
            dropout,
            use_bias,
            sliding_window,
            flash_attention,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            use_gate,
            seed,
        )


def _split(x: Tensor, heads: int) -> Tensor:
    """`(batch, time, heads * size)` -> `(batch, heads, time, size)`."""
    apart: Tensor = x.unflatten(-1, (heads, -1))
    return apart.transpose(1, 2)
