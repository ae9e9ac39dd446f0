"""Conv1DTranspose, Conv2DTranspose and Conv3DTranspose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import constraints, initializers, regularizers
from kerastorch.core.errors import check_int, mismatch
from kerastorch.layers.convolution import Convolutional
from kerastorch.layers.spatial import sizes

_TRANSPOSED: dict[int, Callable[..., Tensor]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class _ConvTranspose(Convolutional):
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            activity_regularizer,
            bias_constraint,
            name=name,
            trainable=trainable,
        )
        self.filters = check_int("filters", filters)
        self.check_strides()
        self.output_padding = None if output_padding is None else sizes("output_padding", output_padding, self.rank, 0)
        if any(more >= stride for more, stride in zip(self.output_padding or (), self.strides, strict=False)):
            raise mismatch("output_padding", output_padding, f"less than strides={self.strides}, axis by axis")
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        more = self.output_padding or (None,) * self.rank
        cuts = [_cut(self.padding, *axis) for axis in zip(self._span, self.strides, more, strict=True)]
        # torch cuts as much off both ends, and puts something on again at the far end
        self._more = [max(front - end, 0) for front, end in cuts]
        late = [max(end - front, 0) for front, end in cuts]
        # Where more is to go at the far end, zeros in front of the window make it equal: outputs that are cut
        # afterwards have odd sizes, which took torch twice the time. With dilation a zero would be more than one.
        slices = max(self.dilation_rate) > 1 and any(late)
        self._zeros = [zeros for one in reversed(late) for zeros in (one, 0)] if any(late) and not slices else None
        self._padding = [front + (0 if slices else more) for (front, _), more in zip(cuts, late, strict=True)]
        self._cut = (slice(None), slice(None), *(slice(-one if one else None) for one in late)) if slices else None

    def build(self, input_shape: torch.Size) -> None:
        self.in_channels = channels = self.split(input_shape)[0]
        self.weight = self.add_weight(
            (channels, self.filters, *self.kernel_size),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="weight",
        )
        self.make_bias(self.filters)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self._zeros is None else F.pad(self.weight, self._zeros)
        transposed = _TRANSPOSED[self.rank]
        y = transposed(self.first(x), weight, self.bias, self.strides, self._padding, self._more, 1, self.dilation_rate)
        return self.activate(y if self._cut is None else y[self._cut])

    def extra_repr(self) -> str:
        channels = f"{self.in_channels} -> " if self.built else ""
        return f"{channels}{self.filters}, {super().extra_repr()}"


def _cut(padding: str, span: int, stride: int, more: int | None) -> tuple[int, int]:
    """What is cut off the front and the end of all `(size - 1) * stride + span` outputs; less than 0 is put on.

    `'valid'` leaves `(size - 1) * stride + span + more`, with `more` such that at least `size * stride` remain;
    `'same'` leaves `size * stride`, or `(size - 1) * stride + span % 2 + more`.
    """
    if padding == "valid":
        return 0, -(max(stride - span, 0) if more is None else more)
    total = span - stride if more is None else span - span % 2 - more
    # an odd one is cut off the end; nothing is ever put on in front
    front = max(total // 2, 0)
    return front, total - front


class Conv1DTranspose(_ConvTranspose):
    """The transpose (the gradient) of a convolution over sequences: `(batch, steps, channels)` -> longer ones.

    Args:
        filters: number of channels of the output.
        kernel_size: how many steps the window covers.
        strides: by how much it grows.
        padding: `'valid'`: `(steps - 1) * strides + max(kernel_size, strides)` outputs; `'same'`:
            `steps * strides`.
        output_padding: less than `strides`. Given, there are `(steps - 1) * strides + kernel_size + output_padding`
            outputs with `'valid'`; with `'same'`, `kernel_size % 2` stands for `kernel_size`. torch counts otherwise.
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`.
        dilation_rate: distance between the steps of the window; above 1 only without strides.
        activation: see `Conv1D`; so are the other arguments. `weight` is `(channels, filters, kernel_size)`, as in
            torch; a constraint on the norm of what leads to one output channel needs `dim=(0, 2)`.

    >>> Conv1DTranspose(8, 3, strides=2, padding="same")(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 20, 8])
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """The transpose of a convolution over images: `(batch, channels, height, width)` -> larger ones.

    Args:
        filters: number of channels of the output.
        kernel_size: height and width of the window; one integer for both.
        strides: see `Conv1DTranspose`, axis by axis; so are the other arguments. `weight` is
            `(channels, filters, *kernel_size)`.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.

    >>> Conv2DTranspose(8, 3, strides=2, padding="same")(torch.zeros(2, 5, 7, 9)).shape
    torch.Size([2, 8, 14, 18])
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose):
    """The transpose of a convolution over volumes: `(batch, channels, depth, height, width)` -> larger ones.

    Args:
        filters: number of channels of the output.
        kernel_size: depth, height and width of the window; one integer for all.
        strides: see `Conv2DTranspose`, axis by axis; so are the other arguments, of which `data_format` comes before
            `output_padding` here, as in Keras.

    >>> Conv3DTranspose(4, 2, strides=2)(torch.zeros(2, 1, 3, 4, 4)).shape
    torch.Size([2, 4, 6, 8, 8])
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: int | Sequence[int] | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            output_padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            name=name,
            trainable=trainable,
        )
