"""Conv1D, Conv2D and Conv3D, and the base of all convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch import activations
from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.core.torch_class import TorchClass
from kerastorch.layers.base import activation_name
from kerastorch.layers.constant_output import raise_if_constant
from kerastorch.layers.keras_weight import keras_weight, outputs_last
from kerastorch.layers.padding import fixed_padding, pad_input, same_padding
from kerastorch.layers.spatial import Spatial, check_sizes
from kerastorch.layers.weight_options import make_weight, set_weight_options

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


_ALIASES = {"stride": "strides", "dilation": "dilation_rate"}


def convolution_class(kind: type[nn.Module], **aliases: str) -> TorchClass:
    """Return a class of convolutions of torch for layers that have Keras' arguments.

    Args:
        kind: The class.
        **aliases: Further attributes of `kind`, and the attribute of the layer with the same value.
    """
    return TorchClass(kind, _ALIASES | aliases, decided_by=("activation",))


def check_strides_or_dilation(name: str, strides: Sequence[int], dilation_rate: Sequence[int]) -> None:
    """Raise an error for strides together with dilation, as Keras does.

    Args:
        name: Name of the layer, for the message.
        strides: Step of the window on each axis.
        dilation_rate: Distance between the elements of the window on each axis.

    Raises:
        ValueError: Both are above 1.
    """
    if max(strides) > 1 and max(dilation_rate) > 1:
        raise ValueError(
            f"{name} takes strides or dilation_rate above 1, not both: "
            f"strides={strides}, dilation_rate={dilation_rate}."
        )


class Convolutional(Spatial):
    """Base of all convolutions: a window that moves over `rank` axes, then a bias and an activation.

    Subclasses store the options of the weights with `set_weight_options`, under `"bias"` for the bias.

    Args:
        kernel_size: Size of the window on each axis; one integer for all axes.
        strides: Step of the window on each axis; one integer for all axes.
        padding: `'valid'` for no padding; `'same'` for `ceil(size / stride)` outputs, with an odd zero at the end, as
            in Keras and TensorFlow; `'causal'`, for sequences only, for outputs that depend on no later step.
        data_format: `'channels_first'`, `'channels_last'` or `None`, as in `Spatial`.
        dilation_rate: Distance between the elements of the window on each axis; one integer for all axes.
        activation: Name or callable; `None` is linear. A softmax is taken over the channels.
        use_bias: Whether the layer has a bias.
        activity_regularizer: Penalty on the output, divided by the batch size; `None` for none.
        name: Name of the layer; `None` for none.
        trainable: Whether the weights are trained.
    """

    weight: torch.nn.Parameter
    bias: torch.nn.Parameter | None
    in_channels: int
    filters: int | None = None  # number of output channels, in layers with such an argument

    def __init__(
        self,
        *,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        activity_regularizer: Any,
        name: str | None,
        trainable: bool,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self.kernel_size = check_sizes("kernel_size", kernel_size, self.rank)
        self.strides = check_sizes("strides", strides, self.rank)
        self.padding = check_choice("padding", padding, self._padding_choices())
        self.dilation_rate = check_sizes("dilation_rate", dilation_rate, self.rank)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        # size of the window on each axis, with dilation
        self._span = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))

    def _padding_choices(self) -> tuple[str, ...]:
        return ("valid", "same")

    def check_strides(self) -> None:
        """Raise an error for strides together with dilation, as Keras does."""
        check_strides_or_dilation(self.display_name(), self.strides, self.dilation_rate)

    def store_in_channels(self, input_shape: Sequence[int]) -> int:
        """Set `in_channels` to the number of channels of an input shape, and return it.

        Raises:
            ValueError: The shape has a different number of axes, or the window is larger than the input.
        """
        self.in_channels, spatial = self.channels_and_sizes(input_shape)
        if self.padding == "valid" and any(-1 < size < span for size, span in zip(spatial, self._span, strict=True)):
            raise ValueError(
                f"{self.display_name()} has a window of {self._span} and inputs of {spatial}, as it takes "
                f"{self.expected_axes()}: nothing would come out. {self.other_format_advice()}"
            )
        return self.in_channels

    def make_bias(self, size: int) -> None:
        """Set `bias`, `(size,)` or `None`, for an output of `size` channels.

        Raises:
            ValueError: The activation is a softmax over one channel.
        """
        constant_axis = activations.constant_axis(self.activation)
        channel_axis = -1 if self._is_channels_last else 1
        if constant_axis is not None and self.activates_channels_last():
            constant_axis = channel_axis
        raise_if_constant(self, constant_axis, size, channel_axis, self.rank + 2)
        self.bias = make_weight(self, "bias", (size,), "bias") if self.use_bias else None

    def activates_channels_last(self) -> bool:
        """Return whether the channels are moved to the last axis for the activation, as for a softmax.

        Keras applies a softmax along the last axis even if that is the width of a channels-first image; here it is
        over the channels.
        """
        return not self._is_channels_last and self.activation in activations.ALONG_LAST_AXIS

    def apply_activation(self, y: Tensor) -> Tensor:
        """Return the layer's output, in `data_format`, from a convolution's, `(batch, channels, ...)`."""
        if self.activates_channels_last():
            return self.activation(y.movedim(1, -1)).movedim(-1, 1)
        return self.activation(self.from_channels_first(y))

    def padding_name(self) -> str:
        """Return Keras' name of the padding."""
        return self.padding

    def computes_as_torch(self) -> bool:
        """Return whether the layer adds nothing to a convolution of channels-first inputs."""
        return self.activation is activations.linear and not self._is_channels_last

    def attributes_of_convolution(self) -> dict[str, Any] | None:
        """Return what `torch_attributes` returns for convolutions that are not transposed."""
        # 'valid' and, without strides, 'same' mean in torch what they mean here
        is_other_padding = self.padding == "causal" or (self.padding == "same" and max(self.strides) > 1)
        if is_other_padding or not self.computes_as_torch():
            return None
        zeros = [same_padding(1, span, 1) if self.padding == "same" else (0, 0) for span in reversed(self._span)]
        return {
            "transposed": False,
            "output_padding": (0,) * self.rank,
            "padding_mode": "zeros",
            "_reversed_padding_repeated_twice": [amount for both in zeros for amount in both],
        }

    def extra_repr(self) -> str:
        channels = ""
        if self.filters is not None:
            channels = f"{self.in_channels} -> {self.filters}, " if self.built else f"{self.filters}, "
        return (
            f"{channels}kernel_size={self.kernel_size}, strides={self.strides}, padding={self.padding_name()}"
            f"{activation_name(self.activation)}{'' if self.built else ', unbuilt'}"
        )


class _Conv(Convolutional):
    filters: int

    kernel = keras_weight("weight", outputs_last)

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
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
        set_weight_options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_weight_options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.filters = check_int("filters", filters)
        self.groups = check_int("groups", groups)
        if self.filters % self.groups:
            raise mismatch("filters", filters, f"a multiple of groups={groups}")
        self.check_strides()
        self._padding = fixed_padding(self.padding, self._span, self.strides)

    def build(self, input_shape: torch.Size) -> None:
        channels = self.store_in_channels(input_shape)
        if channels > 0 and channels % self.groups:
            raise ValueError(
                f"{self.display_name()} has groups={self.groups}, which do not divide the {channels} channels of its "
                f"input, {self.expected_axes()}: {tuple(input_shape)}. {self.other_format_advice()}"
            )
        self.weight = make_weight(self, "kernel", (self.filters, channels // self.groups, *self.kernel_size), "weight")
        self.make_bias(self.filters)

    def forward(self, x: Tensor) -> Tensor:
        # error messages read the local `x` for the shape of the input, so the padded input has a different name
        padded, padding = pad_input(self.to_channels_first(x), self._padding, self._span, self.strides)
        convolution = CONVOLUTIONS[self.rank]
        y = convolution(padded, self.weight, self.bias, self.strides, padding, self.dilation_rate, self.groups)
        return self.apply_activation(y)

    def torch_attributes(self) -> dict[str, Any] | None:
        return self.attributes_of_convolution()


class Conv1D(_Conv):
    """Convolution over sequences: `(batch, steps, channels)` -> `(batch, new_steps, filters)`.

    The axis order is that of Keras, of `Embedding` and of the recurrent layers. Data in the order of `torch.nn.Conv1d`
    and `BatchNorm1d`, `(batch, channels, steps)`, need `data_format='channels_first'`, in this layer and in the pooling
    after it: the layer cannot recognise the order. Once built, a layer with `data_format='channels_first'` and no
    activation is an instance of `torch.nn.Conv1d`, unless its padding is `'causal'`, or `'same'` with strides.

    Args:
        filters: Number of channels of the output.
        kernel_size: Number of steps that the window covers.
        strides: Step of the window. Default 1.
        padding: `'valid'` (default) for none, `'same'` (`ceil(steps / strides)` outputs, an odd zero at the end) or
            `'causal'` (zeros in front only, so that no output depends on a later step).
        data_format: `'channels_last'` (default), or `'channels_first'` for `(batch, channels, steps)`.
        dilation_rate: Distance between the steps of the window; above 1 only with `strides=1`. Default 1.
        groups: Number of groups that the channels are divided into; each has its own filters. Default 1.
        activation: Name or callable; `None`, the default, is linear. A softmax is taken over the channels, in either
            format.
        use_bias: Whether the layer has a bias. Default `True`.
        kernel_initializer: Fills `weight`, `(filters, channels / groups, kernel_size)`. Default Glorot uniform.
        bias_initializer: Fills `bias`, `(filters,)`. Default zeros.
        kernel_regularizer: Penalty on `weight`, added to the training loss. Default none.
        bias_regularizer: Penalty on `bias`. Default none.
        activity_regularizer: Penalty on the output, divided by the batch size. Default none.
        kernel_constraint: Constraint that is applied to `weight` after each step. Default none.
        bias_constraint: Constraint that is applied to `bias` after each step. Default none.
        name: Name of the layer. Default none.
        trainable: Whether the weights are trained. Default `True`.

    Raises:
        ValueError: An input with a different number of axes, channels that `groups` does not divide, a window larger
            than the input.

    >>> Conv1D(8, 3, padding="causal")(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 10, 8])
    >>> Conv1D(8, 3, data_format="channels_first")(torch.zeros(2, 5, 10)).shape
    torch.Size([2, 8, 8])
    """

    rank = 1
    torch_class = convolution_class(nn.Conv1d, out_channels="filters")

    def _padding_choices(self) -> tuple[str, ...]:
        return ("valid", "same", "causal")


class Conv2D(_Conv):
    """Convolution over images: `(batch, channels, height, width)` -> `(batch, filters, new_height, new_width)`.

    `groups`, `activation` and the arguments after them are those of `Conv1D`; `weight` is
    `(filters, channels / groups, *kernel_size)`. Once built, a channels-first layer without an activation is an
    instance of `torch.nn.Conv2d`, unless its padding is `'same'` with strides.

    Args:
        filters: Number of channels of the output.
        kernel_size: Height and width of the window; one integer for both.
        strides: Step of the window along height and width; one integer for both. Default 1.
        padding: `'valid'` (default) for none, or `'same'`: `ceil(size / stride)` outputs, an odd row and column of
            zeros at the end, as in Keras. torch's `padding='same'` does not allow strides, and `padding=1` adds zeros
            on both sides.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.
        dilation_rate: Distance between the elements of the window; above 1 only with `strides=1`. Default 1.

    >>> Conv2D(8, 3, strides=2, padding="same")(torch.zeros(2, 3, 28, 29)).shape
    torch.Size([2, 8, 14, 15])
    """

    rank = 2
    torch_class = convolution_class(nn.Conv2d, out_channels="filters")


class Conv3D(_Conv):
    """Convolution over volumes: `(batch, channels, depth, height, width)` -> `(batch, filters, ...)`.

    The other arguments are those of `Conv2D`.

    Args:
        filters: Number of channels of the output.
        kernel_size: Depth, height and width of the window; one integer for all.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, depth, height, width, channels)`.

    >>> Conv3D(4, (1, 3, 3))(torch.zeros(2, 1, 5, 8, 8)).shape
    torch.Size([2, 4, 5, 6, 6])
    """

    rank = 3
    torch_class = convolution_class(nn.Conv3d, out_channels="filters")
