"""Images as batches with channels first, which torch takes, and back."""

from __future__ import annotations

from torch import Tensor

from kerastorch.ops.nn.data_format import is_channels_last


def check_images(name: str, images: Tensor) -> None:
    """Raise unless a tensor is an image or a batch of images.

    Raises:
        ValueError: It has neither 3 nor 4 axes.
    """
    if images.ndim not in (3, 4):
        raise ValueError(f"{name} takes an image or a batch of images, 3 or 4 axes; got shape {tuple(images.shape)}.")


def to_batch(name: str, images: Tensor, data_format: str | None) -> Tensor:
    """Return `(batch, channels, height, width)` for an image or a batch in a data format."""
    check_images(name, images)
    batch = images if images.ndim == 4 else images[None]
    return batch.movedim(-1, 1) if is_channels_last(data_format) else batch


def from_batch(batch: Tensor, images: Tensor, data_format: str | None) -> Tensor:
    """Return a batch with channels first in the layout of the images that it was made of."""
    found = batch.movedim(1, -1) if is_channels_last(data_format) else batch
    return found if images.ndim == 4 else found[0]


def channel_axis(data_format: str | None) -> int:
    """Return the axis of the channels of an image or a batch, from the end."""
    return -1 if is_channels_last(data_format) else -3


def spatial_axes(data_format: str | None) -> tuple[int, int]:
    """Return the axes of the height and the width of an image or a batch, from the end."""
    return (-3, -2) if is_channels_last(data_format) else (-2, -1)
