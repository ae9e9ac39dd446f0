"""Contrast from the values of an image: AutoContrast, Equalization and its local, limited form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kerastorch.core.errors import check_float, check_int
from kerastorch.layers.augmentation import Augmentation, AugmentationOptions, Range, value_pair
from kerastorch.layers.random_generator import at_least_float32
from kerastorch.layers.spatial import check_sizes

_LEVELS = 256


class AutoContrast(Augmentation):
    """Largest contrast: each channel of each image is stretched to the whole `value_range`, in evaluation too.

    Args:
        value_range: Lowest and highest value of a pixel.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats. A channel with one value only is unchanged.

    >>> AutoContrast()(torch.tensor([[[[50.0, 100.0, 150.0]]]]))
    tensor([[[[  0.0000, 127.5000, 255.0000]]]])
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        *,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.value_range = value_pair(value_range)

    def augment(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        least, most = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        is_flat = least == most
        spread = torch.where(is_flat, torch.ones_like(most), most - least)
        return torch.where(is_flat, x, ((x - least) / spread * (high - low) + low).clamp(low, high))

    def apply_in_evaluation(self, x: Tensor) -> Tensor:
        """Return the same images as in training."""
        return self.augment(x)


class Equalization(Augmentation):
    """Equalization of histograms: the values of each channel of each image are spread evenly, in training.

    Args:
        value_range: Lowest and highest value of a pixel.
        bins: Number of values that are distinguished.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats. A channel with one value only is unchanged. There are
    no gradients. Keras takes one histogram for all images of a batch.

    >>> Equalization()(torch.tensor([[[[50.0, 51.0, 52.0, 200.0]]]]))
    tensor([[[[  0.,  85., 170., 255.]]]])
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.value_range = value_pair(value_range)
        self.bins = check_int("bins", bins, 2)

    def augment(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        wide = x.to(at_least_float32(x.dtype)).flatten(2)
        index = ((wide - low) / (high - low) * (self.bins - 1)).long().clamp(0, self.bins - 1)
        counts = count_values(index, self.bins).cumsum(-1)
        first = torch.where(counts > 0, counts, counts.amax(-1, keepdim=True)).amin(-1, keepdim=True)
        span = counts[..., -1:] - first
        table = ((counts - first) * 255 / span.clamp_min(1)).round().clamp(0, 255) / 255
        spread = table.gather(-1, index) * (high - low) + low
        return torch.where(span > 0, spread, wide).view(x.shape).to(x.dtype)


class ContrastLimitedAdaptiveHistogramEqualization(Augmentation):
    """Local equalization of histograms with limited contrast, CLAHE (Pizer et al. 1987), in evaluation too.

    Each image is cut into tiles with a histogram each. A pixel gets the mean of the equalizations of the four nearest
    tiles, weighted by its distance from their centers.

    Args:
        value_range: Lowest and highest value of a pixel.
        clip_limit: Largest count of a value, as a multiple of the mean count; what is above it is divided among all
            values. 0 is no limit.
        tile_grid_size: Number of tiles along height and width.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats. There are no gradients.

    >>> ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))(torch.rand(1, 3, 8, 8)).shape
    torch.Size([1, 3, 8, 8])
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: int | Sequence[int] = (8, 8),
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.value_range = value_pair(value_range)
        self.clip_limit = check_float("clip_limit", clip_limit, least=0)
        self.tile_grid_size = check_sizes("tile_grid_size", tile_grid_size, 2)

    def augment(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        height, width = x.shape[2:]
        wide = (x.to(at_least_float32(x.dtype)) - low) / (high - low) * (_LEVELS - 1)
        pixels = wide.clamp(0, _LEVELS - 1).long()
        tables = self._tables(pixels)  # (batch, channels, rows of tiles, columns of tiles, 256)
        rows, columns = self.tile_grid_size
        tables = tables.flatten(2, 3)
        y = torch.zeros_like(wide)
        for row, row_weight in _neighbors(height, -(-height // rows), rows, wide):
            for column, column_weight in _neighbors(width, -(-width // columns), columns, wide):
                tile = row[:, None] * columns + column[None, :]
                index = (tile * _LEVELS + pixels).flatten(2)
                found = tables.flatten(2).gather(-1, index).view(x.shape)
                y = y + found * row_weight[:, None] * column_weight[None, :]
        return (y / (_LEVELS - 1) * (high - low) + low).to(x.dtype)

    def apply_in_evaluation(self, x: Tensor) -> Tensor:
        """Return the same images as in training."""
        return self.augment(x)

    def _tables(self, pixels: Tensor) -> Tensor:
        """Return the new value, 0 to 255, of each value in each tile."""
        height, width = pixels.shape[2:]
        rows, columns = self.tile_grid_size
        tile_height, tile_width = -(-height // rows), -(-width // columns)
        below, right = tile_height * rows - height, tile_width * columns - width
        pixels = _mirror(_mirror(pixels, below, 2), right, 3)
        tiles = pixels.unflatten(3, (columns, tile_width)).unflatten(2, (rows, tile_height)).transpose(3, 4)
        size = tile_height * tile_width
        counts = count_values(tiles.flatten(4), _LEVELS)
        if self.clip_limit > 0:
            clipped = counts.clamp(max=self.clip_limit * size / _LEVELS)
            counts = clipped + (counts - clipped).sum(-1, keepdim=True) / _LEVELS
        sums = counts.cumsum(-1)
        first = sums[..., :1]
        span = size - first
        return ((sums - first) * 255 / torch.where(span == 0, torch.ones_like(span), span)).clamp(0, 255)


def count_values(index: Tensor, size: int) -> Tensor:
    """Return how often each of the numbers 0 to `size - 1` occurs along the last axis, `(..., size)`, as floats."""
    counts = torch.zeros(*index.shape[:-1], size, device=index.device)
    return counts.scatter_add(-1, index, torch.ones_like(index, dtype=counts.dtype))


def _mirror(x: Tensor, amount: int, axis: int) -> Tensor:
    """Append the last `amount` rows or columns in reversed order, as often as there are enough of them."""
    while amount:
        size = min(amount, x.shape[axis])
        x = torch.cat([x, x.narrow(axis, x.shape[axis] - size, size).flip(axis)], axis)
        amount -= size
    return x


def _neighbors(size: int, tile: int, n_tiles: int, like: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the tiles before and after each position along an axis, and their weights, `(size,)` each.

    Args:
        size: Size of the axis.
        tile: Size of a tile on this axis.
        n_tiles: Number of tiles on this axis.
        like: Tensor with the dtype and device of the weights.
    """
    position = (torch.arange(size, dtype=like.dtype, device=like.device) - tile / 2) / tile
    before = position.floor()
    weight = position - before
    first, second = before.long(), before.long() + 1
    return [(first.clamp(0, n_tiles - 1), 1 - weight), (second.clamp(0, n_tiles - 1), weight)]
