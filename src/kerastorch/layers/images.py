"""ImageLayer, the base of layers that take images only, alone or with boxes and masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_choice
from kerastorch.layers.box_formats import FORMATS, convert_boxes
from kerastorch.layers.channels_check import raise_if_channels_last
from kerastorch.layers.labelled_images import LabelledImages, check_bounding_boxes
from kerastorch.layers.options import LayerOptions
from kerastorch.layers.spatial import Spatial


@dataclass(frozen=True, kw_only=True)
class ImageOptions(LayerOptions):
    """Options of all layers over images.

    Args:
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of bounding boxes that come with the images; `None` if there are none.
    """

    data_format: str | None = None
    bounding_box_format: str | None = None


class ImageLayer(Spatial, ABC):
    """Base of layers over images, `(batch, channels, height, width)`, or one image without the batch axis.

    Every call with images that look channels-last raises an error, unless `data_format` was given.

    A layer is also called on a dict with `"images"`, and with any of `"bounding_boxes"`, a dict of `"boxes"`
    `(batch, n, 4)` and `"labels"` `(batch, n)`, `"segmentation_masks"` `(batch, height, width)`, with or without an
    axis of channels, and `"labels"`. It returns a dict with these after the same change. Other entries are unchanged.

    Args:
        options: Constructor arguments of the layer.

    Attributes:
        converts_boxes: Whether the layer computes with boxes, and must know their format.
    """

    rank = 2
    converts_boxes = True

    def __init__(self, options: ImageOptions) -> None:
        super().__init__(options.data_format, name=options.name, trainable=options.trainable)
        given = options.bounding_box_format
        self.bounding_box_format = None if given is None else check_choice("bounding_box_format", given, FORMATS)

    def check_shapes(self, *input_shapes: Any) -> None:
        """Raise an error for images that look channels-last, unless `data_format` was given."""
        for given in input_shapes[:1]:
            shape = given.get("images", ()) if isinstance(given, Mapping) else given
            if not self.data_format_given and len(shape) == 4:
                raise_if_channels_last(self, shape)

    def to_channels_first(self, x: Tensor) -> Tensor:
        """Return checked images, which are in `data_format`, as `(batch, channels, height, width)`."""
        self.check_shapes(x.shape)
        return super().to_channels_first(x)

    @abstractmethod
    def change(self, batch: LabelledImages) -> LabelledImages:
        """Return a batch of floating-point images, and what belongs to them, after the change of this layer."""

    def forward(self, x: Any) -> Any:
        """Return the images after the change.

        Args:
            x: Images, or a dict of images and what belongs to them.

        Raises:
            TypeError: No images, or no such dict.
            ValueError: Shapes of something else, or boxes without `bounding_box_format`.
        """
        if isinstance(x, Mapping):
            return self._change_dict(x)
        images = check_images(x, type(self).__name__)
        if images.ndim == 3:
            return self.from_channels_first(self.change(LabelledImages(self.to_channels_first(images[None]))).images)[0]
        return self.from_channels_first(self.change(LabelledImages(self.to_channels_first(images))).images)

    def _change_dict(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return a dict of images and what belongs to them after the change."""
        name = type(self).__name__
        if "images" not in data:
            raise TypeError(f"{name} takes a dict with 'images', got one with {sorted(map(str, data))}.")
        images = check_images(data["images"], name)
        if images.ndim == 3:
            batch = _map_entries(data, lambda one: one[None])
            return _map_entries(self._change_dict(batch), lambda one: one[0])
        x = self.to_channels_first(images)
        boxes = box_labels = masks = None
        if "bounding_boxes" in data:
            boxes, box_labels = check_bounding_boxes(data["bounding_boxes"], x.shape[0])
            boxes = convert_boxes(boxes, self._format_of_boxes(), "xyxy", *x.shape[2:])
        if "segmentation_masks" in data:
            masks = self._masks_to_channels_first(data["segmentation_masks"], x)
        found = self.change(LabelledImages(x, boxes, box_labels, masks, data.get("labels")))
        result = dict(data) | {"images": self.from_channels_first(found.images)}
        if "labels" in data:
            result["labels"] = found.labels
        if found.boxes is not None:
            changed = convert_boxes(found.boxes, "xyxy", self._format_of_boxes(), *found.images.shape[2:])
            result["bounding_boxes"] = dict(data["bounding_boxes"]) | {"boxes": changed, "labels": found.box_labels}
        if found.masks is not None:
            has_channels = data["segmentation_masks"].ndim == 4
            result["segmentation_masks"] = self.from_channels_first(found.masks) if has_channels else found.masks[:, 0]
        return result

    def _format_of_boxes(self) -> str:
        """Return the format of boxes, or raise if it is needed and was not given.

        Raises:
            ValueError: It was not given.
        """
        if self.bounding_box_format is None and self.converts_boxes:
            name = type(self).__name__
            raise ValueError(f"{name} got bounding boxes; name their format: {name}(bounding_box_format='xyxy').")
        return self.bounding_box_format if self.bounding_box_format and self.converts_boxes else "xyxy"

    def _masks_to_channels_first(self, masks: Any, x: Tensor) -> Tensor:
        """Return masks, `(batch, height, width)` or with channels, as `(batch, channels, height, width)`.

        Raises:
            TypeError: They are no tensor.
            ValueError: Their batch, height or width is not that of the images `x`, which have channels first.
        """
        if not isinstance(masks, Tensor):
            raise TypeError(f"segmentation_masks must be a tensor, got {type(masks).__name__}.")
        first = masks[:, None] if masks.ndim == 3 else Spatial.to_channels_first(self, masks)
        if first.shape[0] != x.shape[0] or first.shape[2:] != x.shape[2:]:
            raise ValueError(
                f"segmentation_masks have shape {tuple(masks.shape)}, and there are {x.shape[0]} images of "
                f"{x.shape[2]} times {x.shape[3]} pixels: the batch, the height and the width must be the same."
            )
        return first


def _map_entries(data: Mapping[str, Any], function: Any) -> dict[str, Any]:
    """Apply a function to the tensors of images and of what belongs to them."""
    found = dict(data)
    for name in ("images", "labels", "segmentation_masks"):
        if isinstance(found.get(name), Tensor):
            found[name] = function(found[name])
    if isinstance(found.get("bounding_boxes"), Mapping):
        boxes = found["bounding_boxes"]
        found["bounding_boxes"] = {
            name: function(one) if isinstance(one, Tensor) else one for name, one in boxes.items()
        }
    return found


def check_images(x: Any, name: str) -> Tensor:
    """Return images as floating-point numbers; integers get torch's default dtype.

    Args:
        x: A batch of images, `(batch, channels, height, width)`, or one image without the batch axis.
        name: Name of the layer, for error messages.

    Raises:
        TypeError: `x` is not a tensor of real numbers.
        ValueError: `x` has neither 3 nor 4 axes.
    """
    if not isinstance(x, Tensor) or x.is_complex():
        raise TypeError(
            f"{name} takes a tensor of images, got {x.dtype if isinstance(x, Tensor) else type(x).__name__}."
        )
    if x.ndim not in (3, 4):
        raise ValueError(
            f"{name} takes images (batch, channels, height, width), or one without the batch; "
            f"got shape {tuple(x.shape)}."
        )
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())
