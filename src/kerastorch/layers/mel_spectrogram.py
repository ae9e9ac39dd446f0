"""MelSpectrogram: sounds as the strength of pitches over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_choice, check_float, check_int, mismatch
from kerastorch.layers.base import Layer
from kerastorch.layers.random_generator import at_least_float32

_WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window}


class MelSpectrogram(Layer):
    """Spectrogram of sounds on the mel scale, in decibels.

    The layer computes a short-time Fourier transform with centered windows and mirrored edges, then magnitudes to a
    power. It sums them over triangles that are equally wide on the mel scale of HTK, `2595 log10(1 + f / 700)`.

    Args:
        fft_length: Size of the Fourier transform.
        sequence_stride: Number of samples between windows.
        sequence_length: Size of a window, at most `fft_length`, which is its default.
        window: `"hann"` or `"hamming"`, a sequence of `sequence_length` numbers, or `None` for no window.
        sampling_rate: Number of samples per second.
        num_mel_bins: Number of pitches.
        min_freq: Lowest frequency, in Hertz.
        max_freq: Highest frequency, in Hertz. Default half the sampling rate.
        power_to_db: Whether the result is in decibels.
        top_db: Lowest result, in decibels below the highest one of the same sound. Keras takes that of the batch.
        mag_exp: Exponent of the magnitudes: 1 for magnitudes, 2 for powers.
        min_power: Smallest power in decibels; smaller ones are set to it.
        ref_power: Power of 0 decibels.
        name: Name of the layer.
        trainable: No effect: the layer has no trained weights.

    Shape: `(..., samples)` -> `(..., num_mel_bins, 1 + samples // sequence_stride)`.

    >>> import torch
    >>> MelSpectrogram(num_mel_bins=40)(torch.zeros(2, 16000)).shape
    torch.Size([2, 40, 32])
    """

    takes_channels_last = True
    _matrix: Tensor
    _window: Tensor

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: str | Sequence[float] | None = "hann",
        sampling_rate: float = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.fft_length = check_int("fft_length", fft_length)
        self.sequence_stride = check_int("sequence_stride", sequence_stride)
        self.sequence_length = check_int("sequence_length", sequence_length or fft_length)
        if self.sequence_length > self.fft_length:
            raise mismatch("sequence_length", sequence_length, f"at most fft_length={fft_length}")
        self.window = check_choice("window", window, _WINDOWS) if isinstance(window, str) else window
        self.sampling_rate = check_float("sampling_rate", sampling_rate, above=0)
        self.num_mel_bins = check_int("num_mel_bins", num_mel_bins)
        self.min_freq = check_float("min_freq", min_freq, least=0)
        self.max_freq = check_float("max_freq", max_freq or self.sampling_rate / 2, above=self.min_freq)
        self.power_to_db = power_to_db
        self.top_db, self.mag_exp = check_float("top_db", top_db), check_float("mag_exp", mag_exp, above=0)
        self.min_power = check_float("min_power", min_power, above=0)
        self.ref_power = check_float("ref_power", ref_power)
        matrix = torch.from_numpy(self._mel_matrix()).to(torch.get_default_dtype())
        self.register_buffer("_matrix", matrix, persistent=False)
        self.register_buffer("_window", self._make_window(), persistent=False)

    def _make_window(self) -> Tensor:
        if isinstance(self.window, str):
            return _WINDOWS[self.window](self.sequence_length)
        if self.window is None:
            return torch.ones(self.sequence_length)
        self.window = [float(number) for number in self.window]
        if len(self.window) != self.sequence_length:
            raise mismatch("window", f"{len(self.window)} numbers", f"sequence_length={self.sequence_length} of them")
        return torch.tensor(self.window)

    def _mel_matrix(self) -> np.ndarray[Any, Any]:
        """Return the share of each frequency in each pitch, `(fft_length // 2 + 1, num_mel_bins)`."""
        frequencies = np.linspace(0, self.sampling_rate / 2, self.fft_length // 2 + 1)
        mels = _to_mel(frequencies)[:, None]
        edges = np.linspace(_to_mel(self.min_freq), _to_mel(self.max_freq), self.num_mel_bins + 2)
        lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
        shares: np.ndarray[Any, Any] = np.minimum(
            (mels - lower) / (center - lower), (upper - mels) / (upper - center)
        ).clip(0)
        shares[0] = 0  # the mean of the sound is no pitch
        return shares

    def forward(self, x: Tensor) -> Tensor:
        dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        sound = x.to(at_least_float32(dtype)).reshape(-1, x.shape[-1])
        spectrum = torch.stft(
            sound,
            self.fft_length,
            self.sequence_stride,
            self.sequence_length,
            self._window.to(sound.dtype),
            return_complex=True,
        )
        power = spectrum.abs() ** self.mag_exp  # (rows, frequencies, time)
        mel = self._matrix.to(power.dtype).T @ power
        if self.power_to_db:
            mel = self._to_decibels(mel)
        return mel.reshape(*x.shape[:-1], *mel.shape[1:]).to(dtype)

    def _to_decibels(self, power: Tensor) -> Tensor:
        """Return decibels, at least `top_db` below the highest value of each row; `power` is `(rows, ...)`."""
        reference = max(abs(self.ref_power), self.min_power)
        decibels = 10 * (power.clamp_min(self.min_power) / reference).log10()
        return torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - self.top_db)

    def extra_repr(self) -> str:
        return f"{self.num_mel_bins} pitches, fft_length={self.fft_length}, sequence_stride={self.sequence_stride}"


def _to_mel(frequency: Any) -> Any:
    return 2595.0 * np.log10(1 + np.asarray(frequency, dtype=np.float64) / 700)
