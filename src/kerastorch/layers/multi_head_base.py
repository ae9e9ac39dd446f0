"""Base of the multi-head attention layers: projections, masks, dropout and the forward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_float, check_int
from kerastorch.layers.attention_axes import FoldedAxes, attended_axes
from kerastorch.layers.attention_masks import (
    causal_mask,
    check_steps,
    intersection,
    masked_softmax,
    sliding_window_mask,
)
from kerastorch.layers.base import Layer
from kerastorch.layers.core import Dense
from kerastorch.layers.options import LayerOptions
from kerastorch.layers.random_generator import RandomGenerator
from kerastorch.layers.weight_options import set_weight_options_from


@dataclass(frozen=True, kw_only=True)
class MultiHeadOptions(LayerOptions):
    """Options of both multi-head attention layers; `MultiHeadAttention` documents them."""

    dropout: float = 0.0
    use_bias: bool = True
    sliding_window: int | None = None
    flash_attention: None = None
    kernel_initializer: Any = "glorot_uniform"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    bias_regularizer: Any = None
    kernel_constraint: Any = None
    bias_constraint: Any = None
    use_gate: bool = False
    seed: int | None = None


class Masks(NamedTuple):
    """Masks of an attention with three axes; `check_steps` has their shapes."""

    query_mask: Tensor | None
    value_mask: Tensor | None
    key_mask: Tensor | None
    attention_mask: Tensor | None


class _MultiHeadBase(Layer):
    """Attention in several heads, between a projection into the heads and a projection back.

    Args:
        options: Constructor arguments of the layer.
    """

    supports_masking = True  # The output has the time steps of the query, so its mask is the mask of the first input.
    takes_channels_last = True
    _n_query_heads: int
    _n_key_value_heads: int
    _key_size: int  # size of a query or a key in one head
    _value_size: int  # size of a value in one head
    _output_shape: tuple[int, ...] | None = None  # of the features; None: as many as the query has
    attention_axes: int | Sequence[int] | None = None

    def __init__(self, options: MultiHeadOptions) -> None:
        super().__init__(
            name=options.name, trainable=options.trainable, activity_regularizer=options.activity_regularizer
        )
        if options.flash_attention is not None:
            raise ValueError(
                "flash_attention must be None: torch picks the fastest kernel by itself. To force one, call the model "
                "inside torch.nn.attention.sdpa_kernel(...)."
            )
        window = options.sliding_window
        self.dropout = check_float("dropout", options.dropout, least=0, below=1)
        self.use_bias = options.use_bias
        self.sliding_window = None if window is None else check_int("sliding_window", window)
        self.flash_attention = None
        set_weight_options_from(self, options, "kernel", "bias")
        self.use_gate = options.use_gate
        self._draws = RandomGenerator(options.seed)
        self.seed = self._draws.seed

    def build(self, query_shape: torch.Size) -> None:
        """Create the projections for queries of shape `(batch, ..., features)`.

        Raises:
            ValueError: The query has fewer than 3 axes, or not the axes that are attended over.
        """
        if len(query_shape) < 3:
            raise ValueError(f"{type(self).__name__} takes (batch, time, features), got shape {tuple(query_shape)}.")
        attended_axes(self, self.attention_axes, len(query_shape))
        self.query = self._make_projection(self._n_query_heads * self._key_size)
        self.key = self._make_projection(self._n_key_value_heads * self._key_size)
        self.value = self._make_projection(self._n_key_value_heads * self._value_size)
        gate_units = self._n_query_heads * self._value_size
        self.gate = self._make_projection(gate_units, "sigmoid") if self.use_gate else None
        self.attention_output = self._make_projection(
            query_shape[-1] if self._output_shape is None else math.prod(self._output_shape)
        )
        # The layer's own output is that of the last projection, and its penalty must be added only once.
        self.attention_output.activity_regularizer = None

    def _make_projection(self, units: int, activation: Any = None) -> Dense:
        dense = Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            activity_regularizer=self.activity_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
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
        """Return the attended values of each query, `(batch, queries, features)`.

        Inputs may have more axes than three. Those that are not attended are treated as a part of the batch; those that
        are attended take the place of `queries` and `keys` below.

        Args:
            query: `(batch, queries, features)`.
            value: `(batch, keys, features)`.
            key: `(batch, keys, features)`; default `value`.
            query_mask: `(batch, queries)`; a query where it is `False` attends to nothing.
            value_mask: `(batch, keys)`; no query attends to a value where it is `False`.
            key_mask: `(batch, keys)`; no query attends to a key where it is `False`.
            attention_mask: `(batch, queries, keys)`, `(queries, keys)` or `(batch, heads, queries, keys)`; `True` if
                the query may attend to the key.
            return_attention_scores: Whether to return `(output, weights)`, with weights of shape `(batch, heads,
                queries, keys)`.
            use_causal_mask: Whether a position attends only to itself and to earlier positions.

        Raises:
            ValueError: A key, value or mask of a shape that does not fit.
        """
        key = value if key is None else key
        axes = attended_axes(self, self.attention_axes, query.ndim)
        folded = None
        if query.ndim > 3:
            if len(axes) > 1 and (use_causal_mask or self.sliding_window is not None):
                raise ValueError(
                    f"{self.display_name()} attends over the axes {axes}, which have no order of time steps: a causal "
                    "mask and a sliding window need one axis, attention_axes=1."
                )
            folded, batch = FoldedAxes(self, query, value, axes), query.shape[0]
            query, value, key = folded.fold(query), folded.fold(value), folded.fold(key)
            query_mask, value_mask, key_mask = map(folded.fold_step_mask, (query_mask, value_mask, key_mask))
            attention_mask = folded.fold_attention_mask(attention_mask, batch)
        masks = Masks(query_mask, value_mask, key_mask, attention_mask)
        output, weights = self._attend(query, value, key, masks, return_attention_scores, use_causal_mask)
        if folded is not None:
            output = folded.unfold(output, batch)
            weights = None if weights is None else folded.unfold_weights(weights, batch)
        if self._output_shape is not None:
            output = output.unflatten(-1, self._output_shape)
        return (output, weights) if return_attention_scores else output

    def _attend(
        self, query: Tensor, value: Tensor, key: Tensor, masks: Masks, returns_weights: bool, use_causal_mask: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the output, `(batch, queries, features)`, and the weights if they were computed.

        The arguments are those of `forward`, with three axes.
        """
        n_heads, n_groups = self._n_query_heads, self._n_key_value_heads
        check_steps(self.display_name(), query, value, key, **masks._asdict())
        mask = self._combine_masks(query, value, masks)
        is_only_causal = use_causal_mask and mask is None and not returns_weights
        if use_causal_mask and not is_only_causal:
            mask = intersection(mask, causal_mask(query.shape[1], value.shape[1], query.device))
        gate = None if self.gate is None else self.gate(query)
        q = _split_heads(self.query(query), n_heads)  # (batch, heads, time, size)
        k, v = _split_heads(self.key(key), n_groups), _split_heads(self.value(value), n_groups)
        rate = self.dropout if self.training else 0.0
        weights = None
        if returns_weights or (rate and self.seed is not None):
            # torch's kernel returns no weights and has no seed, so the softmax is computed here.
            if is_only_causal:
                mask = causal_mask(query.shape[1], value.shape[1], query.device)
            if n_groups < n_heads:
                k, v = (x.repeat_interleave(n_heads // n_groups, 1) for x in (k, v))
            weights = masked_softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), mask)
            y = (weights * self._draws.dropout(weights.shape, rate, weights) if rate else weights) @ v
        else:
            y = F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, dropout_p=rate, is_causal=is_only_causal, enable_gqa=n_groups < n_heads
            )
        y = y.transpose(1, 2).flatten(2)  # (batch, queries, heads * size)
        return self.attention_output(y if gate is None else y * gate), weights

    def _combine_masks(self, query: Tensor, value: Tensor, masks: Masks) -> Tensor | None:
        """Return one mask for all masks and the sliding window, or `None` if there is none.

        Returns:
            A boolean mask that broadcasts to `(batch, heads, queries, keys)`.
        """
        mask = None
        if masks.query_mask is not None:
            mask = masks.query_mask.bool().unsqueeze(-1)
        for step_mask in (masks.value_mask, masks.key_mask):
            if step_mask is not None:
                mask = intersection(mask, step_mask.bool().unsqueeze(-2))
        if self.sliding_window is not None:
            window = sliding_window_mask(query.shape[1], value.shape[1], self.sliding_window, query.device)
            mask = intersection(mask, window)
        if mask is not None and mask.ndim == 3:
            mask = mask.unsqueeze(1)
        if masks.attention_mask is None:
            return mask
        attention_mask = masks.attention_mask.bool()
        return intersection(mask, attention_mask.unsqueeze(1) if attention_mask.ndim == 3 else attention_mask)


def _split_heads(x: Tensor, n_heads: int) -> Tensor:
    """Reshape `(batch, time, n_heads * size)` to `(batch, n_heads, time, size)`."""
    split: Tensor = x.unflatten(-1, (n_heads, -1))
    return split.transpose(1, 2)
