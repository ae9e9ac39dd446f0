"""UpSampling, ZeroPadding, Cropping."""

import torch

from kerastorch.layers import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from support.layer_rows.row import Row, numbers


def _repeated(factors, first):
    def oracle(layer, x):
        for axis, factor in enumerate(factors, first):
            x = x.repeat_interleave(factor, axis)
        return x

    return oracle


def _filtered(kernel, reach):
    """Each new pixel from those near its centre, weighted by `kernel` of the distance, those at the edge repeated."""

    def weights(size, factor):
        centres = (torch.arange(size * factor) + 0.5) / factor - 0.5
        first = centres.floor().long()
        matrix = torch.zeros(size * factor, size)
        for step in range(1 - reach, reach + 1):
            at = first + step
            matrix[torch.arange(size * factor), at.clamp(0, size - 1)] += kernel((centres - at).abs())
        return matrix

    def oracle(layer, x):
        rows, columns = weights(x.shape[2], layer.size[0]), weights(x.shape[3], layer.size[1])
        return torch.einsum("rh,cw,bkhw->bkrc", rows, columns, x)

    return oracle


def _cubic(d, a=-0.75):
    """Keys 1981, eq. 4, with torch's a."""
    near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * (d**3 - 5 * d**2 + 8 * d - 4)
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def _lanczos(layer, x):
    """As Pillow: no pixel beyond the edge, and weights that add up to 1."""

    def weights(size, factor):
        d = ((torch.arange(size * factor) + 0.5) / factor - 0.5)[:, None] - torch.arange(size)
        w = torch.where(d.abs() < 3, torch.sinc(d) * torch.sinc(d / 3), 0.0)
        return w / w.sum(1, keepdim=True)

    rows, columns = weights(x.shape[2], layer.size[0]), weights(x.shape[3], layer.size[1])
    return torch.einsum("rh,cw,bkhw->bkrc", rows, columns, x)


def _placed(start, shape):
    """In zeros of another shape."""

    def oracle(layer, x):
        y = torch.zeros(shape)
        y[tuple(slice(at, at + size) for at, size in zip(start, x.shape, strict=True))] = x
        return y

    return oracle


ROWS = {
    "UpSampling1D": Row(lambda: UpSampling1D(3), lambda: (numbers(2, 5, 4),), _repeated([3], 1), sizes_vary=True),
    "UpSampling1D-channels_first": Row(
        lambda: UpSampling1D(2, "channels_first"), lambda: (numbers(2, 4, 5),), _repeated([2], 2)
    ),
    "UpSampling2D": Row(lambda: UpSampling2D((2, 3)), lambda: (numbers(2, 4, 5, 3),), _repeated([2, 3], 2)),
    "UpSampling2D-channels_last": Row(
        lambda: UpSampling2D((2, 3), "channels_last"),
        lambda: (numbers(2, 5, 3, 4),),
        _repeated([2, 3], 1),
        sizes_vary=True,
    ),
    "UpSampling2D-bilinear": Row(
        lambda: UpSampling2D((2, 3), interpolation="bilinear"),
        lambda: (numbers(2, 4, 5, 3),),
        _filtered(lambda d: (1 - d).clamp(min=0), 1),
    ),
    "UpSampling2D-bicubic": Row(
        lambda: UpSampling2D((2, 3), interpolation="bicubic"), lambda: (numbers(2, 4, 5, 3),), _filtered(_cubic, 2)
    ),
    "UpSampling2D-lanczos3": Row(
        lambda: UpSampling2D((2, 3), interpolation="lanczos3"),
        lambda: (numbers(2, 4, 9, 8),),
        _lanczos,
        narrows=False,  # torch's kernel is for float32 and float64
    ),
    "UpSampling3D": Row(lambda: UpSampling3D((1, 2, 3)), lambda: (numbers(2, 2, 3, 3, 3),), _repeated([1, 2, 3], 2)),
    "ZeroPadding1D": Row(
        lambda: ZeroPadding1D((1, 2)), lambda: (numbers(2, 5, 4),), _placed([0, 1, 0], (2, 8, 4)), sizes_vary=True
    ),
    "ZeroPadding1D-channels_first": Row(
        lambda: ZeroPadding1D((1, 2), "channels_first"),
        lambda: (numbers(2, 4, 5),),
        _placed([0, 0, 1], (2, 4, 8)),
    ),
    "ZeroPadding2D": Row(
        lambda: ZeroPadding2D(((0, 1), (2, 3))), lambda: (numbers(2, 4, 5, 3),), _placed([0, 0, 0, 2], (2, 4, 6, 8))
    ),
    "ZeroPadding2D-channels_last": Row(
        lambda: ZeroPadding2D((1, 2), "channels_last"),
        lambda: (numbers(2, 5, 3, 4),),
        _placed([0, 1, 2, 0], (2, 7, 7, 4)),
        sizes_vary=True,
    ),
    "ZeroPadding3D": Row(
        lambda: ZeroPadding3D(((0, 1), (2, 0), (1, 1))),
        lambda: (numbers(2, 2, 3, 3, 3),),
        _placed([0, 0, 0, 2, 1], (2, 2, 4, 5, 5)),
    ),
    "Cropping1D": Row(
        lambda: Cropping1D((1, 0)), lambda: (numbers(2, 5, 4),), lambda layer, x: x[:, 1:5], sizes_vary=True
    ),
    "Cropping1D-channels_first": Row(
        lambda: Cropping1D(1, "channels_first"), lambda: (numbers(2, 4, 5),), lambda layer, x: x[:, :, 1:4]
    ),
    "Cropping2D": Row(
        lambda: Cropping2D(((0, 2), (1, 1))), lambda: (numbers(2, 4, 5, 6),), lambda layer, x: x[:, :, 0:3, 1:5]
    ),
    "Cropping2D-channels_last": Row(
        lambda: Cropping2D((1, 2), "channels_last"),
        lambda: (numbers(2, 5, 6, 4),),
        lambda layer, x: x[:, 1:4, 2:4],
        sizes_vary=True,
    ),
    "Cropping3D": Row(Cropping3D, lambda: (numbers(2, 2, 3, 4, 5),), lambda layer, x: x[:, :, 1:2, 1:3, 1:4]),
}
