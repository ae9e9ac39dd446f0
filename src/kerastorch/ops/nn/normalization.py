"""Means and variances, and normalizations by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_int
from kerastorch.ops.conversion import axes_of, result_type, to_tensor, to_tensors
from kerastorch.ops.numpy.shapes import squeeze
from kerastorch.ops.recording import op

__all__ = ["batch_normalization", "layer_normalization", "moments", "normalize", "rms_normalization"]

_EPSILON = 1e-7


@op
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance over axes.

    Args:
        x: Floats.
        axes: One axis or several.
        keepdims: Whether reduced axes stay, with size 1.
        synchronized: Only `False`; `distribution=` of `compile` synchronizes what several processes train.
    """
    if synchronized:
        raise ValueError("moments: synchronized=True is not supported.")
    x = to_tensor(x)
    dims = axes_of(x, axes)
    computed = x.float() if x.dtype == torch.float16 else x
    mean = computed.mean(dims, keepdim=True)
    variance = (computed - mean).square().mean(dims, keepdim=True)
    if not keepdims:
        mean, variance = squeeze(mean, dims), squeeze(variance, dims)
    limit = torch.finfo(x.dtype)
    return mean.clip(limit.min, limit.max).to(x.dtype), variance.clip(limit.min, limit.max).to(x.dtype)


@op
def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Tensor:
    """Return `(x - mean) / sqrt(variance + epsilon) * scale + offset`, with vectors along an axis.

    Args:
        x: A tensor.
        mean: A vector.
        variance: A vector.
        axis: The axis of `x` that the vectors belong to.
        offset: A vector. Default: zeros.
        scale: A vector. Default: ones.
        epsilon: Added to the variance.
    """
    x, mean, variance = to_tensors(x, mean, variance)
    shape = [1] * x.ndim
    shape[axis] = -1
    factor = torch.rsqrt(variance.reshape(shape) + epsilon)
    if scale is not None:
        factor = factor * to_tensor(scale, device=x.device).reshape(shape)
    found = (x - mean.reshape(shape)) * factor
    return found if offset is None else found + to_tensor(offset, device=x.device).reshape(shape)


@op
def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Tensor:
    """Return `(x - mean) / sqrt(variance + epsilon) * gamma + beta`, with mean and variance over axes.

    Args:
        x: Floats.
        gamma: Factors, in the shape of these axes. Default: ones.
        beta: What is added, in this shape. Default: zeros.
        axis: One axis or several.
        epsilon: Added to the variance. Default 1e-7.
        rms_scaling: Whether the mean is not subtracted and `beta` has no effect.
    """
    x = to_tensor(x)
    computed = x.to(result_type(x, torch.float32))
    axes = tuple(sorted(axes_of(x, axis)))
    mean = computed.mean(axes, keepdim=True)
    variance = (computed - mean).square().mean(axes, keepdim=True)
    factor = torch.rsqrt(variance + (_EPSILON if epsilon is None else epsilon))
    found = (computed if rms_scaling else computed - mean) * factor
    shape = [size if one in axes else 1 for one, size in enumerate(x.shape)]
    if gamma is not None:
        found = found * _shaped(gamma, computed, shape)
    if beta is not None and not rms_scaling:
        found = found + _shaped(beta, computed, shape)
    return found.to(x.dtype)


def _shaped(weight: Any, like: Tensor, shape: list[int]) -> Tensor:
    found = to_tensor(weight, like.dtype, like.device)
    return found if found.ndim == like.ndim else found.reshape(shape)


@op
def rms_normalization(
    x: Any, scale: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Tensor:
    """Return `x / sqrt(mean(x^2) + epsilon) * scale`, with the mean over axes.

    Args:
        x: Floats.
        scale: Factors that broadcast with `x`. Default: ones.
        axis: One axis or several.
        epsilon: Added to the mean. Default 1e-7.
    """
    x = to_tensor(x)
    computed = x.to(result_type(x, torch.float32))
    squares = computed.square().mean(axes_of(x, axis), keepdim=True)
    found = computed * torch.rsqrt(squares + (_EPSILON if epsilon is None else epsilon))
    if scale is not None:
        found = found * to_tensor(scale, computed.dtype, x.device)
    return found.to(x.dtype)


@op
def normalize(x: Any, axis: int | Sequence[int] | None = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """Return a tensor divided by its norm along axes.

    Args:
        x: Floats.
        axis: One axis or several.
        order: The order of the norm, an integer >= 1.
        epsilon: The least norm that is divided by. Default 1e-7.
    """
    x, order = to_tensor(x), check_int("order", order)
    x = x.unsqueeze(0) if x.ndim == 0 else x
    epsilon = _EPSILON if epsilon is None else epsilon
    if order == 2:
        inverse = torch.rsqrt(x.square().sum(axes_of(x, axis), keepdim=True))
        return x * inverse.clamp(max=min(1 / epsilon, torch.finfo(inverse.dtype).max))
    norm = torch.linalg.norm(x, ord=order, dim=axis, keepdim=True)
    return x / norm.clamp(min=epsilon)
