"""Numbers and categories made ready: the rows of layers on tensors."""

import math

import numpy as np
import torch
from torch.nn import functional as F

from kerastorch import layers
from kerastorch.layers import (
    CategoryEncoding,
    Discretization,
    IntegerLookup,
    Normalization,
    Rescaling,
)
from support.layer_rows.row import Row, integers, numbers

_MEAN, _VARIANCE = [1.0, -2.0, 0.5, 3.0], [4.0, 0.25, 1.0, 9.0]
_VOCABULARY = [40, 7, 1000, 3]
_WEIGHTS = [0.5, 1.5, 2.0, 0.25]


def _bins(layer, x):
    return torch.from_numpy(np.digitize(x.detach().numpy(), [-1.0, 0.0, 0.5]))


def _looked_up(tokens, first, unknown):
    """By a dict, one at a time."""
    places = {token: first + place for place, token in enumerate(tokens)}
    return lambda layer, x: torch.tensor([[places.get(t, unknown(t)) for t in row] for row in x.tolist()])


def _tokens():
    return (torch.tensor([[7, 7, 3], [1000, 5, 40], [9, 9, 9], [40, 3, 7], [8, 1000, 5]]),)


def _counted(layer, x):
    return F.one_hot(_looked_up(_VOCABULARY, 1, lambda t: 0)(layer, x), 5).sum(1).float()


def _row(make, inputs, oracle, **options):
    return Row(make, inputs, oracle, gradients=False, **options)


def _mel(layer, x):
    """Frame by frame, with triangles between frequencies that are equally far apart in mel."""
    mirrored = torch.cat([x[:, 1:17].flip(1), x, x[:, -17:-1].flip(1)], 1)
    window = torch.zeros(32, dtype=x.dtype)
    window[4:28] = torch.hann_window(24, dtype=x.dtype)
    frames = [torch.fft.rfft(mirrored[:, start : start + 32] * window).abs() ** 2 for start in range(0, 101, 10)]
    mel = lambda hertz: 2595 * torch.log10(1 + torch.as_tensor(hertz, dtype=torch.float64) / 700)  # noqa: E731
    edges = torch.linspace(mel(20.0).item(), mel(8000.0).item(), 6, dtype=torch.float64)
    shares = torch.zeros(17, 4, dtype=torch.float64)
    for index, frequency in enumerate(mel(torch.linspace(0, 8000, 17, dtype=torch.float64))):
        for pitch in range(4):
            low, center, high = edges[pitch : pitch + 3]
            shares[index, pitch] = max(0, min((frequency - low) / (center - low), (high - frequency) / (high - center)))
    power = torch.stack(frames, 1) @ shares.to(x.dtype)
    decibels = 10 * power.clamp_min(1e-10).log10().mT
    return torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - 30)


def _framed(layer, x, step):
    """The products of all frames with each kernel: `(batch, channels, frequencies, frames)`."""
    frames = x.unfold(-1, 16, step)
    return [torch.einsum("bcwt,ft->bcfw", frames, kernel[:, 0]) for kernel in layer.parameters()]


ROWS = {
    "Rescaling": Row(lambda: Rescaling(0.5, -1), lambda: (numbers(5, 4),), lambda layer, x: x / 2 - 1, sizes_vary=True),
    "Rescaling-channels": Row(
        lambda: Rescaling([1.0, 2.0, 3.0], [0.0, 0.0, 1.0]),
        lambda: (numbers(5, 3, 2, 4),),
        lambda layer, x: torch.stack([x[:, 0], 2 * x[:, 1], 3 * x[:, 2] + 1], 1),
    ),
    "Normalization": Row(
        lambda: Normalization(mean=_MEAN, variance=_VARIANCE),
        lambda: (numbers(5, 6, 4),),
        lambda layer, x: (x - torch.tensor(_MEAN)) / torch.tensor([2.0, 0.5, 1.0, 3.0]),
        sizes_vary=True,
    ),
    "Normalization-axes": Row(
        lambda: Normalization((1, -1), [_MEAN[:2]] * 4, [_VARIANCE[:2]] * 4),
        lambda: (numbers(5, 4, 3, 2),),
        lambda layer, x: torch.stack([(x[..., 0] - 1) / 2, (x[..., 1] + 2) / 0.5], -1),
    ),
    "Normalization-scalar": Row(
        lambda: Normalization(None, 3.0, 4.0, invert=True),
        lambda: (numbers(5, 4),),
        lambda layer, x: x * 2 + 3,
    ),
    "Discretization": _row(lambda: Discretization([-1.0, 0.0, 0.5]), lambda: (numbers(5, 4),), _bins, sizes_vary=True),
    "Discretization-count": _row(
        lambda: Discretization([-1.0, 0.0, 0.5], output_mode="count"),
        lambda: (numbers(5, 4),),
        lambda layer, x: F.one_hot(_bins(layer, x), 4).sum(1).float(),
    ),
    "CategoryEncoding": _row(
        lambda: CategoryEncoding(6),
        lambda: (integers(6, 5, 3),),
        lambda layer, x: F.one_hot(x, 6).amax(1).float(),
    ),
    "CategoryEncoding-count": _row(
        lambda: CategoryEncoding(6, "count"),
        lambda: (integers(6, 5, 3),),
        lambda layer, x: F.one_hot(x, 6).sum(1).float(),
    ),
    "CategoryEncoding-one_hot": _row(
        lambda: CategoryEncoding(6, "one_hot"),
        lambda: (integers(6, 5, 3),),
        lambda layer, x: F.one_hot(x, 6).float(),
    ),
    "CategoryEncoding-one_hot-column": _row(
        lambda: CategoryEncoding(6, "one_hot"),
        lambda: (integers(6, 5, 1),),
        lambda layer, x: F.one_hot(x[:, 0], 6).float(),
    ),
    "CategoryEncoding-weights": Row(
        lambda: CategoryEncoding(6, "count"),
        lambda: (integers(6, 5, 3), numbers(5, 3)),
        lambda layer, x, weights: (F.one_hot(x, 6) * weights[..., None]).sum(1),
    ),
    "IntegerLookup": _row(
        lambda: IntegerLookup(vocabulary=_VOCABULARY), _tokens, _looked_up(_VOCABULARY, 1, lambda t: 0), sizes_vary=True
    ),
    "IntegerLookup-several": _row(
        lambda: IntegerLookup(num_oov_indices=3, mask_token=7, vocabulary=[40, 1000, 3]),
        _tokens,
        _looked_up([40, 1000, 3], 4, lambda t: 0 if t == 7 else 1 + t % 3),
    ),
    "IntegerLookup-multi_hot": _row(
        lambda: IntegerLookup(vocabulary=_VOCABULARY, output_mode="multi_hot"),
        _tokens,
        lambda layer, x: _counted(layer, x).clamp(max=1),
    ),
    "IntegerLookup-masked": _row(
        lambda: IntegerLookup(
            mask_token=9, vocabulary=_VOCABULARY, output_mode="count", max_tokens=7, pad_to_max_tokens=True
        ),
        _tokens,
        lambda layer, x: F.pad(_counted(layer, x) - torch.eye(5, 5)[0] * (x == 9).sum(1)[:, None], (0, 2)),
    ),
    "IntegerLookup-tf_idf": _row(
        lambda: IntegerLookup(vocabulary=_VOCABULARY, idf_weights=_WEIGHTS, output_mode="tf_idf"),
        _tokens,
        lambda layer, x: _counted(layer, x) * torch.tensor([math.fsum(_WEIGHTS) / 4, *_WEIGHTS]),
    ),
    "IntegerLookup-invert": _row(
        lambda: IntegerLookup(vocabulary=_VOCABULARY, invert=True),
        lambda: (integers(7, 5, 3),),
        lambda layer, x: torch.tensor([-1, *_VOCABULARY, -1, -1])[x],
    ),
    "MelSpectrogram": Row(
        lambda: layers.MelSpectrogram(32, 10, 24, num_mel_bins=4, top_db=30.0), lambda: (numbers(5, 100),), _mel
    ),
    "STFTSpectrogram": Row(
        lambda: layers.STFTSpectrogram("magnitude", 16, data_format="channels_first"),
        lambda: (numbers(5, 2, 50),),
        lambda layer, x: sum(part.square() for part in _framed(layer, x, 8)).clamp_min(1e-7).sqrt().flatten(1, 2),
    ),
    "STFTSpectrogram-stft": Row(
        lambda: layers.STFTSpectrogram("stft", 16, 5, 20, expand_dims=True),
        lambda: (numbers(5, 50, 2),),
        lambda layer, x: torch.cat(_framed(layer, x.mT, 5), 2).permute(0, 3, 2, 1),
    ),
    "Pipeline": Row(
        lambda: layers.Pipeline([layers.Rescaling(2.0, 1.0), layers.Flatten()]),
        lambda: (numbers(5, 3, 2),),
        lambda layer, x: (2 * x + 1).flatten(1),
    ),
}
