"""Activations that take arguments."""

import torch
from torch.nn import functional as F

from kerastorch.layers import ELU, LeakyReLU, PReLU, ReLU, Softmax
from support.layer_rows.row import Row, numbers


def _x():
    return (3 * numbers(5, 4),)


ROWS = {
    "ReLU": Row(
        lambda: ReLU(2.0, 0.1, 0.5), _x, lambda layer, x: torch.where(x >= 0.5, x.clamp(max=2), 0.1 * (x - 0.5))
    ),
    "LeakyReLU": Row(LeakyReLU, _x, lambda layer, x: torch.where(x > 0, x, 0.3 * x)),
    "PReLU": Row(lambda: PReLU("random_normal"), _x, lambda layer, x: F.prelu(x, layer.weight)),
    "ELU": Row(lambda: ELU(0.7), _x, lambda layer, x: torch.where(x > 0, x, 0.7 * (x.exp() - 1))),
    "Softmax": Row(Softmax, _x, lambda layer, x: x.exp() / x.exp().sum(-1, keepdim=True)),
    "Softmax-axes": Row(
        lambda: Softmax((1, 2)),
        lambda: (numbers(5, 4, 3),),
        lambda layer, x: x.exp() / x.exp().sum((1, 2), keepdim=True),
    ),
}
