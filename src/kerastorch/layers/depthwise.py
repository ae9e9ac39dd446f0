"""Depthwise and separable convolutions: filters that cover one channel each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_int
from kerastorch.initializers import FillFunction
from kerastorch.layers.convolution import CONVOLUTIONS, Convolutional, convolution_class
from kerastorch.layers.padding import fixed_padding, pad_input
from kerastorch.layers.weight_options import make_weight, set_weight_options


def _with_keras_fans(initializer: FillFunction, channels: int) -> FillFunction:
    """Return an initializer for depthwise filters that uses the fan-in and fan-out of Keras.

    The filters are `(channels * multiplier, 1, *kernel_size)`. For Keras they lead from `channels` to `multiplier`
    channels; torch's layout reads as filters that lead from 1 to `channels * multiplier` channels.
    """

    def fill(weight: Tensor) -> Tensor:
        keras_shaped = weight.new_empty(len(weight) // channels, channels, *weight.shape[2:])
        initializer(keras_shaped)
        return weight.copy_(keras_shaped.transpose(0, 1).reshape(weight.shape))

    return fill


class _DepthwiseConv(Convolutional):
    depthwise_initializer: FillFunction

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
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            activity_regularizer=activity_regularizer,
            name=name,
            trainable=trainable,
        )
        set_weight_options(self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        set_weight_options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.depth_multiplier = check_int("depth_multiplier", depth_multiplier)
        self._padding = fixed_padding(self.padding, self._span, self.strides)

    def build(self, input_shape: torch.Size) -> None:
        self.weight = self.make_depthwise_weight("weight", input_shape)
        self.make_bias(self.in_channels * self.depth_multiplier)

    def make_depthwise_weight(self, name: str, input_shape: torch.Size) -> torch.nn.Parameter:
        """Return new filters, `(channels * depth_multiplier, 1, *kernel_size)`, for the attribute `name`."""
        channels = self.store_in_channels(input_shape)
        shape = (channels * self.depth_multiplier, 1, *self.kernel_size)
        fill = _with_keras_fans(self.depthwise_initializer, channels)
        return make_weight(self, "depthwise", shape, name, initializer=fill)

    def depthwise(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the depthwise convolution of `x`, which is in `data_format`.

        Returns:
            `(batch, channels * depth_multiplier, ...)`; the channels of the output that belong to one channel of the
            input are next to each other.
        """
        x, padding = pad_input(self.to_channels_first(x), self._padding, self._span, self.strides)
        convolution = CONVOLUTIONS[self.rank]
        return convolution(x, weight, bias, self.strides, padding, self.dilation_rate, self.in_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_activation(self.depthwise(x, self.weight, self.bias))

    def torch_attributes(self) -> dict[str, Any] | None:
        found = self.attributes_of_convolution()
        return found and found | {"groups": self.in_channels, "out_channels": self.in_channels * self.depth_multiplier}


class DepthwiseConv1D(_DepthwiseConv):
    """Convolution of each channel of a sequence with filters of its own.

    Args:
        kernel_size: Number of steps that the window covers.
        strides: Step of the window. Default 1.
        padding: `'valid'` (default) for none, or `'same'`: `ceil(steps / strides)` outputs, an odd zero at the end.
        depth_multiplier: Number of filters for each channel. Default 1.
        data_format: `'channels_last'` (default), or `'channels_first'` for `(batch, channels, steps)`.
        dilation_rate: Distance between the steps of the window. Default 1.
        activation: Name or callable; `None`, the default, is linear. A softmax is taken over the channels, in either
            format.
        use_bias: Whether the layer has a bias. Default `True`.
        depthwise_initializer: Fills `weight`, `(channels * depth_multiplier, 1, kernel_size)`, with the fan-in and
            fan-out of Keras: those of a filter from `channels` to `depth_multiplier` channels. Default Glorot uniform.
        bias_initializer: Fills `bias`, `(channels * depth_multiplier,)`. Default zeros.
        depthwise_regularizer: Penalty on `weight`, added to the training loss. Default none.
        bias_regularizer: Penalty on `bias`. Default none.
        activity_regularizer: Penalty on the output, divided by the batch size. Default none.
        depthwise_constraint: Constraint that is applied to `weight` after each step. Default none.
        bias_constraint: Constraint that is applied to `bias` after each step. Default none.
        name: Name of the layer. Default none.
        trainable: Whether the weights are trained. Default `True`.

    Shape: `(batch, steps, channels)` -> `(batch, new_steps, channels * depth_multiplier)`. The channels of the output
    that belong to one channel of the input are next to each other.

    >>> DepthwiseConv1D(3, depth_multiplier=2)(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 8, 10])
    """

    rank = 1
    torch_class = convolution_class(nn.Conv1d)


class DepthwiseConv2D(_DepthwiseConv):
    """Convolution of each channel of an image with filters of its own.

    The other arguments are those of `DepthwiseConv1D`; `weight` is `(channels * depth_multiplier, 1, *kernel_size)`.

    Args:
        kernel_size: Height and width of the window; one integer for both, as for `strides` and `dilation_rate`.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.

    Shape: `(batch, channels, height, width)` -> `(batch, channels * depth_multiplier, new_height, new_width)`.

    >>> DepthwiseConv2D(3, padding="same", depth_multiplier=2)(torch.zeros(2, 5, 8, 8)).shape
    torch.Size([2, 10, 8, 8])
    """

    rank = 2
    torch_class = convolution_class(nn.Conv2d)


class _SeparableConv(_DepthwiseConv):
    filters: int
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
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
            name=name,
            trainable=trainable,
        )
        set_weight_options(self, "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint)
        self.filters = check_int("filters", filters)

    def build(self, input_shape: torch.Size) -> None:
        self.depthwise_weight = self.make_depthwise_weight("depthwise_weight", input_shape)
        shape = (self.filters, self.in_channels * self.depth_multiplier, *(1,) * self.rank)
        self.pointwise_weight = make_weight(self, "pointwise", shape, "pointwise_weight")
        self.make_bias(self.filters)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.depthwise(x, self.depthwise_weight, None)  # (batch, channels * depth_multiplier, ...)
        return self.apply_activation(CONVOLUTIONS[self.rank](hidden, self.pointwise_weight, self.bias))


class SeparableConv1D(_SeparableConv):
    """Depthwise convolution over sequences, then a convolution of size 1 over the channels (Chollet 2017).

    The bias and the activation come after the second convolution.

    Args:
        filters: Number of channels of the output.
        kernel_size: Number of steps that the window of the depthwise convolution covers.
        strides: Step of the window. Default 1.
        padding: `'valid'` (default) for none, or `'same'`: `ceil(steps / strides)` outputs, an odd zero at the end.
        data_format: `'channels_last'` (default), or `'channels_first'` for `(batch, channels, steps)`.
        dilation_rate: Distance between the steps of the window. Default 1.
        depth_multiplier: Number of depthwise filters for each channel. Default 1.
        activation: Name or callable; `None`, the default, is linear. A softmax is taken over the channels, in either
            format.
        use_bias: Whether the layer has a bias. Default `True`.
        depthwise_initializer: Fills `depthwise_weight`, `(channels * depth_multiplier, 1, kernel_size)`, with the
            fan-in and fan-out of Keras. Default Glorot uniform.
        pointwise_initializer: Fills `pointwise_weight`, `(filters, channels * depth_multiplier, 1)`. Default Glorot
            uniform.
        bias_initializer: Fills `bias`, `(filters,)`. Default zeros.
        depthwise_regularizer: Penalty on `depthwise_weight`, added to the training loss. Default none.
        pointwise_regularizer: Penalty on `pointwise_weight`. Default none.
        bias_regularizer: Penalty on `bias`. Default none.
        activity_regularizer: Penalty on the output, divided by the batch size. Default none.
        depthwise_constraint: Constraint that is applied to `depthwise_weight` after each step. Default none.
        pointwise_constraint: Constraint that is applied to `pointwise_weight` after each step. Default none.
        bias_constraint: Constraint that is applied to `bias` after each step. Default none.
        name: Name of the layer. Default none.
        trainable: Whether the weights are trained. Default `True`.

    Shape: `(batch, steps, channels)` -> `(batch, new_steps, filters)`.

    >>> SeparableConv1D(8, 3)(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 8, 8])
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """Depthwise convolution over images, then a convolution of size 1 over the channels (Chollet 2017).

    The other arguments are those of `SeparableConv1D`, axis by axis.

    Args:
        filters: Number of channels of the output.
        kernel_size: Height and width of the window of the depthwise convolution; one integer for both.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.

    Shape: `(batch, channels, height, width)` -> `(batch, filters, new_height, new_width)`.

    >>> SeparableConv2D(8, 3, strides=2, padding="same")(torch.zeros(2, 5, 9, 9)).shape
    torch.Size([2, 8, 5, 5])
    """

    rank = 2
