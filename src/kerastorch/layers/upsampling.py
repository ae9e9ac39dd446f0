"""UpSampling, ZeroPadding and Cropping: sequences, images and volumes made larger and smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.layers.spatial import Spatial, sizes

# Keras' names -> torch's; 'nearest-exact' is the one that repeats for every factor
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
        self.size = sizes("size", size, self.rank)
        self._factors = tuple(map(float, self.size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(
            F.interpolate(self.first(x), scale_factor=self._factors, **_INTERPOLATIONS[self.interpolation])
        )

    def extra_repr(self) -> str:
        return f"size={self.size}"


class UpSampling1D(_UpSampling):
    """Repeats each step: `(batch, steps, channels)` -> `(batch, size * steps, channels)`.

    Args:
        size: how often.
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`. Keras'
            layer has no such argument and takes the former.
        name: see `Layer`; so is `trainable`.

    >>> UpSampling1D(2)(torch.tensor([[[1.0], [2.0]]])).flatten()
    tensor([1., 1., 2., 2.])
    """

    rank = 1


class UpSampling2D(_UpSampling):
    """Larger images: `(batch, channels, height, width)` -> `(batch, channels, size[0] * height, size[1] * width)`.

    Args:
        size: factors for height and width; one integer for both.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.
        interpolation: `'nearest'` repeats; `'bilinear'`, `'bicubic'` (torch's, a = -0.75, as Keras on torch has it) and
            `'lanczos3'` (on the CPU, from torch 2.13 on) take pixels for squares. torch has no `'lanczos5'`.
        name: see `Layer`; so is `trainable`.

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
    """Repeats along depth, height and width: `(batch, channels, depth, height, width)`.

    Args:
        size: how often on each axis; one integer for all.
        data_format: `'channels_first'` (`None` too) or `'channels_last'`.
        name: see `Layer`; so is `trainable`.

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
        self.padding = _ends("padding", padding, self.rank)
        pairs = [self.padding] if self.rank == 1 else self.padding
        # F.pad begins with the last axis
        self._amounts = [0, 0] * self._last + [amount for both in reversed(pairs) for amount in both]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.check(x)
        return F.pad(x, self._amounts)

    def extra_repr(self) -> str:
        return f"padding={self.padding}"


class ZeroPadding1D(_ZeroPadding):
    """Zeros in front of and behind the steps: `(batch, steps, channels)` -> `(batch, more_steps, channels)`.

    Args:
        padding: how many at each end, or `(front, end)`.
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`.
        name: see `Layer`; so is `trainable`.

    >>> ZeroPadding1D((0, 2))(torch.tensor([[[1.0], [2.0]]])).flatten()
    tensor([1., 2., 0., 0.])
    """

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images: `(batch, channels, height, width)`.

    Args:
        padding: how many at each side, `(height, width)`, or `((top, bottom), (left, right))`.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.
        name: see `Layer`; so is `trainable`.

    >>> ZeroPadding2D(((0, 1), (2, 2)))(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 3, 5, 8])
    """

    rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes, `(batch, channels, depth, height, width)`; see `ZeroPadding2D`.

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
        self.cropping = _ends("cropping", cropping, self.rank)
        self._pairs = (self.cropping,) if self.rank == 1 else self.cropping
        cuts = [slice(front, -end if end else None) for front, end in self._pairs]
        self._kept = (slice(None), *cuts) if self._last else (slice(None), slice(None), *cuts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, spatial = self.split(x.shape)
        if any(size <= front + end for size, (front, end) in zip(spatial, self._pairs, strict=True)):
            raise ValueError(
                f"{self.named()} has cropping={self.cropping} and got {tuple(x.shape)}, {self.axes()}: nothing would "
                f"be left. {self.other_format()}"
            )
        return x[self._kept]

    def extra_repr(self) -> str:
        return f"cropping={self.cropping}"


class Cropping1D(_Cropping):
    """Without steps at both ends: `(batch, steps, channels)` -> `(batch, fewer_steps, channels)`; a view.

    Args:
        cropping: how many at each end, or `(front, end)`.
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`. Keras'
            layer has no such argument and takes the former.
        name: see `Layer`; so is `trainable`.

    >>> Cropping1D((0, 1))(torch.tensor([[[1.0], [2.0], [3.0]]])).flatten()
    tensor([1., 2.])
    """

    rank = 1


class Cropping2D(_Cropping):
    """Without the margins of images, `(batch, channels, height, width)`; a view.

    Args:
        cropping: how much at each side, `(height, width)`, or `((top, bottom), (left, right))`.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.
        name: see `Layer`; so is `trainable`.

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
    """Without the margins of volumes, `(batch, channels, depth, height, width)`; see `Cropping2D`.

    >>> Cropping3D((0, 1, 2))(torch.zeros(1, 3, 8, 8, 8)).shape
    torch.Size([1, 3, 8, 6, 4])
    """

    rank = 3


def _ends(what: str, given: Any, rank: int) -> Any:
    """How much at the front and the end: a pair, or for images and volumes one for each axis."""
    if not isinstance(given, Sequence):
        both = check_int(what, given, 0)
        return (both, both) if rank == 1 else ((both, both),) * rank
    if rank == 1:
        return sizes(what, given, 2, 0)
    if len(given) != rank:
        raise mismatch(what, given, f"an integer, {rank} of them, or {rank} pairs")
    return tuple(sizes(f"each of {what}", one, 2, 0) for one in given)
