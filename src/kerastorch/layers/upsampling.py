"""UpSampling, ZeroPadding and Cropping of sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.layers.spatial import Spatial, check_sizes

# Keras' names -> arguments of F.interpolate; of torch's two nearest modes only 'nearest-exact' repeats for each factor
_INTERPOLATIONS: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest-exact"},
    "bilinear": {"mode": "bilinear"},
    "bicubic": {"mode": "bicubic"},
    "lanczos3": {"mode": "lanczos", "antialias": True},
}


class _UpSampling(Spatial):
    interpolation = "nearest"

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.size = check_sizes("size", size, self.rank)
        self._factors = tuple(map(float, self.size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.from_channels_first(
            F.interpolate(self.to_channels_first(x), scale_factor=self._factors, **_INTERPOLATIONS[self.interpolation])
        )

    def extra_repr(self) -> str:
        return f"size={self.size}"


class UpSampling1D(_UpSampling):
    """Repetition of each step: `(batch, steps, channels)` -> `(batch, size * steps, channels)`.

    Args:
        size: Number of repetitions. Default 2.
        data_format: `'channels_last'` (default, and the only format of Keras' layer), or `'channels_first'` for
            `(batch, channels, steps)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> UpSampling1D(2)(torch.tensor([[[1.0], [2.0]]])).flatten()
    tensor([1., 1., 2., 2.])
    """

    rank = 1


class UpSampling2D(_UpSampling):
    """Enlarged images: `(batch, channels, height, width)` -> `(batch, channels, size[0] * height, size[1] * width)`.

    Args:
        size: Factors for height and width; one integer for both. Default 2.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.
        interpolation: `'nearest'` (default) repeats pixels; `'bilinear'`, `'bicubic'` (torch's, a = -0.75, as in Keras
            on torch) and `'lanczos3'` (on the CPU, from torch 2.13 on) treat pixels as squares, as
            `align_corners=False` does. torch has no `'lanczos5'`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> UpSampling2D((1, 2))(torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 1., 2., 2.]]]])
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(size, data_format, name=name, trainable=trainable)
        self.interpolation = check_choice("interpolation", interpolation, tuple(_INTERPOLATIONS))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, interpolation={self.interpolation}"


class UpSampling3D(_UpSampling):
    """Repetition along depth, height and width of volumes, `(batch, channels, depth, height, width)`.

    Args:
        size: Number of repetitions on each axis; one integer for all. Default 2.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, depth, height, width, channels)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> UpSampling3D((1, 2, 3))(torch.zeros(1, 2, 3, 3, 3)).shape
    torch.Size([1, 2, 3, 6, 9])
    """

    rank = 3


class _ZeroPadding(Spatial):
    def __init__(
        self,
        padding: Any = 1,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.padding = _check_ends("padding", padding, self.rank)
        pairs = [self.padding] if self.rank == 1 else self.padding
        # F.pad takes the last axis first
        self._pad_amounts = [0, 0] * self._is_channels_last + [amount for pair in reversed(pairs) for amount in pair]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.check_ndim(x)
        return F.pad(x, self._pad_amounts)

    def extra_repr(self) -> str:
        return f"padding={self.padding}"


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps: `(batch, steps, channels)` -> `(batch, more_steps, channels)`.

    Args:
        padding: Number of zeros at each end, or `(front, end)`. Default 1.
        data_format: `'channels_last'` (default), or `'channels_first'` for `(batch, channels, steps)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> ZeroPadding1D((0, 2))(torch.tensor([[[1.0], [2.0]]])).flatten()
    tensor([1., 2., 0., 0.])
    """

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images: `(batch, channels, height, width)` -> `(batch, channels, new_height, new_width)`.

    Args:
        padding: Number of zeros at each side, `(height, width)`, or `((top, bottom), (left, right))`. Default 1.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> ZeroPadding2D(((0, 1), (2, 2)))(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 3, 5, 8])
    """

    rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes, `(batch, channels, depth, height, width)`.

    The arguments are those of `ZeroPadding2D`, with an amount or a pair for the depth in front.

    >>> ZeroPadding3D((0, 1, 2))(torch.zeros(1, 3, 4, 4, 4)).shape
    torch.Size([1, 3, 4, 6, 8])
    """

    rank = 3


class _Cropping(Spatial):
    def __init__(
        self,
        cropping: Any = 1,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.cropping = _check_ends("cropping", cropping, self.rank)
        self._pairs = (self.cropping,) if self.rank == 1 else self.cropping
        spatial = [slice(front, -end if end else None) for front, end in self._pairs]
        self._slices = (slice(None), *spatial) if self._is_channels_last else (slice(None), slice(None), *spatial)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, spatial = self.channels_and_sizes(x.shape)
        if any(size <= front + end for size, (front, end) in zip(spatial, self._pairs, strict=True)):
            raise ValueError(
                f"{self.display_name()} has cropping={self.cropping} and got {tuple(x.shape)}, "
                f"{self.expected_axes()}: nothing would be left. {self.other_format_advice()}"
            )
        return x[self._slices]

    def extra_repr(self) -> str:
        return f"cropping={self.cropping}"


class Cropping1D(_Cropping):
    """Removal of steps at both ends: `(batch, steps, channels)` -> `(batch, fewer_steps, channels)`.

    The output is a view of the input.

    Args:
        cropping: Number of steps to remove at each end, or `(front, end)`. Default 1.
        data_format: `'channels_last'` (default, and the only format of Keras' layer), or `'channels_first'` for
            `(batch, channels, steps)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> Cropping1D((0, 1))(torch.tensor([[[1.0], [2.0], [3.0]]])).flatten()
    tensor([1., 2.])
    """

    rank = 1


class Cropping2D(_Cropping):
    """Removal of the margins of images: `(batch, channels, height, width)` -> `(batch, channels, ...)`.

    The output is a view of the input.

    Args:
        cropping: Number of pixels to remove at each side, `(height, width)`, or `((top, bottom), (left, right))`.
            Default 0.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> Cropping2D(((0, 1), (2, 2)))(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 3, 7, 4])
    """

    rank = 2

    def __init__(
        self,
        cropping: Any = 0,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(cropping, data_format, name=name, trainable=trainable)


class Cropping3D(_Cropping):
    """Removal of the margins of volumes, `(batch, channels, depth, height, width)`.

    The arguments are those of `Cropping2D`, with an amount or a pair for the depth in front; the default is 1.

    >>> Cropping3D((0, 1, 2))(torch.zeros(1, 3, 8, 8, 8)).shape
    torch.Size([1, 3, 8, 6, 4])
    """

    rank = 3


def _check_ends(what: str, given: Any, rank: int) -> Any:
    """Return the amounts at the front and the end: a pair if `rank` is 1, else a pair for each axis.

    Args:
        what: Name of the argument, for messages.
        given: One integer, `rank` integers or pairs, or, if `rank` is 1, a pair.
        rank: Number of spatial axes.

    Raises:
        ValueError: A different number of values, or values that are no integers >= 0.
    """
    if not isinstance(given, Sequence):
        amount = check_int(what, given, 0)
        return (amount, amount) if rank == 1 else ((amount, amount),) * rank
    if rank == 1:
        return check_sizes(what, given, 2, 0)
    if len(given) != rank:
        raise mismatch(what, given, f"an integer, {rank} of them, or {rank} pairs")
    return tuple(check_sizes(f"each of {what}", pair, 2, 0) for pair in given)
