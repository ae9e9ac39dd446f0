"""Rescaling: multiplication by a factor and addition of an offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.layers.base import Layer


class Rescaling(Layer):
    """Linear rescaling: `x * scale + offset`. Integers become floats.

    Args:
        scale: A number, or a sequence with a number for each channel.
        offset: A number, or a sequence with a number for each channel. Default 0.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    Shape: any, unchanged; `(batch, channels, ...)` if there is a number for each channel.

    Raises:
        ValueError: When called on an input with a different number of channels than `scale` or `offset`.

    >>> Rescaling(1 / 255)(torch.tensor([0, 51], dtype=torch.uint8))
    tensor([0.0000, 0.2000])
    """

    supports_masking = True
    keeps_axes = True
    _channel_scale: Tensor | None
    _channel_offset: Tensor | None

    def __init__(
        self,
        scale: float | Sequence[float],
        offset: float | Sequence[float] = 0.0,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.scale = _check_numbers("scale", scale)
        self.offset = _check_numbers("offset", offset)
        # numbers for the channels are buffers, so that they move with the layer; get_config has them already
        for given, buffer in ((self.scale, "_channel_scale"), (self.offset, "_channel_offset")):
            numbers = torch.tensor(given) if isinstance(given, tuple) else None
            self.register_buffer(buffer, numbers, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scale if self._channel_scale is None else self._for_channels(self._channel_scale, x)
        offset = self.offset if self._channel_offset is None else self._for_channels(self._channel_offset, x)
        return x * scale + offset

    def _for_channels(self, numbers: Tensor, x: Tensor) -> Tensor:
        """Return `numbers` in a shape that broadcasts along the channels of `x`, `(batch, channels, ...)`."""
        if x.ndim < 2 or x.shape[1] != len(numbers):
            raise ValueError(
                f"Rescaling has {len(numbers)} numbers for the channels of (batch, channels, ...), "
                f"the input has shape {tuple(x.shape)}."
            )
        return numbers.view(-1, *[1] * (x.ndim - 2))

    def extra_repr(self) -> str:
        return f"{self.scale}, {self.offset}"


def _check_numbers(name: str, value: Any) -> Any:
    """Return a finite number, or a tuple of them for a sequence, array or tensor with one axis."""
    if isinstance(value, (list, tuple, np.ndarray, Tensor)) and np.ndim(value) == 1:
        return tuple(check_float(name, float(number)) for number in value)
    return check_float(name, value)
