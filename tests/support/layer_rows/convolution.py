"""Convolutions, transposed, depthwise and separable ones: against torch's functions, padded by hand."""

import torch
from torch.nn import functional as F

from kerastorch.layers import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from support.layer_rows.row import Row, numbers

_CONV = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
_TRANSPOSED = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}


def _conv(pad=(), activation=lambda y: y, **arguments):
    """Of channels-first input, zeros put around as `F.pad` counts them."""
    return lambda layer, x: activation(_CONV[x.ndim](F.pad(x, pad), layer.weight, layer.bias, **arguments))


def _last(oracle):
    """The same of channels-last input."""
    return lambda layer, x: oracle(layer, x.movedim(-1, 1)).movedim(1, -1)


def _transposed(keep, activation=lambda y: y, **arguments):
    """Torch's whole transposed convolution, without the bias where nothing reaches, cut to the slices `keep`."""

    def oracle(layer, x):
        y = _TRANSPOSED[x.ndim](x, layer.weight, None, **arguments)
        y = F.pad(y, [0, 3] * (x.ndim - 2))[(..., *keep)]  # zeros beyond its end
        return activation(y + layer.bias.view(-1, *[1] * (x.ndim - 2)))

    return oracle


def _depthwise(layer, x, weight, bias=None, **arguments):
    """Channel by channel."""
    each = zip(x.split(1, 1), weight.chunk(x.shape[1]), strict=True)
    y = torch.cat([_CONV[x.ndim](channel, filters, None, **arguments) for channel, filters in each], 1)
    return y if bias is None else y + bias.view(-1, *[1] * (x.ndim - 2))


def _separable(pad=(), **arguments):
    def oracle(layer, x):
        between = _depthwise(layer, F.pad(x, pad), layer.depthwise_weight, **arguments)
        mixed = torch.tensordot(layer.pointwise_weight.flatten(1), between, ([1], [1])).movedim(0, 1)
        return mixed + layer.bias.view(-1, *[1] * (x.ndim - 2))

    return oracle


NORMAL = {"bias_initializer": "random_normal"}
ROWS = {
    # --- sequences
    "Conv1D": Row(lambda: Conv1D(3, 2, **NORMAL), lambda: (numbers(2, 7, 4),), _last(_conv()), sizes_vary=True),
    "Conv1D-causal": Row(
        lambda: Conv1D(3, 3, padding="causal", dilation_rate=2),
        lambda: (numbers(2, 7, 4),),
        _last(_conv((4, 0), dilation=2)),
        sizes_vary=True,
    ),
    "Conv1D-softmax": Row(
        lambda: Conv1D(3, 1, activation="softmax"),
        lambda: (numbers(2, 7, 4),),
        _last(_conv(activation=lambda y: y.exp() / y.exp().sum(1, keepdim=True))),
        sizes_vary=True,
    ),
    "Conv1D-channels_first": Row(
        lambda: Conv1D(3, 4, padding="same", data_format="channels_first", activation="relu", **NORMAL),
        lambda: (numbers(2, 4, 7),),
        _conv((1, 2), F.relu),
    ),
    # --- images
    "Conv2D": Row(lambda: Conv2D(3, 3, **NORMAL), lambda: (numbers(2, 4, 7, 6),), _conv()),
    "Conv2D-same": Row(
        lambda: Conv2D(3, (3, 5), padding="same", activation="tanh", use_bias=False),
        lambda: (numbers(2, 4, 7, 6),),
        _conv((2, 2, 1, 1), torch.tanh),
    ),
    "Conv2D-same_even": Row(
        lambda: Conv2D(3, (2, 4), padding="same"), lambda: (numbers(2, 4, 7, 6),), _conv((1, 2, 0, 1))
    ),
    # of 7 rows, 3 from row -1 on; of 6 columns, 3 from column 0 on
    "Conv2D-same_strided": Row(
        lambda: Conv2D(3, 3, strides=2, padding="same", **NORMAL),
        lambda: (numbers(2, 4, 7, 6),),
        _conv((0, 1, 1, 1), stride=2),
    ),
    "Conv2D-dilated_groups": Row(
        lambda: Conv2D(6, 3, dilation_rate=(1, 2), groups=2, padding="same", kernel_regularizer="l2"),
        lambda: (numbers(2, 4, 7, 6),),
        _conv((2, 2, 1, 1), dilation=(1, 2), groups=2),
    ),
    "Conv2D-channels_last": Row(
        lambda: Conv2D(3, 3, strides=(2, 1), data_format="channels_last", kernel_constraint="max_norm", **NORMAL),
        lambda: (numbers(2, 7, 6, 4),),
        _last(_conv(stride=(2, 1))),
        sizes_vary=True,
    ),
    "Conv2D-softmax": Row(
        lambda: Conv2D(3, 1, activation="softmax"),
        lambda: (numbers(2, 4, 5, 6),),
        _conv(activation=lambda y: y.exp() / y.exp().sum(1, keepdim=True)),
    ),
    # --- volumes
    "Conv3D": Row(lambda: Conv3D(3, (1, 2, 3), **NORMAL), lambda: (numbers(2, 2, 3, 5, 6),), _conv()),
    "Conv3D-same_strided": Row(
        lambda: Conv3D(3, 3, strides=(1, 2, 3), padding="same", data_format="channels_last"),
        lambda: (numbers(2, 3, 6, 7, 2),),
        _last(_conv((1, 1, 0, 1, 1, 1), stride=(1, 2, 3))),
        sizes_vary=True,
    ),
    # --- transposed
    "Conv1DTranspose": Row(
        lambda: Conv1DTranspose(3, 2, strides=3, **NORMAL),
        lambda: (numbers(2, 5, 4),),
        _last(_transposed([slice(0, 15)], stride=3)),
        sizes_vary=True,
    ),
    "Conv1DTranspose-output_padding": Row(
        lambda: Conv1DTranspose(3, 4, strides=3, padding="same", output_padding=2, data_format="channels_first"),
        lambda: (numbers(2, 4, 5),),
        _transposed([slice(1, 15)], stride=3),  # (5 - 1) * 3 + 4 % 2 + 2 of 16: one off each end
    ),
    "Conv2DTranspose": Row(
        lambda: Conv2DTranspose(3, 3, strides=2, **NORMAL),
        lambda: (numbers(2, 4, 5, 3),),
        _transposed([slice(0, 11), slice(0, 7)], stride=2),
    ),
    "Conv2DTranspose-same": Row(
        lambda: Conv2DTranspose(3, (3, 4), strides=2, padding="same", activation="relu", **NORMAL),
        lambda: (numbers(2, 4, 5, 3),),
        _transposed([slice(0, 10), slice(1, 7)], F.relu, stride=2),
    ),
    "Conv2DTranspose-channels_last": Row(
        lambda: Conv2DTranspose(3, 3, padding="same", dilation_rate=2, data_format="channels_last", **NORMAL),
        lambda: (numbers(2, 5, 3, 4),),
        _last(_transposed([slice(2, 7), slice(2, 5)], dilation=2)),
        sizes_vary=True,
    ),
    "Conv3DTranspose": Row(
        lambda: Conv3DTranspose(3, (1, 2, 3), strides=2, padding="same", **NORMAL),
        lambda: (numbers(2, 4, 2, 3, 4),),
        _transposed([slice(0, 4), slice(0, 6), slice(0, 8)], stride=2),
    ),
    # --- one channel at a time
    "DepthwiseConv1D": Row(
        lambda: DepthwiseConv1D(3, depth_multiplier=2, **NORMAL),
        lambda: (numbers(2, 7, 4),),
        _last(lambda layer, x: _depthwise(layer, x, layer.weight, layer.bias)),
        sizes_vary=True,
    ),
    "DepthwiseConv2D": Row(
        lambda: DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=3, activation="relu", **NORMAL),
        lambda: (numbers(2, 4, 7, 6),),
        lambda layer, x: F.relu(_depthwise(layer, F.pad(x, (0, 1, 1, 1)), layer.weight, layer.bias, stride=2)),
    ),
    "DepthwiseConv2D-channels_last": Row(
        lambda: DepthwiseConv2D(2, data_format="channels_last", **NORMAL),
        lambda: (numbers(2, 7, 6, 4),),
        _last(lambda layer, x: _depthwise(layer, x, layer.weight, layer.bias)),
        sizes_vary=True,
    ),
    "SeparableConv1D": Row(
        lambda: SeparableConv1D(5, 3, dilation_rate=2, **NORMAL),
        lambda: (numbers(2, 7, 4),),
        _last(_separable(dilation=2)),
        sizes_vary=True,
    ),
    "SeparableConv2D": Row(
        lambda: SeparableConv2D(
            5, 3, padding="same", depth_multiplier=2, depthwise_regularizer="l2", pointwise_constraint="unit_norm"
        ),
        lambda: (numbers(2, 4, 7, 6),),
        _separable((1, 1, 1, 1)),
    ),
    "SeparableConv2D-channels_last": Row(
        lambda: SeparableConv2D(5, 3, strides=2, data_format="channels_last", **NORMAL),
        lambda: (numbers(2, 7, 6, 4),),
        _last(_separable(stride=2)),
        sizes_vary=True,
    ),
}
