"""Attention's masks and weights: what the layers of attention share."""

from __future__ import annotations

import torch
from torch import Tensor


def joined(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """What both masks let through; `None` lets everything."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def causal(queries: int, keys: int, device: torch.device) -> Tensor:
    """`(queries, keys)`: a position attends to none behind it."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril()


def band(queries: int, keys: int, width: int, device: torch.device) -> Tensor:
    """`(queries, keys)`: a position attends to those less than `width` away."""
    distance = torch.arange(queries, device=device).unsqueeze(1) - torch.arange(keys, device=device)
    return distance.abs() < width


def softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Along the last axis, over what the mask lets through; all 0 where that is nothing."""
    if mask is None:
        return scores.softmax(-1)
    shut = ~mask
    return scores.masked_fill(shut, torch.finfo(scores.dtype).min).softmax(-1).masked_fill(shut, 0)


def penalty(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where the mask lets through, a large negative number elsewhere, to be added to scores."""
    large = min(1e9, torch.finfo(dtype).max)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, -large)
