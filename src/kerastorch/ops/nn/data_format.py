"""Channels-last data, which is Keras' default in `ops`, for the functions of torch, which take channels first."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kerastorch.core.errors import check_choice, mismatch

FORMATS = ("channels_last", "channels_first")


def is_channels_last(data_format: str | None) -> bool:
    """Return whether channels are the last axis; `None` is Keras' default, `"channels_last"`."""
    return data_format is None or check_choice("data_format", data_format, FORMATS) == "channels_last"


def to_channels_first(x: Tensor, data_format: str | None) -> Tensor:
    """Return `(batch, channels, ...)` for a tensor in a data format."""
    return x.movedim(-1, 1) if is_channels_last(data_format) else x


def from_channels_first(x: Tensor, data_format: str | None) -> Tensor:
    """Return a tensor `(batch, channels, ...)` in a data format."""
    return x.movedim(1, -1) if is_channels_last(data_format) else x


def check_rank(name: str, x: Tensor) -> int:
    """Return the number of spatial axes of a tensor.

    Raises:
        ValueError: It is not 1, 2 or 3.
    """
    if not 3 <= x.ndim <= 5:
        raise ValueError(
            f"{name} takes sequences, images or volumes with a batch axis and channels, 3 to 5 axes; "
            f"got a tensor of shape {tuple(x.shape)}."
        )
    return x.ndim - 2


def sizes(name: str, value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """Return one integer for each spatial axis.

    Raises:
        ValueError: There are as many as neither 1 nor `rank`.
    """
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    found = found * rank if len(found) == 1 else found
    if len(found) != rank:
        raise mismatch(name, value, f"an integer or {rank} of them")
    return found
