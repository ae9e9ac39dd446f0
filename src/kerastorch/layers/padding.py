"""Zero padding 'same', 'valid' and 'causal', as in Keras, for convolutions and poolings of torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Padding(NamedTuple):
    """Zeros to add around an input, split between `F.pad` and the convolution.

    A convolution of torch adds the same number of zeros at both ends of an axis. Other amounts need `F.pad`, which
    copies the input.

    Args:
        pad_amounts: Amounts for `F.pad`, last axis first; `None` if `F.pad` is not needed.
        conv_padding: The `padding` argument of the convolution, one integer for each spatial axis.
    """

    pad_amounts: list[int] | None
    conv_padding: list[int]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after an axis that give `ceil(size / stride)` outputs.

    An odd zero goes to the end, as in Keras.

    Args:
        size: Size of the axis.
        kernel: Size of the window, with dilation.
        stride: Step of the window.

    >>> same_padding(5, kernel=4, stride=2)
    (1, 2)
    """
    total = ((size + stride - 1) // stride - 1) * stride + kernel - size
    if kernel < stride:  # only then can the total be negative; in an export the size may be a symbol
        total = max(total, 0) if isinstance(total, int) else torch.sym_max(total, 0)
    return total // 2, total - total // 2


def fixed_padding(padding: str, spans: Sequence[int], strides: Sequence[int]) -> Padding | None:
    """Return the padding that holds for inputs of every size; `None` if it depends on the size.

    Args:
        padding: `'valid'`, `'same'`, or, for one spatial axis, `'causal'`.
        spans: Size of the window on each axis, with dilation.
        strides: Step of the window on each axis.
    """
    if padding == "valid":
        return Padding(None, [0] * len(spans))
    if padding == "causal":
        return Padding([spans[0] - 1, 0], [0])
    return _split_amounts(same_padding(1, span, 1) for span in spans) if max(strides) == 1 else None


def pad_input(
    x: Tensor, padding: Padding | None, spans: Sequence[int], strides: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """Return `x` with the zeros that `F.pad` must add, and the `padding` argument for the convolution.

    Args:
        x: Input, `(batch, channels, ...)`.
        padding: Padding from `fixed_padding`; `None` to compute `'same'` padding from the size of `x`.
        spans: Size of the window on each axis, with dilation.
        strides: Step of the window on each axis.
    """
    if padding is None:
        padding = _split_amounts(map(same_padding, x.shape[2:], spans, strides))
    return x if padding.pad_amounts is None else F.pad(x, padding.pad_amounts), padding.conv_padding


def _split_amounts(amounts: Iterable[tuple[int, int]]) -> Padding:
    """Return the padding for amounts `(before, after)` of each axis; the convolution adds them if it can."""
    amounts = list(amounts)
    if all(isinstance(before, int) and before == after for before, after in amounts):
        return Padding(None, [before for before, _ in amounts])
    return Padding([amount for both in reversed(amounts) for amount in both], [0] * len(amounts))
