"""Resizing and CenterCrop."""

import torch
from torch.nn import functional as F

from kerastorch.layers import CenterCrop, Resizing
from support.layer_rows.row import Row, numbers


def _lines(size, new):
    """Linear interpolation between the middles of pixels, as a matrix."""
    middles = ((torch.arange(new) + 0.5) * size / new - 0.5).clamp(0, size - 1)
    first = middles.floor().long()
    matrix = torch.zeros(new, size)
    matrix[torch.arange(new), first] += 1 - (middles - first)
    matrix[torch.arange(new), (first + 1).clamp(max=size - 1)] += middles - first
    return matrix


def _bilinear(layer, x):
    return torch.einsum("rh,cw,bkhw->bkrc", _lines(x.shape[2], layer.height), _lines(x.shape[3], layer.width), x)


def _nearest(layer, x):
    rows, columns = (((torch.arange(new) + 0.5) * old / new).long() for new, old in ((3, 6), (7, 5)))
    return x[:, :, rows][:, :, :, columns]


ROWS = {
    "Resizing": Row(lambda: Resizing(4, 9), lambda: (numbers(3, 2, 6, 5),), _bilinear),
    "Resizing-nearest": Row(lambda: Resizing(3, 7, "nearest"), lambda: (numbers(3, 2, 6, 5),), _nearest),
    "Resizing-crop": Row(
        lambda: Resizing(4, 4, crop_to_aspect_ratio=True),
        lambda: (numbers(3, 2, 6, 8),),
        lambda layer, x: _bilinear(layer, x[..., 1:7]),
    ),
    "Resizing-pad": Row(
        lambda: Resizing(4, 4, pad_to_aspect_ratio=True, fill_value=2.0),
        lambda: (numbers(3, 2, 6, 8),),
        lambda layer, x: _bilinear(layer, F.pad(x, (0, 0, 1, 1), value=2.0)),
    ),
    "Resizing-antialias": Row(
        lambda: Resizing(2, 2, antialias=True),
        lambda: (numbers(3, 2, 2, 2).repeat_interleave(1, 2),),
        lambda layer, x: x,  # nothing to smooth where nothing gets smaller
    ),
    "Resizing-channels_last": Row(
        lambda: Resizing(4, 9, data_format="channels_last"),
        lambda: (numbers(3, 6, 5, 2),),
        lambda layer, x: _bilinear(layer, x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1),
    ),
    "CenterCrop": Row(lambda: CenterCrop(3, 4), lambda: (numbers(3, 2, 6, 8),), lambda layer, x: x[:, :, 1:4, 2:6]),
    "CenterCrop-smaller": Row(
        lambda: CenterCrop(8, 8), lambda: (numbers(3, 2, 4, 6),), lambda layer, x: _bilinear(layer, x[..., 1:5])
    ),
}
