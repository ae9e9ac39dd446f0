"""MaxNumBoundingBoxes: the same number of bounding boxes for all images."""

from __future__ import annotations

from dataclasses import replace

from torch.nn import functional as F

from kerastorch.core.errors import check_int
from kerastorch.layers.images import ImageLayer, ImageOptions
from kerastorch.layers.labelled_images import LabelledImages


class MaxNumBoundingBoxes(ImageLayer):
    """A fixed number of bounding boxes for each image: others are cut off, and missing ones are filled up.

    Args:
        max_number: Number of boxes of each image.
        fill_value: The four numbers, and the label, of boxes that are filled up.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: No effect: the layer takes boxes of every format.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: a dict of images, see `RandomFlip`; boxes `(batch, n, 4)` -> `(batch, max_number, 4)`.

    >>> import torch
    >>> boxes = {"boxes": torch.zeros(1, 1, 4), "labels": torch.zeros(1, 1)}
    >>> MaxNumBoundingBoxes(3)({"images": torch.zeros(1, 3, 8, 8), "bounding_boxes": boxes})["bounding_boxes"]["labels"]
    tensor([[ 0., -1., -1.]])
    """

    converts_boxes = False

    def __init__(
        self,
        max_number: int,
        fill_value: int = -1,
        *,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(ImageOptions.from_arguments(locals()))
        self.max_number = check_int("max_number", max_number)
        self.fill_value = fill_value

    def change(self, batch: LabelledImages) -> LabelledImages:
        """Return the batch with `max_number` boxes for each image, in training and evaluation."""
        if batch.boxes is None or batch.box_labels is None:
            return batch
        missing = self.max_number - batch.boxes.shape[1]  # padding by a negative number cuts off
        other_axes = [0, 0] * (batch.box_labels.ndim - 2)
        return replace(
            batch,
            boxes=F.pad(batch.boxes, (0, 0, 0, missing), value=self.fill_value),
            box_labels=F.pad(batch.box_labels, (*other_axes, 0, missing), value=self.fill_value),
        )
