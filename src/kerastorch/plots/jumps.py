"""Breaking a curve where the function jumps, so that no vertical line is drawn there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kerastorch.plots.arrays import Array

MIN_RISE = 0.01  # of the range of all values: smaller steps between two points are not examined
HALVINGS = 16  # of the interval between two points; a continuous curve then rises by less than a thousandth


def break_at_jumps(function: Callable[[Array], Array], x: Array, y: Array) -> tuple[Array, Array]:
    """Return a curve with a point `(NaN, NaN)` wherever the function jumps between two points.

    An interval is halved again and again, and the half with the larger rise is kept. At a jump the rise stays; of a
    continuous function it becomes small.

    Args:
        function: Returns the values at any points.
        x: Points in ascending order.
        y: Values at these points; with NaN or infinity among them, the curve is returned unchanged.
    """
    if not np.isfinite(y).all():
        return x, y
    rises = np.abs(np.diff(y))
    (suspects,) = np.nonzero(rises > MIN_RISE * np.ptp(y))
    left, right, y_left, y_right = x[suspects], x[suspects + 1], y[suspects], y[suspects + 1]
    for _ in range(HALVINGS):
        middle = (left + right) / 2
        y_middle = function(middle)
        is_left = np.abs(y_middle - y_left) > np.abs(y_right - y_middle)
        left, y_left = np.where(is_left, left, middle), np.where(is_left, y_left, y_middle)
        right, y_right = np.where(is_left, middle, right), np.where(is_left, y_middle, y_right)
    jumps = suspects[np.abs(y_right - y_left) > rises[suspects] / 2] + 1
    return np.insert(x, jumps, np.nan), np.insert(y, jumps, np.nan)
