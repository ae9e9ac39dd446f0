"""The zeros around what a window moves over: Keras' (TensorFlow's) 'same', 'valid' and 'causal', in torch's terms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Padding(NamedTuple):
    """Who puts the zeros.

    Args:
        around: what `F.pad` does, in its order; `None` for nothing: it copies the input.
        itself: what the convolution does, as many on both sides of an axis.
    """

    around: list[int] | None
    itself: list[int]


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """What 'same' puts before and behind an axis, for `ceil(size / stride)` outputs: the odd one behind.

    Args:
        size: of the axis.
        kernel: what the window spans, with dilation.
        stride: its steps.

    >>> same(5, kernel=4, stride=2)
    (1, 2)
    """
    total = ((size + stride - 1) // stride - 1) * stride + kernel - size
    if kernel < stride:  # else it cannot be less than 0; a size may vary, in an export
        total = max(total, 0) if isinstance(total, int) else torch.sym_max(total, 0)
    return total // 2, total - total // 2


def known(padding: str, spans: Sequence[int], strides: Sequence[int]) -> Padding | None:
    """What is put around inputs of any size; `None` where that goes by the size.

    Args:
        padding: `'valid'`, `'same'`, or `'causal'` for one axis.
        spans: of the window, on each axis.
        strides: its steps.
    """
    if padding == "valid":
        return Padding(None, [0] * len(spans))
    if padding == "causal":
        return Padding([spans[0] - 1, 0], [0])
    return _parted(same(1, span, 1) for span in spans) if max(strides) == 1 else None


def padded(
    x: Tensor, padding: Padding | None, spans: Sequence[int], strides: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """`x`, `(batch, channels, ...)`, with what the convolution cannot put around it, and what it shall do itself."""
    if padding is None:
        padding = _parted(map(same, x.shape[2:], spans, strides))
    return x if padding.around is None else F.pad(x, padding.around), padding.itself


def _parted(amounts: Iterable[tuple[int, int]]) -> Padding:
    amounts = list(amounts)
    if all(isinstance(before, int) and before == behind for before, behind in amounts):
        return Padding(None, [before for before, _ in amounts])
    return Padding([amount for both in reversed(amounts) for amount in both], [0] * len(amounts))
