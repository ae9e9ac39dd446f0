"""Crossentropies without a mean, and the ratio of signal and noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.ops.conversion import to_tensors
from kerastorch.ops.recording import op

__all__ = ["binary_crossentropy", "categorical_crossentropy", "psnr", "sparse_categorical_crossentropy"]

_EPSILON = 1e-7  # probabilities are clipped to 1e-7 .. 1 - 1e-7


@op
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """Return `-y log p - (1 - y) log(1 - p)` for each element.

    Args:
        target: Targets in 0..1.
        output: Probabilities, in the shape of the targets.
        from_logits: Whether the outputs have not been through a sigmoid.
    """
    target, output = to_tensors(target, output)
    _check_shapes("binary_crossentropy", target, output)
    target = target.to(output.dtype)
    if from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    return F.binary_cross_entropy(output.clip(_EPSILON, 1 - _EPSILON), target, reduction="none")


@op
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Return `-sum(y log p)` over the classes; outputs that are no logits are divided by their sum first.

    Args:
        target: One-hot targets, or probabilities.
        output: Probabilities, in the shape of the targets.
        from_logits: Whether the outputs have not been through a softmax.
        axis: The axis of the classes.
    """
    target, output = to_tensors(target, output)
    _check_shapes("categorical_crossentropy", target, output)
    return -(target * _log_probabilities(output, from_logits, axis)).sum(axis)


@op
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Return `-log p` of the class that is the target; outputs that are no logits are divided by their sum first.

    Args:
        target: Class numbers, in the shape of the outputs without the axis of the classes, or with size 1 there.
        output: Probabilities.
        from_logits: Whether the outputs have not been through a softmax.
        axis: The axis of the classes.
    """
    target, output = to_tensors(target, output)
    if target.ndim == output.ndim and target.shape[axis] == 1:
        target = target.squeeze(axis)
    logs = _log_probabilities(output, from_logits, axis).movedim(axis, -1)
    if target.shape != logs.shape[:-1]:
        raise ValueError(
            "sparse_categorical_crossentropy: target must have the shape of output without the axis of the classes, "
            f"got {tuple(target.shape)} and {tuple(output.shape)}."
        )
    return -logs.gather(-1, target.long().unsqueeze(-1)).squeeze(-1)


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return torch.log_softmax(output, axis)
    return torch.log((output / output.sum(axis, keepdim=True)).clip(_EPSILON, 1 - _EPSILON))


def _check_shapes(name: str, target: Tensor, output: Tensor) -> None:
    if target.shape != output.shape or target.ndim < 1:
        raise ValueError(
            f"{name}: target and output must have one shape, got {tuple(target.shape)} and {tuple(output.shape)}."
        )


@op
def psnr(x1: Any, x2: Any, max_val: float) -> Tensor:
    """Return the peak signal-to-noise ratio of two tensors, in decibels; `max_val` is the largest possible signal."""
    x1, x2 = to_tensors(x1, x2)
    _check_shapes("psnr", x1, x2)
    peak = torch.full((), max_val, dtype=x1.dtype, device=x1.device)
    return 20 * torch.log10(peak) - 10 * torch.log10((x1 - x2).square().mean())
