"""GlobalMaxPooling and GlobalAveragePooling: one value for each channel."""

from __future__ import annotations

import torch
from torch import Tensor

from kerastorch.core.channel_tracking import Channels
from kerastorch.core.errors import mismatch
from kerastorch.layers.spatial import Spatial


class _GlobalPooling(Spatial):
    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        if not isinstance(keepdims, bool):
            raise mismatch("keepdims", keepdims, "True or False")
        self.keepdims = keepdims
        start = 1 if self._last else 2
        self._over = tuple(range(start, start + self.rank))

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return the channel axis if the other axes are kept."""
        return super().channels_after(given) if self.keepdims else None

    def extra_repr(self) -> str:
        return "keepdims=True" if self.keepdims else ""


class _GlobalMaxPooling(_GlobalPooling):
    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return x.amax(self._over, self.keepdims)


class _GlobalAveragePooling(_GlobalPooling):
    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return x.mean(self._over, self.keepdims)


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The largest value of each channel over the steps: `(batch, steps, channels)` -> `(batch, channels)`.

    Args:
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`.
        keepdims: whether the axis stays, with size 1.
        name: see `Layer`; so is `trainable`.

    >>> GlobalMaxPooling1D()(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 5])
    """

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The largest value of each channel: `(batch, channels, height, width)` -> `(batch, channels)`.

    Args:
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.
        keepdims: whether the axes stay, with size 1.
        name: see `Layer`; so is `trainable`.

    >>> GlobalMaxPooling2D(keepdims=True)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 3, 1, 1])
    """

    rank = 2


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """The largest value of each channel: `(batch, channels, depth, height, width)` -> `(batch, channels)`.

    >>> GlobalMaxPooling3D()(torch.zeros(2, 3, 4, 8, 8)).shape
    torch.Size([2, 3])
    """

    rank = 3


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean of each channel over the steps: `(batch, steps, channels)` -> `(batch, channels)`.

    Args:
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`.
        keepdims: whether the axis stays, with size 1.
        name: see `Layer`; so is `trainable`.

    Called with `mask`, `(batch, steps)`, it is the mean over the steps where that is `True`; 0 where there is none
    (Keras gives NaN).

    >>> x = torch.tensor([[[1.0], [3.0], [8.0]]])
    >>> GlobalAveragePooling1D()(x, mask=torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """

    rank = 1

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return super().forward(x)
        self.check(x)
        steps = self._over[0]
        if mask.shape != (x.shape[0], x.shape[steps]):
            raise ValueError(
                f"{self.named()} takes {self.axes()} and a mask (batch, steps); got {tuple(x.shape)} and "
                f"{tuple(mask.shape)}. {self.other_format()}"
            )
        counts = mask.bool().unsqueeze(3 - steps)
        total = torch.where(counts, x, 0).sum(steps, self.keepdims)
        return total / counts.sum(steps, self.keepdims).clamp(min=1)


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean of each channel: `(batch, channels, height, width)` -> `(batch, channels)`; see `GlobalMaxPooling2D`.

    >>> GlobalAveragePooling2D()(torch.ones(1, 3, 8, 8))
    tensor([[1., 1., 1.]])
    """

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """The mean of each channel: `(batch, channels, depth, height, width)` -> `(batch, channels)`.

    >>> GlobalAveragePooling3D()(torch.zeros(2, 3, 4, 8, 8)).shape
    torch.Size([2, 3])
    """

    rank = 3


GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
