"""Dense, Maxout, Activation."""

import torch
from torch.nn import functional as F

from kerastorch.layers import Activation, Dense, Maxout
from support.layer_rows.row import Row, numbers


def _dense(activation):
    def oracle(layer, x):
        y = torch.einsum("...i,oi->...o", x, layer.weight)
        return activation(y if layer.bias is None else y + layer.bias)

    return oracle


def _maxout(layer, x):
    y = x @ layer.weight.T + layer.bias
    return torch.stack([y[:, 0::2], y[:, 1::2]]).amax(0)


ROWS = {
    "Dense": Row(lambda: Dense(3, bias_initializer="random_normal"), lambda: (numbers(5, 4),), _dense(lambda y: y)),
    "Dense-relu": Row(lambda: Dense(3, "relu", use_bias=False), lambda: (numbers(5, 4),), _dense(F.relu)),
    "Dense-sequence": Row(lambda: Dense(3, "tanh"), lambda: (numbers(5, 6, 4),), _dense(torch.tanh), sizes_vary=True),
    "Dense-constrained": Row(
        lambda: Dense(3, kernel_constraint="max_norm", kernel_regularizer="l2", activity_regularizer="l1"),
        lambda: (numbers(5, 4),),
        _dense(lambda y: y),
    ),
    "Maxout": Row(lambda: Maxout(3, 2), lambda: (numbers(5, 4),), _maxout),
    "Activation": Row(lambda: Activation("gelu"), lambda: (numbers(5, 4),), lambda layer, x: F.gelu(x)),
}
