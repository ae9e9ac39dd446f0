"""Bounding boxes: conversion between formats, overlaps, and offsets from anchors, as `keras.utils.bounding_boxes`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, mismatch
from kerastorch.layers.box_formats import box_areas, clip_boxes, convert_boxes
from kerastorch.ops.conversion import to_tensor

__all__ = [
    "affine_transform", "clip_to_image_size", "compute_ciou", "compute_iou", "convert_format", "crop",
    "decode_deltas_to_boxes", "encode_box_to_deltas", "pad",
]  # fmt: skip

_EPSILON = 1e-7  # Keras' smallest size and area


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: Any = "float32"
) -> Any:
    """Return bounding boxes in another format.

    Formats are `"xyxy"` (left, top, right, bottom), `"yxyx"`, `"xywh"` (left, top, width, height), `"center_xywh"`,
    `"center_yxhw"`, and `"rel_xyxy"`, `"rel_yxyx"`, `"rel_xywh"` and `"rel_center_xywh"`, in fractions of the image.

    Args:
        boxes: `(..., 4)`, or a dict that has them as `"boxes"`.
        source: The format of the boxes.
        target: The format of the result.
        height: Height of the image, if only one of the formats is relative.
        width: Width of the image.
        dtype: A floating-point dtype of torch, or its name.

    Returns:
        A tensor, or the dict with it.

    Raises:
        ValueError: An unknown format, other shapes, or no size of the image where it is needed.

    >>> convert_format([[10, 20, 30, 40]], "xyxy", "xywh")
    tensor([[10., 20., 20., 20.]])
    """
    if isinstance(boxes, Mapping):
        return dict(boxes) | {"boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    return convert_boxes(to_tensor(boxes, kind), source, target, height, width)


def clip_to_image_size(
    bounding_boxes: Mapping[str, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[str, Any]:
    """Return bounding boxes cut off at the edges of the image; the label becomes -1 if nothing is left of a box.

    Args:
        bounding_boxes: `"boxes"`, `(..., 4)`, and `"labels"`, `(...)`, which may be missing.
        height: Height of the image; not needed for relative formats.
        width: Width of the image.
        bounding_box_format: The format of the boxes.

    Raises:
        ValueError: No size of the image where it is needed.
    """
    is_relative = bounding_box_format.lower().startswith("rel_")
    if not is_relative and (height is None or width is None):
        raise ValueError("clip_to_image_size needs height= and width= of the image, unless boxes are relative.")
    sizes = (1, 1) if is_relative else (height, width)
    boxes = to_tensor(bounding_boxes["boxes"])
    boxes = boxes if boxes.is_floating_point() else boxes.to(torch.float32)
    corners = clip_boxes(convert_boxes(boxes, bounding_box_format, "rel_xyxy" if is_relative else "xyxy"), *sizes)
    found = convert_boxes(corners, "rel_xyxy" if is_relative else "xyxy", bounding_box_format)
    result = dict(bounding_boxes) | {"boxes": found}
    if bounding_boxes.get("labels") is not None:
        labels = to_tensor(bounding_boxes["labels"])
        result["labels"] = torch.where(box_areas(corners) > 0, labels, -torch.ones_like(labels))
    return result


def crop(boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> Tensor:
    """Return boxes in a window of the image, cut off at its edges.

    Args:
        boxes: `(..., 4)`.
        top: First row of the window.
        left: First column of the window.
        height: Height of the window.
        width: Width of the window.
        bounding_box_format: The format of the boxes, in pixels.
    """
    return _moved(boxes, -left, -top, bounding_box_format, lambda corners: clip_boxes(corners, height, width))


def pad(
    boxes: Any,
    top: Any,
    left: Any,
    height: Any = None,  # noqa: ARG001
    width: Any = None,  # noqa: ARG001
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Return boxes after rows and columns have been put in front of the image.

    Args:
        boxes: `(..., 4)`.
        top: Number of rows above the image.
        left: Number of columns to the left of the image.
        height: No effect, as in Keras.
        width: No effect.
        bounding_box_format: The format of the boxes, in pixels.
    """
    return _moved(boxes, left, top, bounding_box_format, lambda corners: corners)


def _moved(boxes: Any, right: Any, down: Any, bounding_box_format: str, clip: Any) -> Tensor:
    """Return boxes moved to the right and down, and then cut off."""
    if bounding_box_format.lower().startswith("rel_"):
        raise mismatch("bounding_box_format", bounding_box_format, "a format in pixels")
    corners = convert_format(boxes, bounding_box_format, "xyxy")
    shift = torch.stack([to_tensor(one, corners.dtype, corners.device) for one in (right, down, right, down)], -1)
    return convert_boxes(clip(corners + shift), "xyxy", bounding_box_format)


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Return the smallest boxes around boxes that are turned, moved, stretched and sheared.

    Args:
        boxes: `(batch, n, 4)`: left, top, right and bottom.
        angle: Angle of each image in degrees, `(batch,)`.
        translate_x: Distance to the right, as a fraction of the width minus 1, `(batch,)`.
        translate_y: Distance downwards, as a fraction of the height minus 1, `(batch,)`.
        scale: Factor of all distances from the center, `(batch,)`.
        shear_x: Angle in degrees, `(batch,)`.
        shear_y: Angle in degrees, `(batch,)`.
        height: Height of the image.
        width: Width of the image.
        center_x: The center, as a fraction of the width minus 1. Default 0.5.
        center_y: The center, as a fraction of the height minus 1. Default 0.5.
        bounding_box_format: Only `"xyxy"`.
    """
    check_choice("bounding_box_format", bounding_box_format, ("xyxy",))
    corners = to_tensor(boxes, torch.float32)
    numbers = (angle, translate_x, translate_y, scale, shear_x, shear_y)
    angle, right, down, scale, shear_x, shear_y = (to_tensor(one, torch.float32, corners.device) for one in numbers)
    size = torch.tensor([width - 1, height - 1], dtype=corners.dtype, device=corners.device)
    middle = [0.5 if one is None else one for one in (center_x, center_y)]
    center = torch.tensor(middle, dtype=corners.dtype, device=corners.device) * size
    turn, across, along = -torch.deg2rad(angle), -torch.deg2rad(shear_x), -torch.deg2rad(shear_y)
    a, c = (turn - along).cos() / along.cos(), -(turn - along).sin() / along.cos()
    b, d = a * across.tan() + turn.sin(), turn.cos() - c * across.tan()
    matrix = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2) * scale.view(-1, 1, 1)
    points = corners[..., [0, 1, 2, 1, 2, 3, 0, 3]].unflatten(-1, (4, 2))  # (batch, n, 4, 2)
    shift = torch.stack([right, down], -1).view(-1, 1, 1, 2) * size
    moved = torch.einsum("bxy,bnpy->bnpx", matrix, points - center + shift) + center
    return torch.cat([moved.amin(2), moved.amax(2)], -1)


def _image_size(image_shape: Sequence[int] | None) -> tuple[Any, Any]:
    """Return height and width of `(height, width, channels)`."""
    return (None, None) if image_shape is None else (image_shape[0], image_shape[1])


def _check_encoding(name: str, given: str) -> str:
    return check_choice(name, given, ("center_xywh", "center_yxhw"))


def _check_variance(variance: Any, like: Tensor) -> Tensor | None:
    """Return four factors of offsets as a tensor.

    Raises:
        ValueError: Another number of factors.
    """
    if variance is None:
        return None
    found = to_tensor(variance, like.dtype, like.device)
    if found.shape[-1:] != (4,):
        raise mismatch("variance", tuple(found.shape), "of shape (4,)")
    return found


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """Return how far boxes are from anchors: distances of centers in sizes of the anchor, and logarithms of factors.

    Args:
        anchors: `(n, 4)`.
        boxes: `(n, 4)` or `(batch, n, 4)`.
        anchor_format: The format of the anchors.
        box_format: The format of the boxes.
        encoding_format: Order of the result: `"center_yxhw"` or `"center_xywh"`.
        variance: Four numbers by which the result is divided.
        image_shape: `(height, width, channels)`, for relative formats.
    """
    encoding = _check_encoding("encoding_format", encoding_format)
    size = _image_size(image_shape)
    anchor = convert_format(anchors, anchor_format, encoding, *size)
    box = convert_format(boxes, box_format, encoding, *size)
    sides = anchor[..., 2:].clamp_min(_EPSILON)
    distance = (box[..., :2] - anchor[..., :2]) / sides
    deltas = torch.cat([distance, (box[..., 2:].clamp_min(_EPSILON) / sides).log()], -1)
    factors = _check_variance(variance, deltas)
    return deltas if factors is None else deltas / factors


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Sequence[int] | None = None,
) -> Any:
    """Return boxes from anchors and the distances that `encode_box_to_deltas` has returned.

    Args:
        anchors: `(n, 4)`, or a dict of these, as for the levels of a pyramid.
        boxes_delta: `(n, 4)` or `(batch, n, 4)`, or a dict with the same keys.
        anchor_format: The format of the anchors.
        box_format: The format of the result.
        encoded_format: Order of the distances: `"center_yxhw"` or `"center_xywh"`.
        variance: Four numbers by which the distances are multiplied.
        image_shape: `(height, width, channels)`, for relative formats.
    """
    encoding = _check_encoding("encoded_format", encoded_format)
    if isinstance(anchors, Mapping) and isinstance(boxes_delta, Mapping):
        rest = (anchor_format, box_format, encoding, variance, image_shape)
        return {level: decode_deltas_to_boxes(one, boxes_delta[level], *rest) for level, one in anchors.items()}
    size = _image_size(image_shape)
    anchor = convert_format(anchors, anchor_format, encoding, *size)
    deltas = to_tensor(boxes_delta, anchor.dtype)
    factors = _check_variance(variance, deltas)
    deltas = deltas if factors is None else deltas * factors
    sides = anchor[..., 2:]
    box = torch.cat([deltas[..., :2] * sides + anchor[..., :2], deltas[..., 2:].exp() * sides], -1)
    return convert_boxes(box, encoding, box_format, *size)


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """Return the area of the intersection of each two boxes, divided by that of their union.

    Args:
        boxes1: `(n, 4)` or `(batch, n, 4)`.
        boxes2: `(m, 4)` or `(batch, m, 4)`.
        bounding_box_format: The format of all boxes.
        use_masking: Whether pairs with a box whose numbers are all negative get `mask_val`.
        mask_val: The value of these pairs.
        image_shape: `(height, width, channels)`, for relative formats.

    Returns:
        `(n, m)`, or `(batch, n, m)`.
    """
    one, two = (
        convert_format(boxes, bounding_box_format, "xyxy", *_image_size(image_shape)) for boxes in (boxes1, boxes2)
    )
    if one.ndim not in (2, 3) or two.ndim not in (2, 3):
        raise mismatch("boxes1 and boxes2", f"{tuple(one.shape)} and {tuple(two.shape)}", "of shape (..., n, 4)")
    one, two = one.unsqueeze(-2), two.unsqueeze(-3)
    low, high = torch.maximum(one[..., :2], two[..., :2]), torch.minimum(one[..., 2:], two[..., 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    found: Tensor = shared / (box_areas(one) + box_areas(two) - shared + _EPSILON)
    if not use_masking:
        return found
    return torch.where((one.amax(-1) < 0) | (two.amax(-1) < 0), mask_val, found)


def compute_ciou(
    boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Sequence[int] | None = None
) -> Tensor:
    """Return the complete IoU of pairs of boxes, which is below their IoU by terms for distance and proportions.

    Source: Zheng et al. 2020, `IoU - distance^2 / diagonal^2 - alpha * v`.

    Args:
        boxes1: `(..., 4)`.
        boxes2: `(..., 4)`.
        bounding_box_format: The format of all boxes.
        image_shape: `(height, width, channels)`, for relative formats.

    Returns:
        `(...)`.
    """
    one, two = (
        convert_format(boxes, bounding_box_format, "xyxy", *_image_size(image_shape)) for boxes in (boxes1, boxes2)
    )
    low, high = torch.maximum(one[..., :2], two[..., :2]), torch.minimum(one[..., 2:], two[..., 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    iou = shared / (box_areas(one) + box_areas(two) - shared + _EPSILON)
    outer = torch.maximum(one[..., 2:], two[..., 2:]) - torch.minimum(one[..., :2], two[..., :2])
    middles = ((boxes[..., :2] + boxes[..., 2:]) / 2 for boxes in (one, two))
    distance = (next(middles) - next(middles)).square().sum(-1) / (outer.square().sum(-1) + _EPSILON)
    sides = [boxes[..., 2:] - boxes[..., :2] for boxes in (one, two)]
    first, second = (torch.atan(side[..., 0] / (side[..., 1] + _EPSILON)) for side in sides)
    v = 4 / math.pi**2 * (second - first).square()
    found: Tensor = iou - distance - v * v / (v - iou + 1 + _EPSILON)
    return found
