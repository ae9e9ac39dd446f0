"""Layers that act in training only."""

from kerastorch.layers import Dropout
from layer_rows.row import Row, numbers


def _same(layer, x):
    return x


ROWS = {
    "Dropout": Row(lambda: Dropout(0.4), lambda: (numbers(5, 4),), _same, training="random"),
    "Dropout-noise_shape": Row(lambda: Dropout(0.4, (None, 1, 3)), lambda: (numbers(5, 4, 3),), _same, "random"),
}
