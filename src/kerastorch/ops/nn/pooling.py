"""Pooling of windows of sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from kerastorch.core.errors import check_choice
from kerastorch.layers import adaptive_pooling, pooling
from kerastorch.ops.conversion import to_tensor
from kerastorch.ops.nn.data_format import check_rank, from_channels_first, sizes, to_channels_first
from kerastorch.ops.recording import op

__all__ = ["adaptive_average_pool", "adaptive_max_pool", "average_pool", "max_pool"]


@op
def max_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the maximum of each window.

    Args:
        inputs: `(batch, *sizes, channels)`, or `(batch, channels, *sizes)` if channels are first.
        pool_size: Size of a window along each axis.
        strides: Distance of windows along each axis. Default: `pool_size`.
        padding: `"valid"`, or `"same"` for `ceil(size / stride)` windows.
        data_format: `"channels_last"`, the default, or `"channels_first"`.
    """
    return _pooled(pooling.max_pool, "max_pool", inputs, pool_size, strides, padding, data_format)


@op
def average_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the mean of each window, in which padding does not count; arguments as in `max_pool`."""
    return _pooled(pooling.average_pool, "average_pool", inputs, pool_size, strides, padding, data_format)


def _pooled(
    pool: Callable[..., Tensor],
    name: str,
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None,
    padding: str,
    data_format: str | None,
) -> Tensor:
    x = to_tensor(inputs)
    rank = check_rank(name, x)
    window = sizes("pool_size", pool_size, rank)
    steps = window if strides is None else sizes("strides", strides, rank)
    padding = check_choice("padding", padding, ("valid", "same"))
    x = to_channels_first(x, data_format)
    found = pooling.pool_padded(
        lambda x, amounts, ceil_mode: pool(x, window, steps, amounts, ceil_mode), x, window, steps, padding
    )
    return from_channels_first(found, data_format)


@op
def adaptive_max_pool(inputs: Any, output_size: int | Sequence[int], data_format: str | None = None) -> Tensor:
    """Return the maximum of each of `output_size` windows along each axis; other arguments as in `max_pool`."""
    return _adaptive(adaptive_pooling.MAX, "adaptive_max_pool", inputs, output_size, data_format)


@op
def adaptive_average_pool(inputs: Any, output_size: int | Sequence[int], data_format: str | None = None) -> Tensor:
    """Return the mean of each of `output_size` windows along each axis; other arguments as in `max_pool`."""
    return _adaptive(adaptive_pooling.AVERAGE, "adaptive_average_pool", inputs, output_size, data_format)


def _adaptive(
    functions: dict[int, Callable[..., Tensor]],
    name: str,
    inputs: Any,
    output_size: int | Sequence[int],
    data_format: str | None,
) -> Tensor:
    x = to_tensor(inputs)
    rank = check_rank(name, x)
    pool = partial(functions[rank], output_size=sizes("output_size", output_size, rank))
    return from_channels_first(pool(to_channels_first(x, data_format)), data_format)
