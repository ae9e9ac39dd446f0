"""Layers that act in training only."""

from kerastorch.layers import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from support.layer_rows.row import Row, numbers


def _row(make, *shape, training="random"):
    return Row(make, lambda: (numbers(*shape),), lambda layer, x: x, training)


ROWS = {
    "Dropout": _row(lambda: Dropout(0.4), 5, 4),
    "Dropout-noise_shape": _row(lambda: Dropout(0.4, (None, 1, 3)), 5, 4, 3),
    "Dropout-seed": _row(lambda: Dropout(0.4, seed=3), 5, 4),
    "SpatialDropout1D": _row(lambda: SpatialDropout1D(0.4), 5, 4, 3),
    "SpatialDropout1D-first": _row(lambda: SpatialDropout1D(0.4, data_format="channels_first"), 5, 4, 3),
    "SpatialDropout2D": _row(lambda: SpatialDropout2D(0.4), 5, 4, 3, 3),
    "SpatialDropout2D-last": _row(lambda: SpatialDropout2D(0.4, "channels_last"), 5, 3, 3, 4),
    "SpatialDropout3D": _row(lambda: SpatialDropout3D(0.4), 5, 4, 3, 3, 2),
    "AlphaDropout": _row(lambda: AlphaDropout(0.4), 5, 4),
    "AlphaDropout-noise_shape": _row(lambda: AlphaDropout(0.4, (None, 1, 3)), 5, 4, 3),
    "GaussianDropout": _row(lambda: GaussianDropout(0.4), 5, 4),
    "GaussianNoise": _row(lambda: GaussianNoise(0.4), 5, 4),
    "ActivityRegularization": _row(lambda: ActivityRegularization(0.1, 0.2), 5, 4, training=None),
}
