"""STFTSpectrogram: sounds as the strength, or the complex amplitude, of frequencies over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch.core.channel_tracking import Channels
from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.layers.padding import fixed_padding, pad_input
from kerastorch.layers.spatial import Spatial

_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
_WINDOWS: dict[str, Callable[..., Tensor]] = {
    name: getattr(torch.signal.windows, name)
    for name in ("hann", "hamming", "blackman", "bartlett", "cosine", "nuttall")
}
_EPSILON = 1e-7  # Keras' smallest power and magnitude


class STFTSpectrogram(Spatial):
    """Short-time Fourier transform of each channel, as two convolutions whose kernels begin as cosines and sines.

    The kernels are trained like other weights; `trainable=False` leaves the Fourier transform as it is.

    Args:
        mode: The output: `"log"` of the magnitude, `"magnitude"`, `"psd"` (power, doubled except at the lowest and the
            highest frequency), `"real"`, `"imag"`, `"angle"`, or `"stft"`, the real and then the imaginary parts.
        frame_length: Number of samples of a window.
        frame_step: Number of samples between windows, at most `frame_length`. Default half of it.
        fft_length: Size of the Fourier transform, at least `frame_length`. Default the next power of two.
        window: `"hann"`, `"hamming"`, `"blackman"`, `"bartlett"`, `"cosine"` or `"nuttall"`, a sequence of
            `frame_length` numbers, or `None` for no window, which is not scaled.
        periodic: Whether a window by name is that of one period. Default `False`, a symmetric window.
        scaling: The kernels are divided by the norm of the window for `"density"`, or by its sum for `"spectrum"`.
            `None` leaves them as they are.
        padding: `"valid"` for whole windows only, or `"same"` for `ceil(time / frame_step)` windows.
        expand_dims: Whether the output has an axis of its own for the frequencies, as images do.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        name: Name of the layer.
        trainable: Whether the kernels are trained.

    Shape: with channels last, `(batch, time, channels)` -> `(batch, windows, channels * frequencies)`, or
    `(batch, windows, frequencies, channels)` with `expand_dims`; with channels first, `(batch, channels, time)` ->
    `(batch, channels * frequencies, windows)`, or `(batch, channels, windows, frequencies)`. There are
    `fft_length // 2 + 1` frequencies, or twice as many for `"stft"`.

    >>> STFTSpectrogram(frame_length=64)(torch.zeros(2, 640, 1)).shape
    torch.Size([2, 19, 33])
    """

    rank = 1
    real_kernel: nn.Parameter
    imag_kernel: nn.Parameter

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: str | Sequence[float] | None = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.mode = check_choice("mode", mode, _MODES)
        self.frame_length = check_int("frame_length", frame_length)
        self.frame_step = check_int("frame_step", max(1, self.frame_length // 2) if frame_step is None else frame_step)
        if self.frame_step > self.frame_length:
            raise mismatch("frame_step", frame_step, f"at most frame_length={frame_length}")
        next_power = 2 ** math.ceil(math.log2(self.frame_length))
        self.fft_length = check_int("fft_length", next_power if fft_length is None else fft_length)
        if self.fft_length < self.frame_length:
            raise mismatch("fft_length", fft_length, f"at least frame_length={frame_length}")
        self.window = check_choice("window", window, _WINDOWS) if isinstance(window, str) else _numbers(window)
        if self.window is not None and not isinstance(self.window, str) and len(self.window) != self.frame_length:
            raise mismatch("window", f"{len(self.window)} numbers", f"frame_length={frame_length} of them")
        self.periodic = periodic
        self.scaling = None if scaling is None else check_choice("scaling", scaling, ("density", "spectrum"))
        self.padding = check_choice("padding", padding, ("valid", "same"))
        self.expand_dims = expand_dims

    def build(self, input_shape: torch.Size) -> None:
        """Create the kernels, `(frequencies, 1, frame_length)`; a mode with one part has one of them."""
        channels, (time,) = self.channels_and_sizes(input_shape)
        if self.padding == "valid" and -1 < time < self.frame_length:
            raise ValueError(
                f"{self.display_name()} has windows of {self.frame_length} samples and inputs of {time} in {channels} "
                f"channels, as it takes {self.expected_axes()}: nothing would come out. {self.other_format_advice()}"
            )
        shape = (self.fft_length // 2 + 1, 1, self.frame_length)
        if self.mode != "imag":
            self.real_kernel = self.add_weight(shape, lambda weight: weight.copy_(self._fourier_kernel(torch.cos)))
        if self.mode != "real":
            self.imag_kernel = self.add_weight(shape, lambda weight: weight.copy_(self._fourier_kernel(torch.sin)))

    def _fourier_kernel(self, wave: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the windows of `wave(-2 pi f t)`, `(frequencies, 1, frame_length)`, in float64."""
        # f * t as integers modulo a period, so that no digits are lost for long windows
        turns = torch.arange(self.fft_length // 2 + 1)[:, None] * torch.arange(self.frame_length)
        # Keras takes the period of the transform that has as many frequencies, which is an even number
        period = 2 * (self.fft_length // 2)
        kernel = wave(-2 * math.pi * (turns % period).double() / period)
        window = self._window_values()
        if window is None:
            return kernel[:, None]
        if self.scaling is not None:
            window = window / (window.norm() if self.scaling == "density" else window.abs().sum())
        return (kernel * window)[:, None]

    def _window_values(self) -> Tensor | None:
        if isinstance(self.window, str):
            return _WINDOWS[self.window](self.frame_length, sym=not self.periodic, dtype=torch.float64)
        return None if self.window is None else torch.tensor(self.window, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        x = self.to_channels_first(x)
        padding = fixed_padding(self.padding, (self.frame_length,), (self.frame_step,))
        rows, amount = pad_input(x.reshape(-1, 1, x.shape[-1]), padding, (self.frame_length,), (self.frame_step,))
        parts = [
            F.conv1d(rows, kernel, stride=self.frame_step, padding=amount).unflatten(0, (-1, x.shape[1]))
            for kernel in self.parameters()
        ]  # each (batch, channels, frequencies, windows)
        y = self._combine(parts)
        if self.expand_dims:
            return self.from_channels_first(y.transpose(2, 3))
        return self.from_channels_first(y.flatten(1, 2))

    def _combine(self, parts: list[Tensor]) -> Tensor:
        """Return the output of the mode from the real and imaginary parts, or from the one that there is."""
        if self.mode in ("real", "imag"):
            return parts[0]
        real, imaginary = parts
        if self.mode == "angle":
            return torch.atan2(imaginary, real)
        if self.mode == "stft":
            return torch.cat(parts, 2)
        power = real.square() + imaginary.square()
        if self.mode == "psd":
            return power + F.pad(power[:, :, 1:-1], (0, 0, 1, 1))
        magnitude = power.clamp_min(_EPSILON).sqrt()
        return magnitude.log() if self.mode == "log" else magnitude

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return the channel axis of the output, which `data_format` determines."""
        return Channels(-1 if self._is_channels_last else 1, 4 if self.expand_dims else 3, self.display_name())

    def extra_repr(self) -> str:
        return f"{self.mode}, frame_length={self.frame_length}, frame_step={self.frame_step}"


def _numbers(window: Sequence[float] | None) -> list[float] | None:
    """Return a window as a list of floats, which a config can hold."""
    return None if window is None else [float(number) for number in window]
