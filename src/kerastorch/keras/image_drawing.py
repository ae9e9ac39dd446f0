"""Bounding boxes and segmentation masks drawn on images, for `kerastorch.keras.visualization`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerastorch.core.errors import check_choice, mismatch
from kerastorch.core.image_format import FORMATS
from kerastorch.keras.image_format import image_data_format
from kerastorch.ops.core.tensors import convert_to_numpy
from kerastorch.preprocessing.image_file import pillow
from kerastorch.utils.bounding_boxes import convert_format

Color = Sequence[int]
_PALETTE = np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])  # multiples of it, modulo 255, are Keras' colors of classes
_TEXT_SIZE = 12  # in pixels, for font_scale=1


def draw_bounding_boxes(
    images: Any,
    bounding_boxes: Mapping[str, Any],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: Color = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int | None = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> NDArray[np.uint8]:
    """Return images with bounding boxes, their classes and confidences; Pillow draws them.

    Args:
        images: A batch of images with 1, 3 or 4 channels, from 0 to 255, or floats from 0 to 1.
        bounding_boxes: `"boxes"` `(batch, n, 4)`, `"labels"` `(batch, n)`, and possibly `"confidences"` `(batch, n)`.
            Boxes with the label -1 are not drawn.
        bounding_box_format: Their format, as in `utils.bounding_boxes.convert_format`.
        class_mapping: Names of classes by label. Default: no names are drawn.
        color: Red, green and blue, from 0 to 255.
        line_thickness: In pixels.
        text_thickness: In pixels. Default 1; `None` for that of the lines.
        font_scale: Size of the text, 1 for about 12 pixels.
        data_format: `"channels_last"` or `"channels_first"`. Default: that of `kerastorch.keras`.

    Returns:
        An array of uint8 in the shape of the images.
    """
    names = class_mapping or {}
    if not isinstance(bounding_boxes, Mapping) or not {"boxes", "labels"} <= set(bounding_boxes):
        raise mismatch("bounding_boxes", bounding_boxes, "a dict with 'boxes' and 'labels'")
    drawn = _to_pixels(to_channels_last("images", images, data_format))
    height, width = drawn.shape[1:3]
    boxes = convert_to_numpy(convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", height, width))
    labels = convert_to_numpy(bounding_boxes["labels"]).astype(int)
    confidences = bounding_boxes.get("confidences")
    shares = None if confidences is None else convert_to_numpy(confidences)
    thickness = line_thickness if text_thickness is None else text_thickness
    for image, its_boxes, its_labels, row in zip(drawn, boxes, labels, range(len(drawn)), strict=True):
        canvas = _Canvas(image, color)
        for at, (box, label) in enumerate(zip(its_boxes, its_labels, strict=True)):
            if label == -1:
                continue
            canvas.draw_box([int(edge) for edge in box], line_thickness)
            if label in names:
                share = "" if shares is None else f" | {shares[row, at]:.2f}"
                canvas.draw_text(int(box[0]), int(box[1]), f"{names[label]}{share}", font_scale, thickness)
        image[...] = canvas.pixels()
    return _in_format(drawn, data_format)


def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: Mapping[int, Color] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> NDArray[np.uint8]:
    """Return images with the classes of their pixels as colors.

    Args:
        images: A batch of images with three channels, from 0 to 255.
        segmentation_masks: Classes, integers: `(batch, height, width)`, with or without an axis of channels.
        num_classes: The largest class that is drawn. Default: the largest one in the masks.
        color_mapping: Colors by class; classes that are not in it are not drawn. Default: a palette, black for class 0.
        alpha: Opacity of the colors, 0 to 1.
        blend: Whether `alpha` holds; else the colors hide the image.
        ignore_index: A class that is not drawn. Default -1.
        data_format: `"channels_last"` or `"channels_first"`. Default: that of `kerastorch.keras`.

    Returns:
        An array of uint8 in the shape of the images.
    """
    pixels = to_channels_last("images", images, data_format).astype("float32")
    masks = convert_to_numpy(segmentation_masks)
    if masks.dtype.kind not in "iu":
        raise TypeError(f"segmentation_masks must be integers, got {masks.dtype}.")
    masks = to_channels_last("segmentation_masks", masks, data_format)[..., 0] if masks.ndim == 4 else masks
    if masks.shape != pixels.shape[:3]:
        raise mismatch("segmentation_masks", f"the shape {masks.shape}", f"one class a pixel, {pixels.shape[:3]}")
    most = int(masks.max(initial=0)) if num_classes is None else num_classes
    palette = {number: number * _PALETTE % 255 for number in range(most + 1)}
    opacity = alpha if blend else 1.0
    drawn = pixels.copy()
    for number, color in (palette if color_mapping is None else color_mapping).items():
        chosen = (masks == number) & (masks != ignore_index) & (masks <= most)
        drawn[chosen] = pixels[chosen] * (1 - opacity) + np.asarray(color, "float32") * opacity
    return _in_format(drawn.clip(0, 255).astype("uint8"), data_format)


def to_channels_last(name: str, images: Any, data_format: str | None) -> NDArray[Any]:
    """Return a batch of images as an array with channels last.

    Args:
        name: Name of the argument, for messages.
        images: Tensor or array.
        data_format: The order of its axes; `None` for that of `kerastorch.keras`.

    Raises:
        ValueError: There are not four axes.
    """
    found = convert_to_numpy(images)
    if found.ndim != 4:
        raise mismatch(name, f"the shape {found.shape}", "a batch of images, with four axes")
    return np.moveaxis(found, 1, -1) if _is_channels_first(data_format) else found


def _is_channels_first(data_format: str | None) -> bool:
    given = image_data_format() if data_format is None else check_choice("data_format", data_format, FORMATS)
    return given == "channels_first"


def _in_format(images: NDArray[np.uint8], data_format: str | None) -> NDArray[np.uint8]:
    return np.moveaxis(images, -1, 1) if _is_channels_first(data_format) else images


def _to_pixels(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a copy as uint8; floats up to 1 are shares of 255."""
    if images.dtype.kind == "f" and images.size and images.max() <= 1:
        images = images.clip(0, 1) * 255
    return np.array(images.clip(0, 255), dtype="uint8")


class _Canvas:
    """An image that Pillow draws on in one color."""

    def __init__(self, image: NDArray[np.uint8], color: Color) -> None:
        library = pillow("draw_bounding_boxes")
        from PIL import ImageDraw

        channels = image.shape[-1]
        self._image = library.fromarray(image[..., 0] if channels == 1 else image)
        self._draw = ImageDraw.Draw(self._image)
        self._shape = image.shape
        opaque = (*color, 255)
        self._color: Any = round(sum(color) / 3) if channels == 1 else opaque[:channels]

    def draw_box(self, box: list[int], thickness: int) -> None:
        """Draw the outline of a box whose edges are in the middle of the lines."""
        before, after = thickness // 2, (thickness - 1) // 2
        left, top, right, bottom = box
        outer = (left - before, top - before, max(right, left) + after, max(bottom, top) + after)
        self._draw.rectangle(outer, outline=self._color, width=thickness)

    def draw_text(self, left: int, top: int, text: str, scale: float, thickness: int) -> None:
        """Draw a text above the corner of a box, within the box if there is no room above it."""
        from PIL import ImageFont

        size = _TEXT_SIZE * scale
        font = ImageFont.load_default(size)
        room_above = top - size - 4 >= 0
        place = (left, top - 4) if room_above else (left + 4, top + size + 4)
        self._draw.text(
            place,
            text,
            fill=self._color,
            font=font,
            anchor="ls",
            stroke_width=(thickness - 1) / 2,
            stroke_fill=self._color,
        )

    def pixels(self) -> NDArray[np.uint8]:
        """Return the image as an array."""
        return np.asarray(self._image).reshape(self._shape)
