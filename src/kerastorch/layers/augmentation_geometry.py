"""Random affine transformations of images: RandomRotation, RandomZoom, RandomTranslation and RandomShear."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float
from kerastorch.layers.augmentation import AugmentationOptions, GeometricAugmentation, Range, factor_range
from kerastorch.layers.image_sampling import AFFINE_FILL_MODES, INTERPOLATIONS, Sampling
from kerastorch.layers.labelled_images import ImageMap
from kerastorch.layers.random_generator import at_least_float32


@dataclass(frozen=True, kw_only=True)
class AffineAugmentationOptions(AugmentationOptions):
    """Options of all random affine transformations; `RandomRotation` documents them."""

    fill_mode: str = "reflect"
    interpolation: str = "bilinear"
    fill_value: float = 0.0


class _AffineAugmentation(GeometricAugmentation):
    """Augmentation by a random affine transformation of each image.

    Args:
        options: Constructor arguments of the layer.
    """

    def __init__(self, options: AffineAugmentationOptions) -> None:
        super().__init__(options)
        self.fill_mode = check_choice("fill_mode", options.fill_mode, AFFINE_FILL_MODES)
        self.interpolation = check_choice("interpolation", options.interpolation, INTERPOLATIONS)
        self.fill_value = check_float("fill_value", options.fill_value)

    def sample_map(self, x: Tensor) -> ImageMap:
        sampling = Sampling(self.interpolation, self.fill_mode, self.fill_value)
        return _Affine(self.sample_matrices(x), x.shape[2:], sampling)

    @abstractmethod
    def sample_matrices(self, x: Tensor) -> Tensor:
        """Sample one matrix for each image that maps output positions to input positions.

        The result is `(batch, 2, 3)`. Positions are `(x, y, 1)`, and x and y go from -1 to 1 over the image, as in
        `torch.nn.functional.affine_grid`.
        """


@dataclass(frozen=True)
class _Affine(ImageMap):
    """An affine transformation of each image.

    Args:
        matrices: `(batch, 2, 3)`, from output to input positions as in `torch.nn.functional.affine_grid`.
        sizes: Height and width of the images.
        sampling: How values between pixels and beyond the edges are found.
    """

    matrices: Tensor
    sizes: Sequence[int]
    sampling: Sampling

    def move_images(self, x: Tensor, *, is_mask: bool = False) -> Tensor:
        wide = x.to(at_least_float32(x.dtype))  # in bfloat16, rounding would move positions by whole pixels
        grid = F.affine_grid(self.matrices.to(wide.dtype), list(x.shape), align_corners=False)
        return self.sampling.sample(wide, grid, is_mask=is_mask).to(x.dtype)

    def move_points(self, points: Tensor) -> Tensor:
        half = torch.tensor([self.sizes[1] / 2, self.sizes[0] / 2], dtype=points.dtype, device=points.device)
        matrices = self.matrices.to(points.dtype)
        shifted = (points / half - 1) - matrices[:, None, :, 2]
        moved: Tensor = torch.linalg.solve_ex(matrices[:, :, :2], shifted.mT)[0].mT
        return (moved + 1) * half


class RandomRotation(_AffineAugmentation):
    """Random rotation of each image about its center, in training.

    Args:
        factor: The angle as a fraction of a full turn, counter-clockwise, is uniform between `-factor` and `factor`, or
            between the numbers of a pair. 0.25 is 90 degrees.
        fill_mode: Values beyond the edges: `"reflect"` (`d c b a | a b c d | d c b a`), `"nearest"` (`a a | a b c d |
            d d`), `"wrap"` (`c d | a b c d | a b`), or `"constant"` (`fill_value`).
        interpolation: `"bilinear"` or `"nearest"`.
        seed: Seed of the random numbers; `None` uses torch's global generator.
        fill_value: Value beyond the edges with `fill_mode="constant"`.
        data_format: `"channels_first"` (default) or `"channels_last"`.
        bounding_box_format: Format of boxes in a dict of images, see `RandomFlip`.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomRotation((0.25, 0.25))(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).round()
    tensor([[[[2., 4.], [1., 3.]]]])
    """

    def __init__(
        self,
        factor: float | Range,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AffineAugmentationOptions.from_arguments(locals()))
        self.factor = factor_range("factor", factor, -1, 1)

    def sample_matrices(self, x: Tensor) -> Tensor:
        angle = self._sample_uniform(x, self.factor) * (2 * math.pi)
        cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        ratio = (
            x.shape[2] / x.shape[3]
        )  # positions are relative to the size of the image, so a rotation in pixels needs its aspect ratio
        return torch.stack([cosine, -sine * ratio, zero, sine / ratio, cosine, zero], 1).view(-1, 2, 3)


class RandomZoom(_AffineAugmentation):
    """Random zoom of each image about its center, in training.

    Args:
        height_factor: The zoom is uniform between `-height_factor` and `height_factor`, or between the numbers of a
            pair. Positive numbers zoom out, negative ones zoom in: at 0.2, the output shows a field 20% higher than
            the image.
        width_factor: The same for the width; default `None` uses the zoom of the height.
        fill_mode: Values beyond the edges; for this and all following arguments, see `RandomRotation`.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomZoom(0.2)(torch.ones(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        height_factor: float | Range,
        width_factor: float | Range | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AffineAugmentationOptions.from_arguments(locals()))
        self.height_factor = factor_range("height_factor", height_factor, -1, 1)
        self.width_factor = None if width_factor is None else factor_range("width_factor", width_factor, -1, 1)

    def sample_matrices(self, x: Tensor) -> Tensor:
        height = 1 + self._sample_uniform(x, self.height_factor)
        width = height if self.width_factor is None else 1 + self._sample_uniform(x, self.width_factor)
        zero = torch.zeros_like(height)
        return torch.stack([width, zero, zero, zero, height, zero], 1).view(-1, 2, 3)


class RandomTranslation(_AffineAugmentation):
    """Random translation of each image, in training.

    Args:
        height_factor: The distance downwards, as a fraction of the height, is uniform between `-height_factor` and
            `height_factor`, or between the numbers of a pair.
        width_factor: The same for the distance to the right, as a fraction of the width.
        fill_mode: Values beyond the edges; for this and all following arguments, see `RandomRotation`.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomTranslation(0, (0.5, 0.5), "constant")(torch.ones(1, 1, 1, 4)).round()
    tensor([[[[0., 0., 1., 1.]]]])
    """

    def __init__(
        self,
        height_factor: float | Range,
        width_factor: float | Range,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AffineAugmentationOptions.from_arguments(locals()))
        self.height_factor = factor_range("height_factor", height_factor, -1, 1)
        self.width_factor = factor_range("width_factor", width_factor, -1, 1)

    def sample_matrices(self, x: Tensor) -> Tensor:
        down, right = self._sample_uniform(x, self.height_factor), self._sample_uniform(x, self.width_factor)
        one, zero = torch.ones_like(down), torch.zeros_like(down)
        return torch.stack([one, zero, -2 * right, zero, one, -2 * down], 1).view(-1, 2, 3)


class RandomShear(_AffineAugmentation):
    """Random shear of each image, in training: rows move to the side, in proportion to their distance from the first.

    Args:
        x_factor: The distance between neighboring rows in pixels is uniform between `-x_factor` and `x_factor`, or
            between the numbers of a pair, in either direction. Numbers are between -1 and 1.
        y_factor: The same for the distance between neighboring columns.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: Values beyond the edges; for this and all following arguments, see `RandomRotation`.

    Shape: `(batch, channels, height, width)`, or one image without the batch axis; the output has the same shape. A
    floating-point dtype is preserved, and integers become floats.

    >>> RandomShear(0.3)(torch.ones(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        x_factor: float | Range = 0.0,
        y_factor: float | Range = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        *,
        bounding_box_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AffineAugmentationOptions.from_arguments(locals()))
        self.x_factor = factor_range("x_factor", x_factor, -1, 1)
        self.y_factor = factor_range("y_factor", y_factor, -1, 1)

    def sample_matrices(self, x: Tensor) -> Tensor:
        sign = torch.where(self._sample_uniform(x, (0.0, 1.0)) > 0.5, -1.0, 1.0)
        across, down = self._sample_uniform(x, self.x_factor) * sign, self._sample_uniform(x, self.y_factor) * sign
        height, width = x.shape[2:]
        one = torch.ones_like(across)
        # the first row and column stay; positions from -1 to 1 have another unit along each axis
        rows = [one, across * (height / width), across * ((height - 1) / width)]
        columns = [down * (width / height), one, down * ((width - 1) / height)]
        return torch.stack(rows + columns, 1).view(-1, 2, 3)
