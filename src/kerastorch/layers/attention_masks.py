"""Masks of the attention layers, and the softmax over what a mask permits."""

from __future__ import annotations

import torch
from torch import Tensor


def check_steps(name: str, query: Tensor, value: Tensor, key: Tensor, **masks: Tensor | None) -> None:
    """Raise if the numbers of steps of key, value and masks do not fit.

    torch's kernels do not check this.

    Args:
        name: Name of the layer, for the error message.
        query: `(batch, queries, dim)`.
        value: `(batch, keys, dim)`.
        key: `(batch, keys, dim)`.
        masks: Masks by name, each of them may be `None`: `query_mask`, `(batch, queries)`; `attention_mask`, `(...,
            queries, keys)`; all others, `(batch, keys)`. The batch size of a mask may be 1, and so may every size of
            `attention_mask`.

    Raises:
        ValueError: A shape does not fit.
    """
    queries, keys = query.shape[-2], value.shape[-2]
    if key.shape[-2] != keys:
        raise ValueError(
            f"{name} needs a key for each value: value has shape {tuple(value.shape)}, key {tuple(key.shape)}, which "
            f"are {keys} and {key.shape[-2]} steps. Arguments are in the order query, value, key."
        )
    for mask_name, mask in masks.items():
        if mask is None:
            continue
        if mask_name == "attention_mask":
            expected = f"end in {(queries, keys)}"
            fits = mask.ndim > 1 and all(a in (b, 1) for a, b in zip(mask.shape[-2:], (queries, keys), strict=True))
        else:
            steps = (query if mask_name == "query_mask" else value).shape[:-1]
            expected = f"be {tuple(steps)}"
            fits = mask.ndim == len(steps) and mask.shape[-1] == steps[-1]
            fits = fits and all(a in (b, 1) for a, b in zip(mask.shape[:-1], steps[:-1], strict=True))
        if not fits:
            raise ValueError(
                f"{name} got {mask_name} of shape {tuple(mask.shape)}, which must {expected}, for a query of shape "
                f"{tuple(query.shape)} and a value of shape {tuple(value.shape)}."
            )


def intersection(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Return the mask of what both masks permit; `None` permits everything."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def causal_mask(n_queries: int, n_keys: int, device: torch.device) -> Tensor:
    """Return the mask, `(n_queries, n_keys)`, that permits a position itself and earlier ones."""
    return torch.ones(n_queries, n_keys, dtype=torch.bool, device=device).tril()


def sliding_window_mask(n_queries: int, n_keys: int, width: int, device: torch.device) -> Tensor:
    """Return the mask, `(n_queries, n_keys)`, that permits less than `width` steps of distance."""
    distance = torch.arange(n_queries, device=device).unsqueeze(1) - torch.arange(n_keys, device=device)
    return distance.abs() < width


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Return the softmax over what the mask permits, and zeros if it permits nothing.

    It is computed along the last axis.

    Args:
        scores: `(..., queries, keys)`.
        mask: Boolean, broadcasts to the shape of `scores`; `None` permits everything.
    """
    if mask is None:
        return scores.softmax(-1)
    forbidden = ~mask
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(forbidden, lowest).softmax(-1).masked_fill(forbidden, 0)


def additive_mask(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask to add to scores: 0 if permitted, else -1e9 or the lowest `dtype` has."""
    large = min(1e9, torch.finfo(dtype).max)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, -large)
