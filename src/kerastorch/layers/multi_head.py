"""MultiHeadAttention and GroupQueryAttention: projections, attention in each head, a projection back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerastorch.core.errors import check_int, mismatch
from kerastorch.layers.multi_head_base import _Heads


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
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self.num_heads = check_int("num_heads", num_heads)
        self.key_dim = check_int("key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else check_int("value_dim", value_dim)
        self._sizes = self.num_heads, self.num_heads, self.key_dim, self.value_dim
        if output_shape is not None:
            sizes = output_shape if isinstance(output_shape, Sequence) else (output_shape,)
            self._shape_out = tuple(check_int("output_shape", size) for size in sizes)
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
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self.head_dim = check_int("head_dim", head_dim)
        self.num_query_heads = check_int("num_query_heads", num_query_heads)
        self.num_key_value_heads = check_int("num_key_value_heads", num_key_value_heads)
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
