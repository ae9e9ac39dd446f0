"""AdaptiveMaxPooling and AdaptiveAveragePooling: as many windows as are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from kerastorch.layers.spatial import Spatial, sizes

_MAX: dict[int, Callable[..., torch.Tensor]] = {
    1: F.adaptive_max_pool1d,
    2: F.adaptive_max_pool2d,
    3: F.adaptive_max_pool3d,
}
_AVERAGE: dict[int, Callable[..., torch.Tensor]] = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}


class _AdaptivePooling(Spatial):
    def __init__(
        self,
        output_size: int | Sequence[int],
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.output_size = sizes("output_size", output_size, self.rank)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPooling(_AdaptivePooling):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(_MAX[self.rank](self.first(x), self.output_size))


class _AdaptiveAveragePooling(_AdaptivePooling):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(_AVERAGE[self.rank](self.first(x), self.output_size))


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """The largest value of each of `output_size` windows: `(batch, steps, channels)` -> `(batch, windows, channels)`.

    Window `i` of `n` covers the steps `floor(i * steps / n)` to `ceil((i + 1) * steps / n)`, without the last.

    Args:
        output_size: how many windows.
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`.
        name: see `Layer`; so is `trainable`.

    >>> AdaptiveMaxPooling1D(2)(torch.tensor([[[1.0], [3.0], [2.0]]])).flatten()
    tensor([3., 3.])
    """

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """The largest value of each of `output_size` windows: `(batch, channels, height, width)`.

    Args:
        output_size: rows and columns of the output; one integer for both.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.
        name: see `Layer`; so is `trainable`.

    >>> AdaptiveMaxPooling2D((2, 3))(torch.zeros(2, 3, 28, 28)).shape
    torch.Size([2, 3, 2, 3])
    """

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """`AdaptiveMaxPooling2D` over `(batch, channels, depth, height, width)`.

    >>> AdaptiveMaxPooling3D(2)(torch.zeros(2, 3, 5, 8, 8)).shape
    torch.Size([2, 3, 2, 2, 2])
    """

    rank = 3


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """The mean of each of `output_size` windows; see `AdaptiveMaxPooling1D`.

    >>> AdaptiveAveragePooling1D(2)(torch.tensor([[[1.0], [3.0], [2.0]]])).flatten()
    tensor([2.0000, 2.5000])
    """

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """The mean of each of `output_size` windows; see `AdaptiveMaxPooling2D`.

    >>> AdaptiveAveragePooling2D(1)(torch.ones(1, 1, 3, 3))
    tensor([[[[1.]]]])
    """

    rank = 2


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """The mean of each of `output_size` windows; see `AdaptiveMaxPooling3D`.

    >>> AdaptiveAveragePooling3D((1, 2, 2))(torch.zeros(2, 3, 5, 8, 8)).shape
    torch.Size([2, 3, 1, 2, 2])
    """

    rank = 3
