"""Resizing of single images with the interpolation methods of TensorFlow, which Keras' image datasets use."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

# Keras' names -> torch's; the others have a kernel below. 'nearest-exact' treats pixels as squares, as the others do.
_TORCH_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear"}


def _cubic(x: Tensor) -> Tensor:
    """Return the cubic kernel of Keys (1981), a = -0.5."""
    inner = (1.5 * x - 2.5) * x * x + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, inner, outer)


def _mitchell(x: Tensor) -> Tensor:
    """Return the cubic kernel of Mitchell and Netravali (1988), B = C = 1/3."""
    inner = ((7 * x - 12) * x * x + 16 / 3) / 6
    outer = (((-7 / 3 * x + 12) * x - 20) * x + 32 / 3) / 6
    return torch.where(x < 1, inner, outer)


def _gaussian(x: Tensor) -> Tensor:
    return torch.exp(-2 * x * x)  # standard deviation 0.5


def _lanczos(radius: int) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.sinc(x) * torch.sinc(x / radius)


_KERNELS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {  # radius in pixels, value at a distance >= 0
    "bicubic": (2, _cubic),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
    "gaussian": (1.5, _gaussian),
    "mitchellcubic": (2, _mitchell),
}
_KEPT = ("bilinear", "nearest", "bicubic", "area")  # with the same size, each pixel is its own result
METHODS = ("bilinear", "nearest", "bicubic", "area", *list(_KERNELS)[1:])


def resize(images: Tensor, size: tuple[int, int], method: str) -> Tensor:
    """Return float images of another size, without smoothing, `(..., channels, h, w)` -> `(..., channels, *size)`.

    Args:
        images: Float images, with or without a batch axis.
        size: Height and width of the result, in pixels.
        method: One of `METHODS`. Pixels are squares, as with `align_corners=False`.
    """
    if images.shape[-2:] == size and method in _KEPT:
        return images.clone(memory_format=torch.contiguous_format)
    if method in _TORCH_MODES:
        batch = images if images.ndim == 4 else images[None]
        found = F.interpolate(batch, size, mode=_TORCH_MODES[method])
        return found if images.ndim == 4 else found[0]
    rows = _resample(images.transpose(-1, -2), size[0], method)  # (..., w, height)
    return _resample(rows.transpose(-1, -2), size[1], method)  # (..., height, width)


def _resample(lines: Tensor, length: int, method: str) -> Tensor:
    """Return lines of another length, `(..., given)` -> `(..., length)`."""
    pixels, weights = _taps(method, lines.shape[-1], length)
    found = lines.new_zeros(*lines.shape[:-1], length)
    for at, weight in zip(pixels, weights.to(lines), strict=True):
        found.addcmul_(lines.index_select(-1, at), weight)
    return found


def resize_and_crop(images: Tensor, size: tuple[int, int], method: str) -> Tensor:
    """Return images of another size: the largest centered window with the proportions of `size`, resized."""
    height, width = images.shape[-2:]
    window_height = max(min(height, int(width * size[0] / size[1])), 1)
    window_width = max(min(width, int(height * size[1] / size[0])), 1)
    top, left = (height - window_height) // 2, (width - window_width) // 2
    return resize(images[..., top : top + window_height, left : left + window_width], size, method)


def resize_and_pad(images: Tensor, size: tuple[int, int], method: str) -> Tensor:
    """Return images of another size: resized with their proportions, on a black canvas."""
    ratio = max(images.shape[-1] / size[1], images.shape[-2] / size[0])
    exact = [length / ratio for length in images.shape[-2:]]
    height, width = (max(1, math.floor(length)) for length in exact)
    top, left = (math.floor(max(0.0, total - length) / 2) for total, length in zip(size, exact, strict=True))
    resized = resize(images, (height, width), method)
    return F.pad(resized, (left, size[1] - width - left, top, size[0] - height - top))


@lru_cache(maxsize=256)
def _taps(method: str, given: int, wanted: int) -> tuple[Tensor, Tensor]:
    """Return the pixels of a line that each pixel of a resized line depends on, and their weights, `(taps, wanted)`."""
    weights = _weights(method, given, wanted)
    is_used = weights != 0
    first = is_used.int().argmax(1)
    taps = int((given - is_used.flip(1).int().argmax(1) - first).max())
    at = first + torch.arange(taps)[:, None]
    inside = at < given
    at = at.clamp(max=given - 1)
    return at, torch.where(inside, weights.T.gather(0, at), 0.0)


def _weights(method: str, given: int, wanted: int) -> Tensor:
    """Return the weights of the pixels of a line in the pixels of a resized line, float32 `(wanted, given)`."""
    scale = given / wanted
    if method == "area":
        edges = torch.arange(wanted + 1, dtype=torch.float64)[:, None] * scale
        covered = (edges - torch.arange(given)).clamp(0, 1)  # how much of each pixel lies before an edge
        return (covered.diff(dim=0) / scale).float()
    radius, kernel = _KERNELS[method]
    centers = (torch.arange(wanted, dtype=torch.float64)[:, None] + 0.5) * scale
    distances = (centers - torch.arange(given) - 0.5).abs()
    weights = torch.where(distances < radius, kernel(distances), 0.0)
    return (weights / weights.sum(1, keepdim=True)).float()
