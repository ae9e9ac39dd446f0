"""DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D and SeparableConv2D: filters that see one channel each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch import constraints, initializers, regularizers
from kerastorch.core.errors import check_int
from kerastorch.initializers import Initializer
from kerastorch.layers.convolution import CONVOLUTIONS, Convolutional
from kerastorch.layers.padding import known, padded


def _each_channel(initializer: Initializer, channels: int) -> Initializer:
    """Fills `(channels * multiplier, 1, *kernel)` with what goes by Keras' fans.

    Keras takes the filters for one that leads from `channels` to `multiplier` channels, torch's layout for one that
    leads from 1 to `channels * multiplier`.
    """

    def fill(weight: Tensor) -> Tensor:
        like_keras = weight.new_empty(len(weight) // channels, channels, *weight.shape[2:])
        initializer(like_keras)
        return weight.copy_(like_keras.transpose(0, 1).reshape(weight.shape))

    return fill


class _DepthwiseConv(Convolutional):
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
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
        self.depth_multiplier = check_int("depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self._padding = known(self.padding, self._span, self.strides)

    def build(self, input_shape: torch.Size) -> None:
        self.make_depthwise("weight", input_shape)
        self.make_bias(self.in_channels * self.depth_multiplier)

    def make_depthwise(self, name: str, input_shape: torch.Size) -> None:
        """The filters, `(channels * depth_multiplier, 1, *kernel_size)`, as the attribute `name`."""
        channels = self.begin(input_shape)
        weight = self.add_weight(
            (channels * self.depth_multiplier, 1, *self.kernel_size),
            _each_channel(self.depthwise_initializer, channels),
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
            name=name,
        )
        setattr(self, name, weight)

    def depthwise(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`(batch, channels, ...)` -> `(batch, channels * depth_multiplier, ...)`, for `x` in `data_format`."""
        x, padding = padded(self.first(x), self._padding, self._span, self.strides)
        convolution = CONVOLUTIONS[self.rank]
        return convolution(x, weight, bias, self.strides, padding, self.dilation_rate, self.in_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.activate(self.depthwise(x, self.weight, self.bias))


class DepthwiseConv1D(_DepthwiseConv):
    """`depth_multiplier` filters for each channel: `(batch, steps, channels)` -> `(batch, ..., channels * multiplier)`.

    Channels of the output that come from one channel lie next to each other.

    Args:
        kernel_size: how many steps the window covers.
        strides: steps of the window.
        padding: `'valid'` or `'same'`, as for `Conv1D`.
        depth_multiplier: filters for each channel.
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`.
        dilation_rate: distance between the steps of the window.
        activation: see `Conv1D`.
        use_bias: whether there is a bias, `(channels * depth_multiplier,)`.
        depthwise_initializer: fills `weight`, `(channels * depth_multiplier, 1, kernel_size)`; its fans are those
            of Keras, for a filter from `channels` to `depth_multiplier`.
        bias_initializer: fills `bias`.
        depthwise_regularizer: penalty on `weight`.
        bias_regularizer: penalty on `bias`.
        activity_regularizer: penalty on the output, over the batch size.
        depthwise_constraint: what `weight` must satisfy after each step.
        bias_constraint: what `bias` must satisfy.
        name: see `Layer`; so is `trainable`.

    >>> DepthwiseConv1D(3, depth_multiplier=2)(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 8, 10])
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """`depth_multiplier` filters for each channel of images, `(batch, channels, height, width)`.

    Args:
        kernel_size: height and width of the window; one integer for both, as for `strides` and `dilation_rate`.
        strides: see `DepthwiseConv1D`; so are the other arguments. `weight` is
            `(channels * depth_multiplier, 1, *kernel_size)`.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.

    >>> DepthwiseConv2D(3, padding="same", depth_multiplier=2)(torch.zeros(2, 5, 8, 8)).shape
    torch.Size([2, 10, 8, 8])
    """

    rank = 2


class _SeparableConv(_DepthwiseConv):
    depthwise_weight: torch.nn.Parameter
    pointwise_weight: torch.nn.Parameter

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            depth_multiplier,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            depthwise_initializer,
            bias_initializer,
            depthwise_regularizer,
            bias_regularizer,
            activity_regularizer,
            depthwise_constraint,
            bias_constraint,
            name=name,
            trainable=trainable,
        )
        self.filters = check_int("filters", filters)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.pointwise_constraint = constraints.get(pointwise_constraint)

    def build(self, input_shape: torch.Size) -> None:
        self.make_depthwise("depthwise_weight", input_shape)
        self.pointwise_weight = self.add_weight(
            (self.filters, self.in_channels * self.depth_multiplier, *(1,) * self.rank),
            self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
            name="pointwise_weight",
        )
        self.make_bias(self.filters)

    def forward(self, x: Tensor) -> Tensor:
        between = self.depthwise(x, self.depthwise_weight, None)
        return self.activate(CONVOLUTIONS[self.rank](between, self.pointwise_weight, self.bias))

    def extra_repr(self) -> str:
        channels = f"{self.in_channels} -> " if self.built else ""
        return f"{channels}{self.filters}, {super().extra_repr()}"


class SeparableConv1D(_SeparableConv):
    """`DepthwiseConv1D` without bias, then a convolution of size 1 over the channels, bias and activation.

    Args:
        filters: number of channels of the output.
        kernel_size: of the depthwise filters; so are `strides`, `padding`, `dilation_rate` and `depth_multiplier`, see
            `DepthwiseConv1D`.
        data_format: `'channels_last'`, `(batch, steps, channels)` (`None` too), or `'channels_first'`.
        activation: see `Conv1D`.
        use_bias: whether there is a bias, `(filters,)`.
        depthwise_initializer: fills `depthwise_weight`, `(channels * depth_multiplier, 1, kernel_size)`.
        pointwise_initializer: fills `pointwise_weight`, `(filters, channels * depth_multiplier, 1)`.
        bias_initializer: fills `bias`.
        depthwise_regularizer: penalty on `depthwise_weight`; the other penalties and constraints are named alike.
        name: see `Layer`; so is `trainable`.

    >>> SeparableConv1D(8, 3)(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 8, 8])
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """`DepthwiseConv2D` without bias, then a convolution of size 1 over the channels (Chollet 2017).

    Args:
        filters: number of channels of the output.
        kernel_size: height and width of the depthwise filters; one integer for both.
        strides: see `SeparableConv1D`; so are the other arguments, for `(batch, channels, height, width)`.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.

    >>> SeparableConv2D(8, 3, strides=2, padding="same")(torch.zeros(2, 5, 9, 9)).shape
    torch.Size([2, 8, 5, 5])
    """

    rank = 2
