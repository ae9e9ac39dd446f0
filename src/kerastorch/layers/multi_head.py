"""MultiHeadAttention and GroupQueryAttention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerastorch.core.errors import check_int, mismatch
from kerastorch.layers.axes import check_axes
from kerastorch.layers.multi_head_base import MultiHeadOptions, _MultiHeadBase


class MultiHeadAttention(_MultiHeadBase):
    """Multi-head attention (Vaswani et al. 2017, section 3.2.2), computed by torch's `scaled_dot_product_attention`.

    The projections are `Dense` layers whose weights have the layout of `torch.nn.Linear`: `query`, `key` and `value`,
    each `(num_heads * size, features)` with the heads stacked, `attention_output`, and `gate` with `use_gate`.

    If a query may attend to nothing, the output of each head is zero. Keras does the same if there is dropout or if the
    weights are returned; without them, it takes the mean of the masked values.

    torch's kernel neither returns the weights nor has a seed. With `return_attention_scores`, and for dropout with a
    `seed`, the layer computes the softmax itself.

    Args:
        num_heads: Number of heads.
        key_dim: Size of queries and keys in each head.
        value_dim: Size of values in each head; default `key_dim`.
        dropout: Fraction of the attention weights that is set to 0 in training.
        use_bias: Whether the projections have biases.
        output_shape: Size, or sizes, of the last axis of the output; default the number of features of the query.
        attention_axes: Axis or axes that are attended over; `None` for all between the batch axis and the features. The
            query and the value have equal sizes on the other axes, which are treated as a part of the batch.
        sliding_window: Each query attends only to keys less than this number of steps away; `None` is no limit.
        flash_attention: Must be `None`, because torch selects the kernel.
        kernel_initializer: Initializer of the weights of the projections.
        bias_initializer: Initializer of the biases.
        kernel_regularizer: Penalty on the weights.
        bias_regularizer: Penalty on the biases.
        activity_regularizer: Penalty on the outputs of the projections, divided by the batch size.
        kernel_constraint: Constraint on the weights, applied after each optimizer step.
        bias_constraint: Constraint on the biases.
        use_gate: Whether the outputs of the heads are multiplied by `sigmoid(gate(query))` (Qiu et al. 2025).
        seed: Seed of the dropout masks; `None` uses torch's global generator.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `(batch, queries, features)`, `(batch, keys, features)` -> `(batch, queries, features)`. Inputs may have
    more axes, such as the height and width of channels-last images; the output keeps those of the query.

    >>> import torch
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
        super().__init__(MultiHeadOptions.from_arguments(locals()))
        self.num_heads = check_int("num_heads", num_heads)
        self.key_dim = check_int("key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else check_int("value_dim", value_dim)
        self._n_query_heads = self._n_key_value_heads = self.num_heads
        self._key_size, self._value_size = self.key_dim, self.value_dim
        if output_shape is not None:
            sizes = output_shape if isinstance(output_shape, Sequence) else (output_shape,)
            self._output_shape = tuple(check_int("output_shape", size) for size in sizes)
        self.output_shape = self._output_shape
        if isinstance(attention_axes, (tuple, list)):
            attention_axes = tuple(attention_axes)
        if attention_axes is not None:
            check_axes(attention_axes)
        self.attention_axes = attention_axes


class GroupQueryAttention(_MultiHeadBase):
    """Multi-head attention in which groups of query heads share one key and value head (Ainslie et al. 2023).

    Projections, masks and kernels are those of `MultiHeadAttention`.

    Args:
        head_dim: Size of queries, keys and values in each head.
        num_query_heads: Number of heads of the query.
        num_key_value_heads: Number of heads of key and value, a divisor of `num_query_heads`.
        dropout: Fraction of the attention weights that is set to 0 in training; for all other arguments, see
            `MultiHeadAttention`.

    Shape: `(batch, queries, features)`, `(batch, keys, features)` -> `(batch, queries, features)`.

    >>> import torch
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
        super().__init__(MultiHeadOptions.from_arguments(locals()))
        self.head_dim = check_int("head_dim", head_dim)
        self.num_query_heads = check_int("num_query_heads", num_query_heads)
        self.num_key_value_heads = check_int("num_key_value_heads", num_key_value_heads)
        if self.num_query_heads % self.num_key_value_heads:
            expected = f"a divisor of num_query_heads={num_query_heads}"
            raise mismatch("num_key_value_heads", num_key_value_heads, expected)
        self._n_query_heads, self._n_key_value_heads = self.num_query_heads, self.num_key_value_heads
        self._key_size = self._value_size = self.head_dim
