"""AdaptiveMaxPooling and AdaptiveAveragePooling: pooling to a given output size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from kerastorch.layers.spatial import Spatial, check_sizes

MAX: dict[int, Callable[..., torch.Tensor]] = {
    1: F.adaptive_max_pool1d,
    2: F.adaptive_max_pool2d,
    3: F.adaptive_max_pool3d,
}
AVERAGE: dict[int, Callable[..., torch.Tensor]] = {
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
        self.output_size = check_sizes("output_size", output_size, self.rank)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPooling(_AdaptivePooling):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.from_channels_first(MAX[self.rank](self.to_channels_first(x), self.output_size))


class _AdaptiveAveragePooling(_AdaptivePooling):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.from_channels_first(AVERAGE[self.rank](self.to_channels_first(x), self.output_size))


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """Maximum of each of `output_size` windows: `(batch, steps, channels)` -> `(batch, output_size, channels)`.

    Window `i` of `n` covers the steps from `floor(i * steps / n)` up to, not including, `ceil((i + 1) * steps / n)`.

    Args:
        output_size: Number of windows.
        data_format: `'channels_last'` (default), or `'channels_first'` for `(batch, channels, steps)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> AdaptiveMaxPooling1D(2)(torch.tensor([[[1.0], [3.0], [2.0]]])).flatten()
    tensor([3., 3.])
    """

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """Maximum of each window: `(batch, channels, height, width)` -> `(batch, channels, *output_size)`.

    Along an axis, window `i` of `n` covers the elements from `floor(i * size / n)` up to, not including,
    `ceil((i + 1) * size / n)`.

    Args:
        output_size: Height and width of the output; one integer for both.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> AdaptiveMaxPooling2D((2, 3))(torch.zeros(2, 3, 28, 28)).shape
    torch.Size([2, 3, 2, 3])
    """

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """Maximum of each window: `(batch, channels, depth, height, width)` -> `(batch, channels, *output_size)`.

    The windows and the arguments are those of `AdaptiveMaxPooling2D`, with a size for the depth in front.

    >>> AdaptiveMaxPooling3D(2)(torch.zeros(2, 3, 5, 8, 8)).shape
    torch.Size([2, 3, 2, 2, 2])
    """

    rank = 3


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """Mean of each of `output_size` windows: `(batch, steps, channels)` -> `(batch, output_size, channels)`.

    The windows and the arguments are those of `AdaptiveMaxPooling1D`.

    >>> AdaptiveAveragePooling1D(2)(torch.tensor([[[1.0], [3.0], [2.0]]])).flatten()
    tensor([2.0000, 2.5000])
    """

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """Mean of each window: `(batch, channels, height, width)` -> `(batch, channels, *output_size)`.

    The windows and the arguments are those of `AdaptiveMaxPooling2D`.

    >>> AdaptiveAveragePooling2D(1)(torch.ones(1, 1, 3, 3))
    tensor([[[[1.]]]])
    """

    rank = 2


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """Mean of each window: `(batch, channels, depth, height, width)` -> `(batch, channels, *output_size)`.

    The windows and the arguments are those of `AdaptiveMaxPooling2D`, with a size for the depth in front.

    >>> AdaptiveAveragePooling3D((1, 2, 2))(torch.zeros(2, 3, 5, 8, 8)).shape
    torch.Size([2, 3, 1, 2, 2])
    """

    rank = 3
