"""MaxPooling and AveragePooling: the maximum or mean of each position of a moving window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from kerastorch.core.errors import check_choice
from kerastorch.layers.padding import same_padding
from kerastorch.layers.spatial import Spatial, check_sizes

_MAX: dict[int, Callable[..., torch.Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., torch.Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def pool_padded(
    pool: Callable[[torch.Tensor, list[int], bool], torch.Tensor],
    x: torch.Tensor,
    pool_size: Sequence[int],
    strides: Sequence[int],
    padding: str,
) -> torch.Tensor:
    """Return pooled windows with Keras' padding, `(batch, channels, ...)`.

    Args:
        pool: The pooling of `x` with as much padding at both ends of each axis, and `ceil_mode`.
        x: `(batch, channels, ...)`.
        pool_size: Size of a window on each axis.
        strides: Step of the window on each axis.
        padding: `'valid'` or `'same'`.
    """
    if padding == "valid":
        return pool(x, [0] * len(pool_size), False)
    amounts = [same_padding(*axis) for axis in zip(x.shape[2:], pool_size, strides, strict=True)]
    # torch pads both ends alike; an odd element at the end needs one window more there. With strides, ceil_mode
    # adds the windows that begin inside of x. With stride 1, one more element of padding at both ends adds it, and
    # also a window in front, which is dropped.
    drops_first = [stride == 1 and after > before for (before, after), stride in zip(amounts, strides, strict=True)]
    y = pool(x, [before + drops for (before, _), drops in zip(amounts, drops_first, strict=True)], True)
    if any(drops_first):
        y = y[(slice(None), slice(None), *(slice(int(drops), None) for drops in drops_first))]
    return y


def max_pool(
    x: torch.Tensor, pool_size: Sequence[int], strides: Sequence[int], padding: list[int], ceil_mode: bool
) -> torch.Tensor:
    """Return the maximum of each window, `(batch, channels, ...)`."""
    return _MAX[len(pool_size)](x, pool_size, strides, padding, 1, ceil_mode)


def average_pool(
    x: torch.Tensor, pool_size: Sequence[int], strides: Sequence[int], padding: list[int], ceil_mode: bool
) -> torch.Tensor:
    """Return the mean of each window, `(batch, channels, ...)`, in which padding does not count."""
    return _AVERAGE[len(pool_size)](x, pool_size, strides, padding, ceil_mode, False)


class _Pooling(Spatial, ABC):
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
        self.pool_size = check_sizes("pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else check_sizes("strides", strides, self.rank)
        self.padding = check_choice("padding", padding, ("valid", "same"))

    def build(self, input_shape: Sequence[int]) -> None:
        _, spatial = self.channels_and_sizes(input_shape)
        is_too_small = any(-1 < size < pool for size, pool in zip(spatial, self.pool_size, strict=True))
        if self.padding == "valid" and is_too_small:
            raise ValueError(
                f"{self.display_name()} has pool_size={self.pool_size} and inputs of {spatial}, as it takes "
                f"{self.expected_axes()}: nothing would come out. {self.other_format_advice()}"
            )

    @abstractmethod
    def pool(self, x: torch.Tensor, padding: list[int], ceil_mode: bool) -> torch.Tensor:
        """Return the pooled windows of `x`, `(batch, channels, ...)`; elements outside of `x` do not count."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.to_channels_first(x)
        return self.from_channels_first(pool_padded(self.pool, x, self.pool_size, self.strides, self.padding))

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
        return max_pool(x, self.pool_size, self.strides, padding, ceil_mode)


class _AveragePooling(_Pooling):
    def pool(self, x: torch.Tensor, padding: list[int], ceil_mode: bool) -> torch.Tensor:
        return average_pool(x, self.pool_size, self.strides, padding, ceil_mode)


class MaxPooling1D(_MaxPooling):
    """Maximum of each window: `(batch, steps, channels)` -> `(batch, new_steps, channels)`.

    Args:
        pool_size: Number of steps that a window covers. Default 2.
        strides: Number of steps from one window to the next; `None`, the default, for `pool_size`.
        padding: `'valid'` (default): `(steps - pool_size) // strides + 1` windows; `'same'`: `ceil(steps / strides)`
            windows, which may extend beyond both ends, as in Keras.
        data_format: `'channels_last'` (default), or `'channels_first'` for `(batch, channels, steps)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    Raises:
        ValueError: At the first call: `padding='valid'` and a window larger than the input.

    >>> MaxPooling1D(2, padding="same")(torch.tensor([[[1.0], [3.0], [2.0]]])).flatten()
    tensor([3., 2.])
    """

    rank = 1


class MaxPooling2D(_MaxPooling):
    """Maximum of each window: `(batch, channels, height, width)` -> `(batch, channels, new_height, new_width)`.

    Args:
        pool_size: Height and width of a window; one integer for both. Default 2.
        strides: Distance from one window to the next along height and width; `None`, the default, for `pool_size`.
        padding: `'valid'` (default): windows inside of the image only; `'same'`: `ceil(size / stride)` windows along
            each axis, which may extend beyond both ends, as in Keras.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    Raises:
        ValueError: At the first call: `padding='valid'` and a window larger than the input.

    >>> MaxPooling2D()(torch.zeros(2, 3, 28, 28)).shape
    torch.Size([2, 3, 14, 14])
    """

    rank = 2


class MaxPooling3D(_MaxPooling):
    """Maximum of each window of volumes, `(batch, channels, depth, height, width)`.

    The arguments are those of `MaxPooling2D`, with a size for the depth in front.

    >>> MaxPooling3D((1, 2, 2))(torch.zeros(2, 3, 4, 8, 8)).shape
    torch.Size([2, 3, 4, 4, 4])
    """

    rank = 3


class AveragePooling1D(_AveragePooling):
    """Mean of each window: `(batch, steps, channels)` -> `(batch, new_steps, channels)`.

    With `padding='same'`, elements of a window beyond the ends do not count. The other arguments are those of
    `MaxPooling1D`.

    Args:
        pool_size: Number of steps that a window covers.

    >>> AveragePooling1D(2, padding="same")(torch.tensor([[[1.0], [3.0], [2.0]]])).flatten()
    tensor([2., 2.])
    """

    rank = 1


class AveragePooling2D(_AveragePooling):
    """Mean of each window: `(batch, channels, height, width)` -> `(batch, channels, new_height, new_width)`.

    With `padding='same'`, elements of a window beyond the ends do not count. The other arguments are those of
    `MaxPooling2D`.

    Args:
        pool_size: Height and width of a window; one integer for both.

    >>> AveragePooling2D(2)(torch.zeros(2, 3, 28, 28)).shape
    torch.Size([2, 3, 14, 14])
    """

    rank = 2


class AveragePooling3D(_AveragePooling):
    """Mean of each window of volumes, `(batch, channels, depth, height, width)`.

    With `padding='same'`, elements of a window beyond the ends do not count. The other arguments are those of
    `MaxPooling2D`.

    Args:
        pool_size: Depth, height and width of a window; one integer for all.

    >>> AveragePooling3D(2)(torch.zeros(2, 3, 4, 8, 8)).shape
    torch.Size([2, 3, 2, 4, 4])
    """

    rank = 3

    def pool(self, x: torch.Tensor, padding: list[int], ceil_mode: bool) -> torch.Tensor:
        if self.padding == "valid":
            return super().pool(x, padding, ceil_mode)
        # avg_pool3d refuses windows larger than x, even with padding. The mean over depth of means over height and
        # width is the same, since each of these is over the same number of elements.
        per_image = self.pool_size[1:], self.strides[1:], padding[1:], ceil_mode, False
        y = F.avg_pool2d(x.flatten(1, 2), *per_image).unflatten(1, x.shape[1:3])  # (batch, channels, depth, ...)
        along_depth = (self.pool_size[0], 1), (self.strides[0], 1), (padding[0], 0), ceil_mode, False
        means: torch.Tensor = F.avg_pool2d(y.flatten(3), *along_depth).unflatten(3, y.shape[3:])
        return means


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
