"""A fault of oneDNN, torch's library of convolutions for CPUs, and where it shows."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

# Input channels below which the gradient of a strided 1x1 convolution is written past its memory, if images are
# channels-last: https://github.com/uxlfoundation/oneDNN/issues/6035 (8 channels with AVX2; 16 are a block of AVX-512).
CHANNEL_BLOCK = 16


def overruns_in_channels_last(weight: Tensor, stride: int | Sequence[int]) -> bool:
    """Return whether oneDNN writes past its memory in the gradient of a convolution, if images are channels-last.

    Args:
        weight: The weight of the convolution, `(outputs, inputs / groups, *kernel)`.
        stride: Its stride, one for all axes or one for each.
    """
    strides = [stride] if isinstance(stride, int) else stride
    return max(weight.shape[2:]) == 1 and max(strides) > 1 and weight.shape[1] < CHANNEL_BLOCK
