"""`map_coordinates`: values between the elements of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, mismatch
from kerastorch.ops.conversion import to_tensor, to_tensors
from kerastorch.ops.recording import image_op

__all__ = ["map_coordinates"]


def _mirrored(index: Tensor, n: int) -> Tensor:
    """Return indices mirrored at the outer elements: c b | a b c d | c b."""
    period = max(2 * n - 2, 1)
    index = index.remainder(period)
    return torch.minimum(index, period - index) if n > 1 else torch.zeros_like(index)


def _reflected(index: Tensor, n: int) -> Tensor:
    """Return indices mirrored at the edges: b a | a b c d | d c."""
    index = index.remainder(2 * n)
    return torch.minimum(index, 2 * n - 1 - index)


FILL_MODES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "constant": lambda index, n: index.clamp(0, n - 1),
    "nearest": lambda index, n: index.clamp(0, n - 1),
    "wrap": lambda index, n: index.remainder(n),
    "mirror": _mirrored,
    "reflect": _reflected,
}

_MOST_AXES = 8  # 256 neighbours


@image_op
def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0.0
) -> Tensor:
    """Return the values of a tensor at coordinates, which may lie between its elements.

    Args:
        inputs: A tensor with `n` axes.
        coordinates: `n` tensors of one shape, or one of shape `(n, ...)`: the place along each axis.
        order: 0 for the nearest element, 1 for linear interpolation.
        fill_mode: What lies outside: `"constant"`, `"nearest"`, `"wrap"`, `"mirror"` (at the outer elements) or
            `"reflect"` (at the edges).
        fill_value: The value outside, for `"constant"`.
    """
    x = to_tensor(inputs)
    _, *places = to_tensors(x, *coordinates)
    if len(places) != x.ndim:
        raise ValueError(f"map_coordinates takes coordinates for each of {x.ndim} axes, got {len(places)}.")
    if order not in (0, 1):
        raise mismatch("order", order, "0 or 1")
    if order and x.ndim > _MOST_AXES:
        raise ValueError(f"map_coordinates interpolates along at most {_MOST_AXES} axes, got {x.ndim}.")
    inside = FILL_MODES[check_choice("fill_mode", fill_mode, tuple(FILL_MODES))]
    is_float = x.is_floating_point()
    total: Tensor | None = None
    for corner in product(*(_neighbours(place, order) for place in places)):
        weight: Tensor | None = None
        index = []
        is_valid: Tensor | None = None
        for (at, part), n in zip(corner, x.shape, strict=True):
            index.append(inside(at, n))
            weight = part if weight is None else weight if part is None else weight * part
            if fill_mode == "constant":
                valid = (at >= 0) & (at < n)
                is_valid = valid if is_valid is None else is_valid & valid
        values = x[tuple(index)]
        if is_valid is not None:
            values = torch.where(is_valid, values, fill_value if is_float else int(fill_value))
        values = values if weight is None else values * weight
        total = values if total is None else total + values
    assert total is not None
    return total.to(x.dtype) if is_float or not total.is_floating_point() else total.round().to(x.dtype)


def _neighbours(place: Tensor, order: int) -> list[tuple[Tensor, Tensor | None]]:
    """Return the elements next to places along an axis, and their weights; `None` is 1."""
    if order == 0 or not place.is_floating_point():
        index = place.round() if place.is_floating_point() else place
        return [(index.long(), None)]
    low = place.floor()
    weight = place - low
    return [(low.long(), 1 - weight), (low.long() + 1, weight)]
