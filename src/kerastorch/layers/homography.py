"""Perspectives of planes: the factors of the one that moves four points to four others, and where it moves points."""

from __future__ import annotations

import torch
from torch import Tensor


def homography(points: Tensor, images: Tensor) -> Tensor:
    """Return the 8 factors of the perspective that maps points to their images.

    A point `(x, y)` has the image `(a x + b y + c, d x + e y + f) / (g x + h y + 1)`: two linear equations for each.

    Args:
        points: x and y of four points, `(batch, 4, 2)`.
        images: x and y of their images.

    Returns:
        `(batch, 8)`, the factors from a to h.
    """
    x, y = points.unbind(-1)  # (batch, 4)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    u, v = images.unbind(-1)
    first = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    second = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    found: Tensor = torch.linalg.solve(torch.cat([first, second], dim=1), torch.cat([u, v], dim=1))
    return found


def project(factors: Tensor, points: Tensor) -> Tensor:
    """Return the images of points in a perspective.

    Args:
        factors: The factors of `homography`, `(batch, 8)`.
        points: x and y of points, `(batch, n, 2)`, or of the same ones for all, `(1, n, 2)`.
    """
    a, b, c, d, e, f, g, h = (one[:, None] for one in factors.unbind(1))
    x, y = points.unbind(-1)
    depth = g * x + h * y + 1
    return torch.stack([(a * x + b * y + c) / depth, (d * x + e * y + f) / depth], -1)
