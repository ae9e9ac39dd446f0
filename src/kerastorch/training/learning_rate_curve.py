"""LearningRateCurve: the losses of a learning-rate range test, and the rate that it suggests."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import check_writable, parse_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = np.ndarray[Any, np.dtype[np.float64]]

LEAST_LOSSES = 5  # fewer have no slope worth the name
NOISE = 0.75  # the smoothed loss must fall by this multiple of the standard deviation of the losses around it


class LearningRateCurve:
    """Losses over the learning rates of a range test, which `model.find_lr` returns.

    The losses are smoothed on both sides, so that the curve is not shifted to higher rates:
    `smoothed[i] = sum_j(w_ij * losses[j]) / sum_j(w_ij)` with the weights `w_ij = smoothing ** abs(i - j)`. Losses
    after the lowest one count at most as much as the highest before it, because a diverging loss has no bounds.

    The suggestion is the rate at which the smoothed loss falls fastest over the logarithm of the rate, before its
    minimum: the `i` with the lowest `(smoothed[i + 1] - smoothed[i - 1]) / (log(rates[i + 1]) - log(rates[i - 1]))`.
    It is a place to start from, not the best rate (Smith 2017).

    Attributes:
        rates: Learning rate of each batch, a list of floats.
        losses: Loss of each batch before its step, a list of floats.
        smoothed: Smoothed losses, a list of floats.
        suggestion: Rate at which the smoothed loss falls fastest, a float.

    Raises:
        ValueError: There are too few losses, or they do not fall.

    >>> rates = [10.0 ** (exponent / 4) for exponent in range(-24, 5)]
    >>> curve = LearningRateCurve(rates, [2 / (1 + 100 * rate) + rate for rate in rates], smoothing=0.5)
    >>> curve
    LearningRateCurve(29 rates from 1e-06 to 10, suggestion 0.01)
    """

    def __init__(self, rates: list[float], losses: list[float], smoothing: float = 0.9) -> None:
        self.rates, self.losses = list(rates), list(losses)
        lowest, highest = f"{self.rates[0]:.3g}", f"{self.rates[-1]:.3g}"
        if len(self.losses) < LEAST_LOSSES:
            raise ValueError(
                f"find_lr: the loss diverged after {len(self.losses)} batches, at a learning rate of {highest}. Begin "
                f"at a lower rate than min_lr={lowest}."
            )
        values = np.array(self.losses)
        best = int(_smooth(np.minimum(values, values[0]), smoothing).argmin())
        clipped = values.copy()
        clipped[best + 1 :] = np.minimum(values[best + 1 :], values[: best + 1].max())
        smoothed = _smooth(clipped, smoothing)
        self.smoothed: list[float] = smoothed.tolist()
        best = int(smoothed.argmin())
        noise = float(np.std((clipped - smoothed)[: best + 1]))
        if not smoothed[0] - smoothed[best] > NOISE * noise:
            raise ValueError(
                f"find_lr: the loss did not fall at any learning rate from {lowest} to {highest}, from "
                f"{smoothed[0]:.4g} to {smoothed[best]:.4g} at best. Check the range of rates, and whether the model "
                "can learn from these data; if the loss varies much from batch to batch, take larger batches or more "
                "steps."
            )
        slopes = np.gradient(smoothed, np.log(self.rates))
        self.suggestion = self.rates[int(slopes[: best + 1].argmin())]

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Plot the losses over the rates, on a logarithmic scale, with the suggestion (needs matplotlib).

        Args:
            path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved.

        Returns:
            The matplotlib figure, which `plt.show()` shows in a script, and which a notebook displays.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: The suffix of `path` is unknown.
        """
        require_package("LearningRateCurve.plot", "matplotlib")
        from kerastorch.core.pyplot_figure import COLORS, DPI, check_suffix, new_panels

        file = None if path is None else parse_path("path", path)
        if file is not None:
            check_suffix("path", file)
            check_writable(file)
        figure, (axes,) = new_panels(1, 1, 6.0, 3.8)
        axes.plot(self.rates, self.losses, color=COLORS[0], alpha=0.35, label="loss of a batch")
        axes.plot(self.rates, self.smoothed, color=COLORS[0], label="smoothed")
        at = self.rates.index(self.suggestion)
        axes.plot(
            self.suggestion, self.smoothed[at], color=COLORS[1], marker="o", linestyle="none",
            label=f"suggestion: {self.suggestion:.2g}",
        )  # fmt: skip
        axes.set_xscale("log")
        lowest, highest = min(*self.smoothed, *self.losses), max(self.smoothed)
        margin = 0.15 * (highest - lowest)
        axes.set_ylim(lowest - margin, highest + margin)  # a diverging loss would hide the rest of the curve
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.grid(alpha=0.3)
        axes.legend()
        if file is not None:
            figure.savefig(file, dpi=DPI)
        return figure

    def __repr__(self) -> str:
        first, last = self.rates[0], self.rates[-1]
        return (
            f"LearningRateCurve({len(self.rates)} rates from {first:.3g} to {last:.3g}, "
            f"suggestion {self.suggestion:.2g})"
        )


class RunningMean:
    """Exponential mean of the losses so far, to notice that they diverge.

    Args:
        smoothing: Weight of the mean so far, from 0 to 1; its start at 0 is corrected.
        divergence: The losses diverge when their mean is this multiple of its lowest value.
    """

    def __init__(self, smoothing: float, divergence: float) -> None:
        self._smoothing, self._divergence = smoothing, divergence
        self._sum, self._weight, self._lowest = 0.0, 0.0, math.inf

    def diverges(self, loss: float) -> bool:
        """Add a loss; return whether the losses diverge."""
        if not math.isfinite(loss):
            return True
        self._sum = self._smoothing * self._sum + (1 - self._smoothing) * loss
        self._weight = self._smoothing * self._weight + (1 - self._smoothing)
        mean = self._sum / self._weight
        self._lowest = min(self._lowest, mean)
        return mean > self._lowest + (self._divergence - 1) * abs(self._lowest)


def _smooth(values: Numbers, smoothing: float) -> Numbers:
    """Return the means of the values around each value, with weights that decay on both sides."""
    index = np.arange(len(values))
    weights = smoothing ** np.abs(index[:, None] - index)  # (losses, losses)
    smoothed: Numbers = weights @ values / weights.sum(1)
    return smoothed
