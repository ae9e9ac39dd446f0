"""Images with the bounding boxes and segmentation masks that belong to them, and geometric changes of all of these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import mismatch
from kerastorch.layers.box_formats import box_areas, clip_boxes
from kerastorch.layers.random_generator import at_least_float32


class ImageMap(ABC):
    """A geometric change of a batch of images: where it moves pixels and points."""

    @abstractmethod
    def move_images(self, x: Tensor, *, is_mask: bool = False) -> Tensor:
        """Return the images after the change, in their dtype.

        Args:
            x: `(batch, channels, height, width)`, floats.
            is_mask: Whether the values are classes, of which the nearest one is taken.
        """

    @abstractmethod
    def move_points(self, points: Tensor) -> Tensor:
        """Return where points are after the change.

        Args:
            points: `(batch, n, 2)`: x and y in pixels from the top left corner of the image, which is 0, 0.
        """


@dataclass(frozen=True)
class LabelledImages:
    """A batch of images, and what belongs to them.

    Args:
        images: `(batch, channels, height, width)`.
        boxes: Left, top, right and bottom in pixels, `(batch, n, 4)`; `None` for none.
        box_labels: `(batch, n)`, or `(batch, n, classes)`.
        masks: Classes of pixels, `(batch, channels, height, width)`.
        labels: Labels of the images, as they were given.
    """

    images: Tensor
    boxes: Tensor | None = None
    box_labels: Tensor | None = None
    masks: Tensor | None = None
    labels: Any = None

    def moved(self, change: ImageMap) -> LabelledImages:
        """Return the batch after a geometric change.

        A box becomes the smallest one with its four corners, cut off at the edges. If nothing of it is left, its label
        becomes -1.
        """
        images = change.move_images(self.images)
        found = replace(self, images=images)
        if self.boxes is not None and self.box_labels is not None:
            batch, n = self.boxes.shape[:2]
            corners = self.boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]].reshape(batch, n * 4, 2)
            corners = change.move_points(corners).view(batch, n, 4, 2)
            boxes = clip_boxes(torch.cat([corners.amin(2), corners.amax(2)], -1), *images.shape[2:])
            is_left = (box_areas(boxes) > 0).view(batch, n, *[1] * (self.box_labels.ndim - 2))
            labels = torch.where(is_left, self.box_labels, -torch.ones_like(self.box_labels))
            found = replace(found, boxes=boxes, box_labels=labels)
        if self.masks is not None:
            masks = self.masks if self.masks.is_floating_point() else self.masks.to(images.dtype)
            found = replace(found, masks=change.move_images(masks, is_mask=True).to(self.masks.dtype))
        return found

    def chosen(self, is_chosen: Tensor, other: LabelledImages) -> LabelledImages:
        """Return the images of this batch where `is_chosen`, `(batch,)`, and those of another one elsewhere.

        Boxes and masks come with their images.
        """

        def select(one: Tensor | None, two: Tensor | None) -> Tensor | None:
            if one is None or two is None:
                return None
            return torch.where(is_chosen.view(-1, *[1] * (one.ndim - 1)), one, two)

        images = select(self.images, other.images)
        assert images is not None
        return replace(
            self,
            images=images,
            boxes=select(self.boxes, other.boxes),
            box_labels=select(self.box_labels, other.box_labels),
            masks=select(self.masks, other.masks),
        )


def check_bounding_boxes(given: Any, batch: int) -> tuple[Tensor, Tensor]:
    """Return boxes as floats and their labels.

    Args:
        given: `{"boxes": ..., "labels": ...}`, with `(batch, n, 4)` boxes.
        batch: Number of images.

    Raises:
        TypeError: No such dict of tensors.
        ValueError: Other shapes.
    """
    if not isinstance(given, Mapping) or not {"boxes", "labels"} <= set(given):
        raise TypeError(f"bounding_boxes must be a dict with 'boxes' and 'labels', got {given!r}.")
    boxes, labels = given["boxes"], given["labels"]
    if not isinstance(boxes, Tensor) or not isinstance(labels, Tensor):
        kinds = f"{type(boxes).__name__} and {type(labels).__name__}"
        raise TypeError(
            f"bounding_boxes: boxes and labels must be tensors, got {kinds}. "
            "If images have different numbers of boxes, fill up with boxes of zeros and labels of -1."
        )
    if boxes.ndim != 3 or boxes.shape[0] != batch or boxes.shape[2] != 4:
        raise mismatch("bounding_boxes['boxes']", tuple(boxes.shape), f"of shape ({batch}, n, 4) for {batch} images")
    if labels.shape[:2] != boxes.shape[:2] or labels.ndim > 3:
        raise mismatch("bounding_boxes['labels']", tuple(labels.shape), f"of shape {tuple(boxes.shape[:2])}")
    return boxes.to(at_least_float32(boxes.dtype) if boxes.is_floating_point() else torch.float32), labels
