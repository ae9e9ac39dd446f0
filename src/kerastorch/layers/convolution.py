"""Conv1D, Conv2D and Conv3D, and what all convolutions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import activations, constraints, initializers, regularizers
from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.layers.base import activation_name
from kerastorch.layers.constant_output import refuse_constant
from kerastorch.layers.padding import known, padded
from kerastorch.layers.spatial import Spatial, sizes

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class Convolutional(Spatial):
    """Base of all convolutions: a window that moves over `rank` axes, a bias, an activation.

    Args:
        kernel_size: size of the window on each axis; one integer for all.
        strides: steps of the window.
        padding: `'valid'` for none; `'same'` for `ceil(size / stride)` outputs, with the odd zero at the end, as Keras
            and TensorFlow do it; `'causal'`, for sequences, for outputs that see no later step.
        data_format: see `Spatial`.
        dilation_rate: distance between the elements of the window.
        activation: name or callable; `None` is linear. A softmax is taken over the channels.
        use_bias: whether there is a bias.
        bias_initializer: fills `bias`.
        bias_regularizer: penalty on `bias`.
        activity_regularizer: penalty on the output, over the batch size.
        bias_constraint: what `bias` must satisfy after each step.
        name: see `Layer`; so is `trainable`.
    """

    weight: torch.nn.Parameter
    bias: torch.nn.Parameter | None
    in_channels: int

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        bias_regularizer: Any,
        activity_regularizer: Any,
        bias_constraint: Any,
        *,
        name: str | None,
        trainable: bool,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self.kernel_size = sizes("kernel_size", kernel_size, self.rank)
        self.strides = sizes("strides", strides, self.rank)
        self.padding = check_choice("padding", padding, self._paddings())
        self.dilation_rate = sizes("dilation_rate", dilation_rate, self.rank)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        # what the window spans
        self._span = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))

    def _paddings(self) -> tuple[str, ...]:
        return ("valid", "same")

    def check_strides(self) -> None:
        """Raises where Keras does."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{self.named()} takes strides or dilation_rate above 1, not both: "
                f"strides={self.strides}, dilation_rate={self.dilation_rate}."
            )

    def begin(self, input_shape: Sequence[int]) -> int:
        """The number of channels of inputs of this shape, noted.

        Raises:
            ValueError: another number of axes; nothing would come out.
        """
        self.in_channels, spatial = self.split(input_shape)
        if self.padding == "valid" and any(-1 < size < span for size, span in zip(spatial, self._span, strict=True)):
            raise ValueError(
                f"{self.named()} has a window of {self._span} and inputs of {spatial}, as it takes {self.axes()}: "
                f"nothing would come out. {self.other_format()}"
            )
        return self.in_channels

    def make_bias(self, size: int) -> None:
        """`bias`, `(size,)`, or `None`, for an output of `size` channels."""
        axis = activations.constant_axis(self.activation)
        channels = -1 if self._last else 1
        if axis is not None and self.turns():
            axis = channels
        refuse_constant(self, axis, size, channels, self.rank + 2)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (size,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def turns(self) -> bool:
        """Whether the channels are put last for the activation."""
        return not self._last and self.activation in activations.ALONG_LAST_AXIS

    def activate(self, y: Tensor) -> Tensor:
        """From torch's `(batch, channels, ...)` to the layer's output."""
        if self.turns():
            return self.activation(y.movedim(1, -1)).movedim(-1, 1)
        return self.activation(self.back(y))

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, strides={self.strides}, padding={self.padding}"
            f"{activation_name(self.activation)}{'' if self.built else ', unbuilt'}"
        )


class _Conv(Convolutional):
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
        self.groups = check_int("groups", groups)
        if self.filters % self.groups:
            raise mismatch("filters", filters, f"a multiple of groups={groups}")
        self.check_strides()
        self._padding = known(self.padding, self._span, self.strides)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)

    def build(self, input_shape: torch.Size) -> None:
        channels = self.begin(input_shape)
        if channels > 0 and channels % self.groups:
            raise ValueError(
                f"{self.named()} has groups={self.groups}, which do not divide the {channels} channels of its input, "
                f"{self.axes()}: {tuple(input_shape)}. {self.other_format()}"
            )
        self.weight = self.add_weight(
            (self.filters, channels // self.groups, *self.kernel_size),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="weight",
        )
        self.make_bias(self.filters)

    def forward(self, x: Tensor) -> Tensor:
        # a name of its own: where it fails, `x` is looked at for what was given
        moved, padding = padded(self.first(x), self._padding, self._span, self.strides)
        convolution = CONVOLUTIONS[self.rank]
        y = convolution(moved, self.weight, self.bias, self.strides, padding, self.dilation_rate, self.groups)
        return self.activate(y)

    def extra_repr(self) -> str:
        channels = f"{self.in_channels} -> " if self.built else ""
        return f"{channels}{self.filters}, {super().extra_repr()}"


class Conv1D(_Conv):
    """A convolution over sequences: `(batch, steps, channels)` -> `(batch, new_steps, filters)`.

    That is the order of Keras, of `Embedding` and of the recurrent layers. Data in torch's order, `(batch, channels,
    steps)`, as `torch.nn.Conv1d` and `BatchNorm1d` have them, need `data_format='channels_first'`, in this layer and in
    the pooling behind it: the layer cannot tell which axis is which.

    Args:
        filters: number of channels of the output.
        kernel_size: how many steps the window covers.
        strides: steps of the window.
        padding: `'valid'`, `'same'` (`ceil(steps / strides)` outputs, the odd zero at the end) or `'causal'` (zeros in
            front only, so that no output sees a later step).
        data_format: `'channels_last'` (`None` too), or `'channels_first'` for `(batch, channels, steps)`.
        dilation_rate: distance between the steps of the window; above 1 only without strides.
        groups: the channels are cut into as many parts, each with filters of its own.
        activation: name or callable; `None` is linear. A softmax is taken over the channels, in either format.
        use_bias: whether there is a bias.
        kernel_initializer: fills `weight`, `(filters, channels / groups, kernel_size)`.
        bias_initializer: fills `bias`, `(filters,)`.
        kernel_regularizer: penalty on `weight`, added to the training loss.
        bias_regularizer: penalty on `bias`.
        activity_regularizer: penalty on the output, over the batch size.
        kernel_constraint: what `weight` must satisfy after each step.
        bias_constraint: what `bias` must satisfy.
        name: see `Layer`; so is `trainable`.

    Raises:
        ValueError: an input of another number of axes, channels that `groups` does not divide, a window larger than
            the input.

    >>> Conv1D(8, 3, padding="causal")(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 10, 8])
    >>> Conv1D(8, 3, data_format="channels_first")(torch.zeros(2, 5, 10)).shape
    torch.Size([2, 8, 8])
    """

    rank = 1

    def _paddings(self) -> tuple[str, ...]:
        return ("valid", "same", "causal")


class Conv2D(_Conv):
    """A convolution over images: `(batch, channels, height, width)` -> `(batch, filters, new_height, new_width)`.

    Args:
        filters: number of channels of the output.
        kernel_size: height and width of the window; one integer for both, as for `strides` and `dilation_rate`.
        strides: steps of the window.
        padding: `'valid'` or `'same'`: `ceil(size / stride)` outputs, the odd row and column of zeros at the end, as in
            Keras. torch's `padding='same'` refuses strides; `padding=1` puts zeros on both sides.
        data_format: `'channels_first'` (`None` too), or `'channels_last'` for `(batch, height, width, channels)`.
        dilation_rate: distance between the elements of the window; above 1 only without strides.
        groups: see `Conv1D`; so are the other arguments. `weight` is `(filters, channels / groups, *kernel_size)`.

    >>> Conv2D(8, 3, strides=2, padding="same")(torch.zeros(2, 3, 28, 29)).shape
    torch.Size([2, 8, 14, 15])
    """

    rank = 2


class Conv3D(_Conv):
    """A convolution over volumes: `(batch, channels, depth, height, width)` -> `(batch, filters, ...)`.

    Args:
        filters: number of channels of the output.
        kernel_size: depth, height and width of the window; one integer for all.
        data_format: `'channels_first'` (`None` too), or `'channels_last'`, `(batch, depth, height, width, channels)`.
        groups: see `Conv1D` and `Conv2D`; so are the other arguments.

    >>> Conv3D(4, (1, 3, 3))(torch.zeros(2, 1, 5, 8, 8)).shape
    torch.Size([2, 4, 5, 6, 6])
    """

    rank = 3
