"""Random changes that sample images anew: RandomRotation, RandomZoom, RandomTranslation."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float
from kerastorch.layers.augmentation import Augmentation, Range, factor_range
from kerastorch.layers.random_generator import at_least_float32

_FILL = {"reflect": "reflection", "nearest": "border", "constant": "zeros", "wrap": "border"}


class _Sampling(Augmentation):
    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        name: str | None,
        trainable: bool,
    ) -> None:
        super().__init__(seed, data_format, name, trainable)
        self.fill_mode = check_choice("fill_mode", fill_mode, tuple(_FILL))
        self.interpolation = check_choice("interpolation", interpolation, ("nearest", "bilinear"))
        self.fill_value = check_float("fill_value", fill_value)

    def augment(self, x: Tensor) -> Tensor:
        return sample(x, self.matrices(x), self.fill_mode, self.interpolation, self.fill_value)

    def matrices(self, x: Tensor) -> Tensor:
        """For each image where each pixel of the result comes from: `(batch, 2, 3)`, in units of half the image."""
        raise NotImplementedError


class RandomRotation(_Sampling):
    """Turns each image about its middle by an angle of its own, in training.

    Args:
        factor: the angle as a share of a full turn, counter-clockwise: drawn from `-factor` to `factor`, or between
            the two numbers of a pair. 0.25 is 90 degrees.
        fill_mode: what is beyond the edges: `"reflect"` (`d c b a | a b c d | d c b a`), `"nearest"` (`a a | a b c d
            | d d`), `"wrap"` (`c d | a b c d | a b`), or `"constant"`, `fill_value`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: see `Dropout`.
        fill_value: for `"constant"`.
        data_format: `"channels_first"` (`None`) or `"channels_last"`.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, channels, height, width)`, or one image, unchanged. Floats keep their dtype; integers become floats.

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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, name, trainable)
        self.factor = factor_range("factor", factor, -1, 1)

    def matrices(self, x: Tensor) -> Tensor:
        angle = self._uniform(x, self.factor) * (2 * math.pi)
        cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        ratio = x.shape[2] / x.shape[3]  # a turn is one in pixels, and these are shares of height and width
        return torch.stack([cosine, -sine * ratio, zero, sine / ratio, cosine, zero], 1).view(-1, 2, 3)


class RandomZoom(_Sampling):
    """Zooms each image about its middle by factors of its own, in training.

    Args:
        height_factor: drawn from `-height_factor` to `height_factor`, or between the two numbers of a pair; positive
            zooms out, negative in: at 0.2 the image is seen 20% higher than it was.
        width_factor: the same for the width; `None`: what is drawn for the height.
        fill_mode: see `RandomRotation`; so are all that follow.

    Shape: `(batch, channels, height, width)`, or one image, unchanged. Floats keep their dtype; integers become floats.

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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, name, trainable)
        self.height_factor = factor_range("height_factor", height_factor, -1, 1)
        self.width_factor = None if width_factor is None else factor_range("width_factor", width_factor, -1, 1)

    def matrices(self, x: Tensor) -> Tensor:
        high = 1 + self._uniform(x, self.height_factor)
        across = high if self.width_factor is None else 1 + self._uniform(x, self.width_factor)
        zero = torch.zeros_like(high)
        return torch.stack([across, zero, zero, zero, high, zero], 1).view(-1, 2, 3)


class RandomTranslation(_Sampling):
    """Shifts each image by distances of its own, in training.

    Args:
        height_factor: the distance as a share of the height, downwards: drawn from `-height_factor` to
            `height_factor`, or between the two numbers of a pair.
        width_factor: the same as a share of the width, to the right.
        fill_mode: see `RandomRotation`; so are all that follow.

    Shape: `(batch, channels, height, width)`, or one image, unchanged. Floats keep their dtype; integers become floats.

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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, name, trainable)
        self.height_factor = factor_range("height_factor", height_factor, -1, 1)
        self.width_factor = factor_range("width_factor", width_factor, -1, 1)

    def matrices(self, x: Tensor) -> Tensor:
        down, right = self._uniform(x, self.height_factor), self._uniform(x, self.width_factor)
        one, zero = torch.ones_like(down), torch.zeros_like(down)
        return torch.stack([one, zero, -2 * right, zero, one, -2 * down], 1).view(-1, 2, 3)


def sample(x: Tensor, matrices: Tensor, fill_mode: str, interpolation: str, fill_value: float) -> Tensor:
    """Each image looked up at the places that its matrix gives.

    Args:
        x: `(batch, channels, height, width)`.
        matrices: `(batch, 2, 3)`, as `torch.nn.functional.affine_grid` takes them.
        fill_mode: as `RandomRotation`.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_value: for `"constant"`.
    """
    given = x.dtype
    x = x.to(at_least_float32(given))  # places in bfloat16 would be off by whole pixels
    grid = F.affine_grid(matrices.to(x.dtype), list(x.shape), align_corners=False)
    if fill_mode == "wrap":
        x, grid = _wrapped(x, grid)
    shift = fill_value if fill_mode == "constant" else 0.0  # torch fills with 0 only
    found = F.grid_sample(x - shift if shift else x, grid, interpolation, _FILL[fill_mode], align_corners=False)
    return (found + shift if shift else found).to(given)


def _wrapped(x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """One row and column more, those of the other edge, and places that never leave the image."""
    height, width = x.shape[2:]
    sizes = torch.tensor([width, height], dtype=grid.dtype, device=grid.device)
    places = ((grid + 1) * sizes - 1) / 2
    places = places.remainder(sizes)
    x = torch.cat([x, x[:, :, :1]], 2)
    x = torch.cat([x, x[:, :, :, :1]], 3)
    return x, (2 * places + 1) / (sizes + 1) - 1
