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
        first = 1 if self._is_channels_last else 2
        self._spatial_axes = tuple(range(first, first + self.rank))

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return the channel axis of the output if it keeps the spatial axes, else `None`."""
        return super().channels_after(given) if self.keepdims else None

    def extra_repr(self) -> str:
        return "keepdims=True" if self.keepdims else ""


class _GlobalMaxPooling(_GlobalPooling):
    def forward(self, x: Tensor) -> Tensor:
        self.check_ndim(x)
        return x.amax(self._spatial_axes, self.keepdims)


class _GlobalAveragePooling(_GlobalPooling):
    def forward(self, x: Tensor) -> Tensor:
        self.check_ndim(x)
        return x.mean(self._spatial_axes, self.keepdims)


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """Maximum of each channel over the steps: `(batch, steps, channels)` -> `(batch, channels)`.

    Args:
        data_format: `'channels_last'` (default), or `'channels_first'` for `(batch, channels, steps)`.
        keepdims: Whether the axis of the steps is kept, with size 1. Default `False`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> GlobalMaxPooling1D()(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 5])
    """

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """Maximum of each channel of images: `(batch, channels, height, width)` -> `(batch, channels)`.

    Args:
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.
        keepdims: Whether height and width are kept, with size 1. Default `False`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> GlobalMaxPooling2D(keepdims=True)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 3, 1, 1])
    """

    rank = 2


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """Maximum of each channel of volumes: `(batch, channels, depth, height, width)` -> `(batch, channels)`.

    The arguments are those of `GlobalMaxPooling2D`.

    >>> GlobalMaxPooling3D()(torch.zeros(2, 3, 4, 8, 8)).shape
    torch.Size([2, 3])
    """

    rank = 3


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """Mean of each channel over the steps: `(batch, steps, channels)` -> `(batch, channels)`.

    Args:
        data_format: `'channels_last'` (default), or `'channels_first'` for `(batch, channels, steps)`.
        keepdims: Whether the axis of the steps is kept, with size 1. Default `False`.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    A call takes a `mask`, `(batch, steps)`: the mean is then over the steps for which it is `True`. It is 0 for a
    sequence without such steps (Keras gives NaN).

    >>> x = torch.tensor([[[1.0], [3.0], [8.0]]])
    >>> GlobalAveragePooling1D()(x, mask=torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """

    rank = 1

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return super().forward(x)
        self.check_ndim(x)
        step_axis = self._spatial_axes[0]
        if mask.shape != (x.shape[0], x.shape[step_axis]):
            raise ValueError(
                f"{self.display_name()} takes {self.expected_axes()} and a mask (batch, steps); got {tuple(x.shape)} "
                f"and {tuple(mask.shape)}. {self.other_format_advice()}"
            )
        is_counted = mask.bool().unsqueeze(3 - step_axis)  # with size 1 on the channel axis
        total = torch.where(is_counted, x, 0).sum(step_axis, self.keepdims)
        return total / is_counted.sum(step_axis, self.keepdims).clamp(min=1)


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """Mean of each channel of images: `(batch, channels, height, width)` -> `(batch, channels)`.

    The arguments are those of `GlobalMaxPooling2D`.

    >>> GlobalAveragePooling2D()(torch.ones(1, 3, 8, 8))
    tensor([[1., 1., 1.]])
    """

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """Mean of each channel of volumes: `(batch, channels, depth, height, width)` -> `(batch, channels)`.

    The arguments are those of `GlobalMaxPooling2D`.

    >>> GlobalAveragePooling3D()(torch.zeros(2, 3, 4, 8, 8)).shape
    torch.Size([2, 3])
    """

    rank = 3


GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
