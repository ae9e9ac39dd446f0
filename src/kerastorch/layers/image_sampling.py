"""Values of images at positions between their pixels and beyond their edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

INTERPOLATIONS = ("nearest", "bilinear")
# Names in `torch.nn.functional.grid_sample`; "wrap" moves all positions into the image before.
_PADDING_MODES = {
    "reflect": "reflection", "nearest": "border", "constant": "zeros", "wrap": "border", "mirror": "reflection",
}  # fmt: skip
FILL_MODES = tuple(_PADDING_MODES)
AFFINE_FILL_MODES = tuple(mode for mode in FILL_MODES if mode != "mirror")


@dataclass(frozen=True)
class Sampling:
    """How values between pixels and beyond the edges of images are found.

    Args:
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: Values beyond the edges: `"reflect"` (`d c b a | a b c d | d c b a`), `"mirror"` (`d c b | a b c d |
            c b a`), `"nearest"` (`a a | a b c d | d d`), `"wrap"` (`c d | a b c d | a b`), or `"constant"`.
        fill_value: The value beyond the edges with `"constant"`.
    """

    interpolation: str = "bilinear"
    fill_mode: str = "constant"
    fill_value: float = 0.0

    def sample(self, x: Tensor, grid: Tensor, *, is_mask: bool = False) -> Tensor:
        """Return the values of images at positions.

        Args:
            x: `(batch, channels, height, width)`.
            grid: x and y of each output pixel, from -1 to 1 over the image, `(batch, height, width, 2)`.
            is_mask: Whether the values are classes, of which the nearest one is taken.
        """
        at_centers = self.fill_mode == "mirror"  # the axis of the mirror is the center of the outer pixels
        if self.fill_mode == "wrap":
            x, grid = _wrap(x, grid)
        elif at_centers:
            grid = _between_centers(x, grid)
        shift = self.fill_value if self.fill_mode == "constant" else 0.0  # torch can fill only with 0
        mode = "nearest" if is_mask else self.interpolation
        padding = _PADDING_MODES[self.fill_mode]
        found = F.grid_sample(x - shift if shift else x, grid, mode, padding, align_corners=at_centers)
        return found + shift if shift else found


def pixels_to_grid(x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
    """Return positions as `grid_sample` takes them, from -1 to 1 over the image.

    Args:
        x: Columns: 0 is the center of the first pixel.
        y: Rows.
        height: Height of the image.
        width: Width of the image.
    """
    return torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)


def _sizes(x: Tensor, grid: Tensor) -> Tensor:
    """Return width and height of images, in the dtype of a grid."""
    return torch.tensor([x.shape[3], x.shape[2]], dtype=grid.dtype, device=grid.device)


def _between_centers(x: Tensor, grid: Tensor) -> Tensor:
    """Return positions that go from -1 to 1 between the centers of the outer pixels, for `align_corners`."""
    sizes = _sizes(x, grid)
    return ((grid + 1) * sizes - 1) / (sizes - 1).clamp_min(1) - 1


def _wrap(x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Append the first row and column of an image, and move all positions into the image.

    Args:
        x: `(batch, channels, height, width)`.
        grid: Positions from -1 to 1 over the image, `(batch, height, width, 2)`.

    Returns:
        Images `(batch, channels, height + 1, width + 1)`, and positions from -1 to 1 over these.
    """
    sizes = _sizes(x, grid)
    pixels = (((grid + 1) * sizes - 1) / 2).remainder(sizes)
    x = torch.cat([x, x[:, :, :1]], 2)
    x = torch.cat([x, x[:, :, :, :1]], 3)
    return x, (2 * pixels + 1) / (sizes + 1) - 1
