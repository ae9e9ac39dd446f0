"""MaxPooling and AveragePooling: windows that move."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from kerastorch.core.errors import check_choice
from kerastorch.layers.padding import same
from kerastorch.layers.spatial import Spatial, sizes

_MAX: dict[int, Callable[..., torch.Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., torch.Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class _Pooling(Spatial):
    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.pool_size = sizes("pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else sizes("strides", strides, self.rank)
        self.padding = check_choice("padding", padding, ("valid", "same"))

    def build(self, input_shape: Sequence[int]) -> None:
        _, spatial = self.split(input_shape)
        small = any(-1 < size < pool for size, pool in zip(spatial, self.pool_size, strict=True))
        if self.padding == "valid" and small:
            raise ValueError(
                f"{self.named()} has pool_size={self.pool_size} and inputs of {spatial}, as it takes {self.axes()}: "
                f"nothing would come out. {self.other_format()}"
            )

    def pool(self, x: torch.Tensor, padding: list[int], ceil_mode: bool) -> torch.Tensor:
        """Over windows of `(batch, channels, ...)`, where what is outside of `x` does not count."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        if self.padding == "valid":
            return self.back(self.pool(x, [0] * self.rank, False))
        amounts = [same(*axis) for axis in zip(x.shape[2:], self.pool_size, self.strides, strict=True)]
        # Without a step there is one more window to the end than torch has: begin one earlier, and drop the first.
        # With steps, it comes of counting windows that are only begun.
        early = [
            stride == 1 and behind > before for (before, behind), stride in zip(amounts, self.strides, strict=True)
        ]
        y = self.pool(x, [before + more for (before, _), more in zip(amounts, early, strict=True)], True)
        if any(early):
            y = y[(slice(None), slice(None), *(slice(int(more), None) for more in early))]
        return self.back(y)

    def extra_repr(self) -> str:
        return f"pool_size={self.pool_size}, strides={self.strides}, padding={self.padding}"


class _MaxPooling(_Pooling):
    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name=name, trainable=trainable)

    def pool(self, x: torch.Tensor, padding: list[int], ceil_mode: bool) -> torch.Tensor:
        return _MAX[self.rank](x, self.pool_size, self.strides, padding, 1, ceil_mode)


class _AveragePooling(_Pooling):
    def pool(self, x: torch.Tensor, padding: list[int], ceil_mode: bool) -> torch.Tensor:
        return _AVERAGE[self.rank](x, self.pool_size, self.strides, padding, ceil_mode, False)


class MaxPooling1D(_MaxPooling):
    """The largest value of each window: `(batch, steps, channels)` -> `(batch, new_steps, channels)`.

    Args:
        pool_size: how many steps a window covers.
        strides: from one window to the next; `None` is `pool_size`.
        padding: `'valid'`: `(steps - pool_size) // strides + 1` windows; `'same'`: `ceil(steps / strides)`, of which
            those at the ends may hang over, as in Keras.
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`.
        name: see `Layer`; so is `trainable`.

    >>> MaxPooling1D(2, padding="same")(torch.tensor([[[1.0], [3.0], [2.0]]])).flatten()
    tensor([3., 2.])
    """

    rank = 1


class MaxPooling2D(_MaxPooling):
    """The largest value of each window: `(batch, channels, height, width)` -> fewer rows and columns.

    Args:
        pool_size: height and width of a window; one integer for both.
        strides: from one window to the next; `None` is `pool_size`.
        padding: see `MaxPooling1D`, axis by axis.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.
        name: see `Layer`; so is `trainable`.

    >>> MaxPooling2D()(torch.zeros(2, 3, 28, 28)).shape
    torch.Size([2, 3, 14, 14])
    """

    rank = 2


class MaxPooling3D(_MaxPooling):
    """The largest value of each window: `(batch, channels, depth, height, width)`; see `MaxPooling2D`.

    >>> MaxPooling3D((1, 2, 2))(torch.zeros(2, 3, 4, 8, 8)).shape
    torch.Size([2, 3, 4, 4, 4])
    """

    rank = 3


class AveragePooling1D(_AveragePooling):
    """The mean of each window: `(batch, steps, channels)` -> `(batch, new_steps, channels)`.

    Args:
        pool_size: how many steps a window covers.
        strides: see `MaxPooling1D`; so are the other arguments. What hangs over with `padding='same'` does not count.

    >>> AveragePooling1D(2, padding="same")(torch.tensor([[[1.0], [3.0], [2.0]]])).flatten()
    tensor([2., 2.])
    """

    rank = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window: `(batch, channels, height, width)`; see `MaxPooling2D` and `AveragePooling1D`.

    >>> AveragePooling2D(2)(torch.zeros(2, 3, 28, 28)).shape
    torch.Size([2, 3, 14, 14])
    """

    rank = 2


class AveragePooling3D(_AveragePooling):
    """The mean of each window: `(batch, channels, depth, height, width)`; see `MaxPooling2D` and `AveragePooling1D`.

    >>> AveragePooling3D(2)(torch.zeros(2, 3, 4, 8, 8)).shape
    torch.Size([2, 3, 2, 4, 4])
    """

    rank = 3

    def pool(self, x: torch.Tensor, padding: list[int], ceil_mode: bool) -> torch.Tensor:
        if self.padding == "valid":
            return super().pool(x, padding, ceil_mode)
        # avg_pool3d refuses windows larger than x, padding or not; a mean of means over as many is the mean
        rest = self.pool_size[1:], self.strides[1:], padding[1:], ceil_mode, False
        y = F.avg_pool2d(x.flatten(1, 2), *rest).unflatten(1, x.shape[1:3])  # (batch, channels, depth, ...)
        first = (self.pool_size[0], 1), (self.strides[0], 1), (padding[0], 0), ceil_mode, False
        means: torch.Tensor = F.avg_pool2d(y.flatten(3), *first).unflatten(3, y.shape[3:])
        return means


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
