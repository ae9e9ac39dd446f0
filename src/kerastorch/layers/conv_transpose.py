"""Conv1DTranspose, Conv2DTranspose and Conv3DTranspose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch.core.errors import check_int, mismatch
from kerastorch.core.serialization import encode
from kerastorch.layers.convolution import Convolutional, convolution_class
from kerastorch.layers.keras_weight import keras_weight, outputs_last
from kerastorch.layers.spatial import check_sizes
from kerastorch.layers.weight_options import make_weight, set_weight_options

_TRANSPOSED: dict[int, Callable[..., Tensor]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class _ConvTranspose(Convolutional):
    filters: int

    kernel = keras_weight("weight", outputs_last)

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
        self.check_strides()
        self.output_padding = (
            None if output_padding is None else check_sizes("output_padding", output_padding, self.rank, 0)
        )
        if any(extra >= stride for extra, stride in zip(self.output_padding or (), self.strides, strict=False)):
            raise mismatch("output_padding", output_padding, f"less than strides={self.strides}, axis by axis")
        self._keras_padding = {"padding": self.padding, "output_padding": self.output_padding}
        self._set_torch_arguments()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, in which `padding` and `output_padding` are always those of Keras."""
        return super().get_config() | {name: encode(value) for name, value in self._keras_padding.items()}

    def _set_torch_arguments(self) -> None:
        """Translate Keras' padding to the `padding` and `output_padding` of torch.

        torch cuts the same number of outputs off both ends of an axis, and `output_padding` adds outputs at the end.
        If more is to be cut off at the end than in front, zeros in front of the window make both equal: slicing the
        output afterwards gives odd sizes, with which torch takes twice the time. With dilation, one zero would shift
        the window by more than one element, so the output is sliced.
        """
        output_padding = self.output_padding or (None,) * self.rank
        cuts = [
            outputs_to_cut(self.padding, *axis) for axis in zip(self._span, self.strides, output_padding, strict=True)
        ]
        self._torch_output_padding = [max(front - end, 0) for front, end in cuts]
        end_cuts = [max(end - front, 0) for front, end in cuts]
        slices_output = max(self.dilation_rate) > 1 and any(end_cuts)
        self._window_zeros: list[int] | None = None  # for F.pad, last axis first
        self._output_slices: tuple[slice, ...] | None = None
        if slices_output:
            self._output_slices = (slice(None), slice(None), *(slice(-cut if cut else None) for cut in end_cuts))
        elif any(end_cuts):
            self._window_zeros = [zeros for cut in reversed(end_cuts) for zeros in (cut, 0)]
        self._torch_padding = [
            front + (0 if slices_output else cut) for (front, _), cut in zip(cuts, end_cuts, strict=True)
        ]

    def padding_name(self) -> str:
        return str(self._keras_padding["padding"])

    def build(self, input_shape: torch.Size) -> None:
        self.in_channels, _ = self.channels_and_sizes(input_shape)
        self.weight = make_weight(self, "kernel", (self.in_channels, self.filters, *self.kernel_size), "weight")
        self.make_bias(self.filters)

    def forward(self, x: Tensor) -> Tensor:
        y = _TRANSPOSED[self.rank](
            self.to_channels_first(x),
            self.weight if self._window_zeros is None else F.pad(self.weight, self._window_zeros),
            self.bias,
            self.strides,
            self._torch_padding,
            self._torch_output_padding,
            1,
            self.dilation_rate,
        )
        return self.apply_activation(y if self._output_slices is None else y[self._output_slices])

    def torch_attributes(self) -> dict[str, Any] | None:
        if not self.computes_as_torch() or self._window_zeros is not None or self._output_slices is not None:
            return None
        return {
            "padding": tuple(self._torch_padding),
            "output_padding": tuple(self._torch_output_padding),
            "groups": 1,
            "transposed": True,
            "padding_mode": "zeros",
            "_reversed_padding_repeated_twice": [one for size in reversed(self._torch_padding) for one in (size, size)],
        }


def outputs_to_cut(padding: str, span: int, stride: int, output_padding: int | None) -> tuple[int, int]:
    """Return the number of outputs to cut off the front and the end of an axis.

    A negative number adds outputs. A transposed convolution has `(size - 1) * stride + span` outputs. `'valid'` adds
    `output_padding` outputs, by default enough for `size * stride` in total. `'same'` leaves `size * stride` outputs,
    or, with an `output_padding`, `(size - 1) * stride + span % 2 + output_padding`.
    """
    if padding == "valid":
        return 0, -(max(stride - span, 0) if output_padding is None else output_padding)
    total = span - stride if output_padding is None else span - span % 2 - output_padding
    front = max(total // 2, 0)  # an odd output is cut off the end; nothing is added in front
    return front, total - front


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution over sequences: `(batch, steps, channels)` -> `(batch, more_steps, filters)`.

    It is the gradient of a convolution. `activation` and the arguments after it are those of `Conv1D`.

    Args:
        filters: Number of channels of the output.
        kernel_size: Number of steps that the window covers.
        strides: Factor by which the number of steps grows. Default 1.
        padding: `'valid'` (default): `(steps - 1) * strides + max(kernel_size, strides)` outputs; `'same'`:
            `steps * strides` outputs.
        output_padding: Number of outputs to add at the end, less than `strides`. With it, there are
            `(steps - 1) * strides + kernel_size + output_padding` outputs for `'valid'`; for `'same'`,
            `kernel_size % 2` takes the place of `kernel_size`. torch defines its argument of this name differently.
            Default `None`.
        data_format: `'channels_last'` (default), or `'channels_first'` for `(batch, channels, steps)`.
        dilation_rate: Distance between the steps of the window; above 1 only with `strides=1`. Default 1.
        kernel_initializer: Fills `weight`, `(channels, filters, kernel_size)`, the layout of torch. Default Glorot
            uniform.
        kernel_constraint: Constraint that is applied to `weight` after each step. For the norm of the weights that
            lead to one output channel it needs `dim=(0, 2)`. Default none.

    >>> Conv1DTranspose(8, 3, strides=2, padding="same")(torch.zeros(2, 10, 5)).shape
    torch.Size([2, 20, 8])
    """

    rank = 1
    torch_class = convolution_class(nn.ConvTranspose1d, out_channels="filters")


class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution over images: `(batch, channels, height, width)` -> larger images.

    The other arguments are those of `Conv1DTranspose`, axis by axis; `weight` is `(channels, filters, *kernel_size)`.

    Args:
        filters: Number of channels of the output.
        kernel_size: Height and width of the window; one integer for both.
        data_format: `'channels_first'` (default), or `'channels_last'` for `(batch, height, width, channels)`.

    >>> Conv2DTranspose(8, 3, strides=2, padding="same")(torch.zeros(2, 5, 7, 9)).shape
    torch.Size([2, 8, 14, 18])
    """

    rank = 2
    torch_class = convolution_class(nn.ConvTranspose2d, out_channels="filters")


class Conv3DTranspose(_ConvTranspose):
    """Transposed convolution over volumes: `(batch, channels, depth, height, width)` -> larger volumes.

    The other arguments are those of `Conv2DTranspose`; `data_format` comes before `output_padding`, as in Keras.

    Args:
        filters: Number of channels of the output.
        kernel_size: Depth, height and width of the window; one integer for all.

    >>> Conv3DTranspose(4, 2, strides=2)(torch.zeros(2, 1, 3, 4, 4)).shape
    torch.Size([2, 4, 6, 8, 8])
    """

    rank = 3
    torch_class = convolution_class(nn.ConvTranspose3d, out_channels="filters")

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
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            name=name,
            trainable=trainable,
        )
