"""Attention of queries to keys, with heads of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.layers.attention_masks import causal_mask
from kerastorch.ops.conversion import common_tensors, to_tensor
from kerastorch.ops.recording import op

__all__ = ["dot_product_attention"]


@op
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """Return means of values, weighted by the softmax of the products of queries and keys.

    Args:
        query: `(batch, queries, heads, dim)`.
        key: `(batch, keys, key_heads, dim)`; each head of the keys serves `heads / key_heads` heads of the queries.
        value: `(batch, keys, key_heads, dim)`.
        bias: Added to the products; it broadcasts with `(batch, heads, queries, keys)`.
        mask: `True` where a query may attend to a key, in this shape.
        scale: The factor of the products. Default `1 / sqrt(dim)`.
        is_causal: Whether a query attends only to keys at its position and before.
        flash_attention: No effect: torch chooses the kernel.
        attn_logits_soft_cap: The limit of the products, `cap * tanh(x / cap)`. Default: none.

    Raises:
        ValueError: A tensor has not 4 axes, or both `bias` and `mask` are given.
    """
    query, key, value = common_tensors(query, key, value)
    if not query.ndim == key.ndim == value.ndim == 4:
        shapes = ", ".join(str(tuple(one.shape)) for one in (query, key, value))
        raise ValueError(f"dot_product_attention takes (batch, steps, heads, dim), got shapes {shapes}.")
    if bias is not None and mask is not None:
        raise ValueError("dot_product_attention takes bias or mask, not both.")
    query, key, value = (one.transpose(1, 2) for one in (query, key, value))
    groups = query.shape[1] // key.shape[1]
    key, value = (one.repeat_interleave(groups, dim=1) if groups > 1 else one for one in (key, value))
    added = _logit_mask(query, key, bias, mask, is_causal)
    if attn_logits_soft_cap is None:
        only_causal = is_causal and added is None
        found = F.scaled_dot_product_attention(query, key, value, added, is_causal=only_causal, scale=scale)
        return found.transpose(1, 2)
    products = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    products = attn_logits_soft_cap * torch.tanh(products / attn_logits_soft_cap)
    if added is None and is_causal:
        added = _as_logits(causal_mask(query.shape[2], key.shape[2], query.device), query)
    weights = torch.softmax(products if added is None else products + added, -1)
    return (weights @ value).transpose(1, 2)


def _logit_mask(query: Tensor, key: Tensor, bias: Any, mask: Any, is_causal: bool) -> Tensor | None:
    """Return what is added to the products, or `None` if it is nothing, or what `is_causal` alone means."""
    if bias is None and mask is None:
        return None
    causal = causal_mask(query.shape[2], key.shape[2], query.device)
    if mask is not None:
        mask = to_tensor(mask, torch.bool, query.device)
        return _as_logits(mask & causal if is_causal else mask, query)
    bias = to_tensor(bias, query.dtype, query.device)
    return bias + _as_logits(causal, query) if is_causal else bias


def _as_logits(mask: Tensor, like: Tensor) -> Tensor:
    """Return 0 where a mask permits, else a large negative number: a row without any permitted key is no NaN."""
    return torch.where(mask, 0.0, 0.7 * torch.finfo(like.dtype).min).to(like.dtype)
