"""Random distortions of images: RandomPerspective and RandomElasticTransform."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float
from kerastorch.layers.augmentation import (
    AugmentationOptions,
    GeometricAugmentation,
    Range,
    factor_range,
    value_pair,
)
from kerastorch.layers.homography import homography, project
from kerastorch.layers.image_sampling import FILL_MODES, INTERPOLATIONS, Sampling, pixels_to_grid
from kerastorch.layers.labelled_images import ImageMap
from kerastorch.layers.random_generator import at_least_float32


class RandomPerspective(GeometricAugmentation):
    """Random perspective: an image is seen from another side with a probability, in training.

    The corner at the top left stays. The distance of each other corner from it, along each axis, is multiplied by a
    random number, and the image is drawn between the new corners.

    Args:
        factor: The probability is itself random: uniform between 0 and `factor`, or between the numbers of a pair.
            `(1.0, 1.0)` changes every image.
        scale: The distances are multiplied by numbers that are uniform between `1 - scale / 2` and `1 + scale / 2`.
            0 to 1.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_value: Value beyond the edges.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomPerspective(scale=0.3)(torch.ones(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        factor: float | Range = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, 0, 1)
        self.scale = check_float("scale", scale, least=0, most=1)
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.fill_value = check_float("fill_value", fill_value)

    def sample_map(self, x: Tensor) -> ImageMap:
        is_changed = self._sample_uniform(x, (0.0, 1.0)) < self._sample_uniform(x, self.factor)
        bottom, right = (max(size - 1, 1) for size in x.shape[2:])
        dtype = at_least_float32(x.dtype)
        corners = torch.tensor([[0, 0], [right, 0], [0, bottom], [right, bottom]], dtype=dtype, device=x.device)
        like = corners.new_empty(x.shape[0], 4, 2)
        moved = corners * (1 + self.scale * (self._draws.uniform(like) - 0.5))
        sampling = Sampling(self.interpolation, "constant", self.fill_value)
        return _Some(is_changed, Perspective(corners.expand_as(moved), moved, sampling))


class RandomElasticTransform(GeometricAugmentation):
    """Random elastic distortion: pixels move by smooth random distances with a probability, in training.

    Source: Simard et al. 2003. Bounding boxes stay where they are.

    Args:
        factor: The probability is itself random: uniform between 0 and `factor`, or between the numbers of a pair.
            `(1.0, 1.0)` changes every image.
        scale: The strength of each image is uniform between 0 and `scale`, or between the numbers of a pair, 0 to 1.
            Keras draws one for a batch. The standard deviation of the smoothing is the smaller side of the image times
            `0.05 * strength`.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: Values beyond the edges, as in `RandomRotation`, or `"mirror"` (`d c b | a b c d | c b a`).
        fill_value: Value beyond the edges with `fill_mode="constant"`.
        value_range: No effect, as in Keras.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomElasticTransform()(torch.ones(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        factor: float | Range = 1.0,
        scale: float | Range = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Range = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, 0, 1)
        self.scale = factor_range("scale", scale, 0, 1)
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode = check_choice("fill_mode", fill_mode, FILL_MODES)
        self.fill_value = check_float("fill_value", fill_value)
        self.value_range = value_pair(value_range)

    def sample_map(self, x: Tensor) -> ImageMap:
        height, width = x.shape[2:]
        is_changed = self._sample_uniform(x, (0.0, 1.0)) < self._sample_uniform(x, self.factor)
        strength = self._sample_uniform(x, self.scale)
        sigma, alpha = 0.05 * strength * min(height, width), 0.1 * strength * max(height, width)
        noise = self._draws.normal(strength.new_empty(x.shape[0], 2, height, width))  # x and y
        largest = int(6 * 0.05 * self.scale[1] * min(height, width)) | 1
        smooth = _smooth(noise, sigma, largest)
        distances = (alpha * sigma).view(-1, 1, 1, 1) * smooth
        sampling = Sampling(self.interpolation, self.fill_mode, self.fill_value)
        return _Some(is_changed, Displacement(distances, sampling))


def _smooth(x: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Return images after a Gaussian filter along both axes; beyond the edges, pixels are 0.

    Args:
        x: `(batch, channels, height, width)`.
        sigma: Standard deviation in pixels of each image, `(batch,)`.
        size: Size of the largest window; a window ends three standard deviations from its center.
    """
    distance = torch.arange(size, dtype=x.dtype, device=x.device) - size // 2
    weights = torch.exp(-((distance / sigma.clamp_min(1e-6)[:, None]) ** 2) / 2)
    weights = torch.where(distance.abs() <= ((6 * sigma).floor() / 2).floor()[:, None], weights, 0.0)
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(x.shape[1], 0)  # (batch * channels, size)
    flat = x.reshape(1, -1, *x.shape[2:])
    flat = F.conv2d(flat, weights[:, None, :, None], padding=(size // 2, 0), groups=flat.shape[1])
    flat = F.conv2d(flat, weights[:, None, None], padding=(0, size // 2), groups=flat.shape[1])
    return flat.view_as(x)


@dataclass(frozen=True)
class _Some(ImageMap):
    """A change of some of the images.

    Args:
        is_changed: Whether each image is changed, `(batch,)`.
        change: The change.
    """

    is_changed: Tensor
    change: ImageMap

    def move_images(self, x: Tensor, *, is_mask: bool = False) -> Tensor:
        return torch.where(self.is_changed.view(-1, 1, 1, 1), self.change.move_images(x, is_mask=is_mask), x)

    def move_points(self, points: Tensor) -> Tensor:
        return torch.where(self.is_changed.view(-1, 1, 1), self.change.move_points(points), points)


@dataclass(frozen=True)
class Displacement(ImageMap):
    """Values of other pixels; boxes stay.

    Args:
        distances: How far away from each pixel its value is taken, x and y: `(batch, 2, height, width)`.
        sampling: How values between pixels and beyond the edges are found.
    """

    distances: Tensor
    sampling: Sampling

    def move_images(self, x: Tensor, *, is_mask: bool = False) -> Tensor:
        wide = x.to(at_least_float32(x.dtype))
        height, width = x.shape[2:]
        rows = torch.arange(height, dtype=wide.dtype, device=x.device)[:, None]
        columns = torch.arange(width, dtype=wide.dtype, device=x.device)
        across, down = self.distances.to(wide.dtype).unbind(1)
        grid = pixels_to_grid(columns + across, rows + down, height, width)
        return self.sampling.sample(wide, grid, is_mask=is_mask).to(x.dtype)

    def move_points(self, points: Tensor) -> Tensor:
        return points


@dataclass(frozen=True)
class Perspective(ImageMap):
    """A perspective in which four points of each image move to four others.

    Args:
        start: The points, `(batch, 4, 2)`: x and y, 0 at the center of the first pixel.
        end: Where they are afterwards.
        sampling: How values between pixels and beyond the edges are found.
    """

    start: Tensor
    end: Tensor
    sampling: Sampling

    def move_images(self, x: Tensor, *, is_mask: bool = False) -> Tensor:
        wide = x.to(at_least_float32(x.dtype))
        height, width = x.shape[2:]
        rows = torch.arange(height, dtype=wide.dtype, device=x.device)
        columns = torch.arange(width, dtype=wide.dtype, device=x.device)
        pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)  # (height, width, 2)
        found = project(homography(self.end, self.start).to(wide.dtype), pixels.view(1, -1, 2))
        places = found.view(-1, height, width, 2)
        grid = pixels_to_grid(places[..., 0], places[..., 1], height, width)
        return self.sampling.sample(wide, grid, is_mask=is_mask).to(x.dtype)

    def move_points(self, points: Tensor) -> Tensor:
        return project(homography(self.start, self.end).to(points.dtype), points - 0.5) + 0.5
