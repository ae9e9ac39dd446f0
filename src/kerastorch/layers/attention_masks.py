"""Attention's masks and weights: what the layers of attention share."""

from __future__ import annotations

import torch
from torch import Tensor


def check_steps(name: str, query: Tensor, value: Tensor, key: Tensor, **masks: Tensor | None) -> None:
    """Raise if key, value and masks do not have as many steps as each other; kernels of torch's do not look.

    Args:
        name: of the layer, for the message.
        query: `(batch, queries, dim)`.
        value: `(batch, keys, dim)`.
        key: `(batch, keys, dim)`.
        masks: by name, `(batch, queries)` for `query_mask`, `(batch, keys)` for others, `(..., queries, keys)` for
            `attention_mask`, in which a size may be 1; each may be `None`.

    Raises:
        ValueError: with the shapes.
    """
    queries, keys = query.shape[-2], value.shape[-2]
    if key.shape[-2] != keys:
        raise ValueError(
            f"{name} needs a key for each value: value has shape {tuple(value.shape)}, key {tuple(key.shape)}, which "
            f"are {keys} and {key.shape[-2]} steps. Arguments are in the order query, value, key."
        )
    for which, mask in masks.items():
        if mask is None:
            continue
        if which == "attention_mask":
            expected = f"end in {(queries, keys)}"
            fits = mask.ndim > 1 and all(a in (b, 1) for a, b in zip(mask.shape[-2:], (queries, keys), strict=True))
        else:
            steps = (query if which == "query_mask" else value).shape[:-1]
            expected = f"be {tuple(steps)}"
            fits = mask.ndim == len(steps) and mask.shape[-1] == steps[-1]
            fits = fits and all(a in (b, 1) for a, b in zip(mask.shape[:-1], steps[:-1], strict=True))
        if not fits:
            raise ValueError(
                f"{name} got {which} of shape {tuple(mask.shape)}, which must {expected}, for a query of shape "
                f"{tuple(query.shape)} and a value of shape {tuple(value.shape)}."
            )


def joined(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Join two masks: what both let through; `None` lets everything through."""
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
