"""Formats of bounding boxes, and their conversion."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, mismatch

FORMATS = (
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
)  # fmt: skip
_RELATIVE = "rel_"


def convert_boxes(boxes: Tensor, source: str, target: str, height: Any = None, width: Any = None) -> Tensor:
    """Return boxes in another format.

    Args:
        boxes: Floats, `(..., 4)`.
        source: One of `FORMATS`: corners or center and size, in pixels, or as fractions of the image with `rel_`.
        target: One of `FORMATS`.
        height: Height of the images in pixels, if one format is relative and the other is not.
        width: Width of the images in pixels.

    Raises:
        ValueError: An unknown format, boxes without 4 numbers each, or no size of the images where it is needed.

    >>> convert_boxes(torch.tensor([10.0, 20.0, 30.0, 60.0]), "xyxy", "center_xywh")
    tensor([20., 40., 20., 40.])
    """
    source, target = check_choice("source", source, FORMATS), check_choice("target", target, FORMATS)
    if boxes.shape[-1:] != (4,):
        raise mismatch("boxes", tuple(boxes.shape), "of shape (..., 4)")
    if source == target:
        return boxes
    corners = _to_corners(boxes, source.removeprefix(_RELATIVE))
    was_relative, is_relative = source.startswith(_RELATIVE), target.startswith(_RELATIVE)
    if was_relative != is_relative:
        if height is None or width is None:
            raise ValueError(f"Boxes from {source} to {target} need height= and width= of the images.")
        size = torch.stack([torch.as_tensor(one, dtype=boxes.dtype, device=boxes.device) for one in (width, height)])
        corners = corners * size.repeat(2) if was_relative else corners / size.repeat(2)
    return _from_corners(corners, target.removeprefix(_RELATIVE))


def _swapped(boxes: Tensor) -> Tensor:
    """Return boxes with x and y exchanged."""
    return boxes[..., [1, 0, 3, 2]]


def _to_corners(boxes: Tensor, source: str) -> Tensor:
    """Return boxes as left, top, right and bottom."""
    boxes = _swapped(boxes) if source in ("yxyx", "center_yxhw") else boxes
    if source in ("xyxy", "yxyx"):
        return boxes
    place, size = boxes.chunk(2, -1)
    low = place if source == "xywh" else place - size / 2
    return torch.cat([low, low + size], -1)


def _from_corners(corners: Tensor, target: str) -> Tensor:
    """Return boxes that are left, top, right and bottom in another format."""
    low, high = corners.chunk(2, -1)
    size = high - low
    if target in ("xyxy", "yxyx"):
        boxes = corners
    else:
        boxes = torch.cat([low if target == "xywh" else low + size / 2, size], -1)
    return _swapped(boxes) if target in ("yxyx", "center_yxhw") else boxes


def box_areas(corners: Tensor) -> Tensor:
    """Return the areas of boxes that are left, top, right and bottom: `(..., 4)` -> `(...)`."""
    return (corners[..., 2] - corners[..., 0]) * (corners[..., 3] - corners[..., 1])


def clip_boxes(corners: Tensor, height: Any, width: Any) -> Tensor:
    """Return boxes that are left, top, right and bottom, cut off at the edges of images."""
    across, down = corners[..., 0::2].clamp(0, width), corners[..., 1::2].clamp(0, height)
    return torch.stack([across[..., 0], down[..., 0], across[..., 1], down[..., 1]], -1)
