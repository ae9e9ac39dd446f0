"""Fourier transforms; complex numbers are pairs of tensors, real and imaginary parts, as in Keras."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice
from kerastorch.ops.conversion import as_float, to_tensor, to_tensors
from kerastorch.ops.recording import op

__all__ = ["fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft"]


def _complex(x: Any) -> Tensor:
    """Return the complex tensor of two parts."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError("x must be a tuple of two tensors, the real and the imaginary parts.")
    real, imaginary = to_tensors(*x)
    if real.shape != imaginary.shape or not (real.is_floating_point() and imaginary.is_floating_point()):
        raise ValueError(
            "The real and the imaginary parts must be floats of one shape, got "
            f"{real.dtype} of shape {tuple(real.shape)} and {imaginary.dtype} of shape {tuple(imaginary.shape)}."
        )
    return torch.complex(real, imaginary)


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.real, x.imag


@op
def fft(x: Any) -> tuple[Tensor, Tensor]:
    """Return the Fourier transform along the last axis, of a pair of tensors."""
    return _parts(torch.fft.fft(_complex(x)))


@op
def fft2(x: Any) -> tuple[Tensor, Tensor]:
    """Return the Fourier transform along the last two axes, of a pair of tensors."""
    return _parts(torch.fft.fft2(_complex(x)))


@op
def ifft2(x: Any) -> tuple[Tensor, Tensor]:
    """Return the inverse of `fft2`."""
    return _parts(torch.fft.ifft2(_complex(x)))


@op
def rfft(x: Any, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the Fourier transform of real numbers along the last axis: the frequencies that are not negative.

    Args:
        x: A tensor.
        fft_length: The size to which the axis is cut, or filled with zeros. Default: its size.
    """
    return _parts(torch.fft.rfft(as_float(to_tensor(x)), n=fft_length))


@op
def irfft(x: Any, fft_length: int | None = None) -> Tensor:
    """Return the inverse of `rfft`, real numbers.

    Args:
        x: A pair of tensors.
        fft_length: The size of the last axis of the result. Default: twice the number of frequencies, minus 2.
    """
    return torch.fft.irfft(_complex(x), n=fft_length)


def _window(window: Any, length: int, like: Tensor) -> Tensor:
    """Return a window by its name, as a tensor, or ones for `None`."""
    if window is None:
        return like.new_ones(length)
    if isinstance(window, str):
        name = check_choice("window", window, ("hann", "hamming"))
        make = torch.hann_window if name == "hann" else torch.hamming_window
        return make(length, dtype=like.dtype, device=like.device)
    found = to_tensor(window, like.dtype, like.device)
    if tuple(found.shape) != (length,):
        raise ValueError(f"window has shape {tuple(found.shape)}, and sequence_length is {length}.")
    return found


@op
def stft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> tuple[Tensor, Tensor]:
    """Return the Fourier transforms of windows along the last axis: `(..., n)` -> `(..., windows, frequencies)`.

    Args:
        x: Floats.
        sequence_length: The size of a window.
        sequence_stride: The distance of the first elements of windows.
        fft_length: The size of a transform, at least that of a window.
        window: `"hann"`, `"hamming"`, a tensor of weights, or `None`.
        center: Whether the first window is centered on the first element, with mirrored elements before it.
    """
    x = to_tensor(x)
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"stft takes float32 or float64, got {x.dtype}.")
    if fft_length < sequence_length:
        raise ValueError(f"stft: fft_length={fft_length} is below sequence_length={sequence_length}.")
    found = torch.stft(
        x.reshape(-1, x.shape[-1]),
        n_fft=fft_length,
        hop_length=sequence_stride,
        win_length=sequence_length,
        window=_window(window, sequence_length, x),
        center=center,
        return_complex=True,
    ).transpose(-1, -2)
    return _parts(found.reshape(*x.shape[:-1], *found.shape[-2:]))


@op
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """Return the inverse of `stft`: windows that overlap are added up, and divided by the sum of squared weights.

    Args:
        x: A pair of tensors, `(..., windows, frequencies)`.
        sequence_length: As in `stft`.
        sequence_stride: As in `stft`.
        fft_length: As in `stft`.
        length: The size of the last axis of the result. Default: what the windows cover.
        window: As in `stft`.
        center: As in `stft`.
    """
    windows = torch.fft.irfft(_complex(x), n=fft_length)
    weights = _window(window, sequence_length, windows)
    before = (fft_length - sequence_length) // 2
    weights = F.pad(weights, (before, fft_length - sequence_length - before))
    n = windows.shape[-2]
    total = (n - 1) * sequence_stride + fft_length
    start = fft_length // 2 if center else 0
    inside = slice(start, start + length if length is not None else total - start)
    if window is None:
        return _overlap(windows, sequence_stride)[..., inside]
    if center:
        squares = _overlap((weights**2).expand(n, -1), sequence_stride)
        return _overlap(windows * weights, sequence_stride)[..., inside] / squares[inside]
    # at the ends some windows are missing, and the weights of the others may be 0: the sum is that of all windows
    padded = F.pad(weights**2, (0, -fft_length % sequence_stride)).reshape(-1, sequence_stride)
    squares = padded.sum(0).repeat(len(padded))[:fft_length]
    return _overlap(windows * (weights / squares), sequence_stride)[..., inside]


def _overlap(windows: Tensor, stride: int) -> Tensor:
    """Return the sums of windows at a distance: `(..., windows, size)` -> `(..., n)`."""
    *batch, n, size = windows.shape
    total = (n - 1) * stride + size
    at = (
        torch.arange(n, device=windows.device)[:, None] * stride + torch.arange(size, device=windows.device)
    ).flatten()
    return windows.new_zeros(*batch, total).index_add(-1, at, windows.reshape(*batch, n * size))
