"""Rescaling: values times a factor plus an offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.layers.base import Layer


class Rescaling(Layer):
    """`x * scale + offset`; integers become floats.

    Args:
        scale: a number, or one for each channel.
        offset: the same.
        name: see `Layer`; so is `trainable`.

    Shape: any; where there is a number for each channel, `(batch, channels, ...)`.

    >>> Rescaling(1 / 255)(torch.tensor([0, 51], dtype=torch.uint8))
    tensor([0.0000, 0.2000])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(
        self,
        scale: float | Sequence[float],
        offset: float | Sequence[float] = 0.0,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.scale = _number_or_several("scale", scale)
        self.offset = _number_or_several("offset", offset)
        for given, kept in ((self.scale, "_scale"), (self.offset, "_offset")):
            several = torch.tensor(given) if isinstance(given, tuple) else None
            self.register_buffer(kept, several, persistent=False)

    _scale: Tensor | None
    _offset: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scale if self._scale is None else self._channels(self._scale, x)
        offset = self.offset if self._offset is None else self._channels(self._offset, x)
        return x * scale + offset

    def _channels(self, several: Tensor, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != len(several):
            raise ValueError(
                f"Rescaling has {len(several)} numbers for the channels of (batch, channels, ...), "
                f"the input has shape {tuple(x.shape)}."
            )
        return several.view(-1, *[1] * (x.ndim - 2))

    def extra_repr(self) -> str:
        return f"{self.scale}, {self.offset}"


def _number_or_several(name: str, value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray, Tensor)) and np.ndim(value) == 1:
        return tuple(check_float(name, float(one)) for one in value)
    return check_float(name, value)
