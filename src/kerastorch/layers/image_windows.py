"""ResizedWindow: the same window of all images of a batch, resized."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.layers.labelled_images import ImageMap


@dataclass(frozen=True)
class ResizedWindow(ImageMap):
    """Cut a window out of images, or put them on a larger canvas, and resize the result.

    Args:
        top: First row of the window; negative if there is space above the images.
        left: First column of the window; negative if there is space to the left of the images.
        window: Height and width of the window.
        size: Height and width of the output.
        mode: Interpolation, as in `torch.nn.functional.interpolate`.
        antialias: Whether images are smoothed when they shrink.
        fill_value: Value of the space around the images.
    """

    top: int
    left: int
    window: tuple[int, int]
    size: tuple[int, int]
    mode: str = "bilinear"
    antialias: bool = False
    fill_value: float = 0.0

    @classmethod
    def centered(
        cls, x: Tensor, height: int, width: int, *, mode: str = "bilinear", antialias: bool = False
    ) -> ResizedWindow:
        """Return the largest centered window of images with the proportions `height : width`.

        Args:
            x: `(batch, channels, h, w)`.
            height: Height of the output.
            width: Width of the output.
            mode: Interpolation.
            antialias: Whether images are smoothed when they shrink.
        """
        top, left, rows, columns = centered_window(x, height, width)
        return cls(top, left, (rows, columns), (height, width), mode, antialias)

    def move_images(self, x: Tensor, *, is_mask: bool = False) -> Tensor:
        bottom, right = self.top + self.window[0], self.left + self.window[1]
        if self.top < 0 or self.left < 0:
            x = F.pad(x, (-self.left, right - x.shape[3], -self.top, bottom - x.shape[2]), value=self.fill_value)
        else:
            x = x[:, :, self.top : bottom, self.left : right]
        if self.window == self.size:
            return x
        if is_mask:
            return F.interpolate(x, self.size, mode="nearest-exact")
        return F.interpolate(x, self.size, mode=self.mode, antialias=self.antialias)

    def move_points(self, points: Tensor) -> Tensor:
        scale = [self.size[1] / self.window[1], self.size[0] / self.window[0]]
        corner = torch.tensor([self.left, self.top], dtype=points.dtype, device=points.device)
        return (points - corner) * torch.tensor(scale, dtype=points.dtype, device=points.device)


def centered_window(x: Tensor, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the largest centered window of images with the proportions `height : width`.

    Args:
        x: `(batch, channels, h, w)`.
        height: Height of the proportions.
        width: Width of the proportions.

    Returns:
        First row, first column, number of rows and number of columns.
    """
    rows = max(min(x.shape[2], x.shape[3] * height // width), 1)
    columns = max(min(x.shape[3], x.shape[2] * width // height), 1)
    return (x.shape[2] - rows) // 2, (x.shape[3] - columns) // 2, rows, columns
