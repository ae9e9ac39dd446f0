"""Curves: the training loss and the validation loss of a fit, and robust numbers on their shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kerastorch.diagnosis.settings import FitSettings

Array = NDArray[np.float64]
Logs = Mapping[str, tuple[Sequence[int], Sequence[float]]]  # name -> epochs from 1, and values
_PLAIN = ("data_loss", "loss")  # without penalties, if both are logged
_ACCURACIES = ("accuracy", "acc", "auc", "f1", "precision", "recall")


@dataclass(frozen=True)
class Curve:
    """The values of a log, one for each of its epochs.

    Attributes:
        name: Name of the log.
        epochs: Numbers of the epochs, from 1.
        values: Values, float64.
    """

    name: str
    epochs: NDArray[np.int64]
    values: Array

    @classmethod
    def of(cls, name: str, epochs: Sequence[int], values: Sequence[float]) -> Curve:
        """Return the curve of numbers in any sequence."""
        return cls(name, np.asarray(epochs, np.int64), np.asarray(values, np.float64))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_finite(self) -> bool:
        """Whether no value is NaN or infinite."""
        return bool(np.isfinite(self.values).all())

    @property
    def smooth(self) -> Array:
        """The running median, over 3 to 7 epochs."""
        return running_median(self.values, 3 if len(self) < 20 else 5 if len(self) < 60 else 7)

    @property
    def end(self) -> float:
        """The median of the last epochs."""
        return float(np.median(self.values[-max(1, min(5, len(self) // 8)) :]))

    def last(self, share: float) -> Array:
        """Return the smoothed values of the last epochs, three at least.

        Args:
            share: Part of all epochs.
        """
        return self.smooth[-max(min(3, len(self)), round(share * len(self))) :]


@dataclass(frozen=True)
class Curves:
    """The curves that the rules read.

    Attributes:
        loss: Training loss, without penalties if that is logged.
        validation: The same of the validation; `None` without validation.
        metric: Training values of a metric of which 1 is best, if there is one.
        validation_metric: The same of the validation.
        rates: Learning rates; `None` if they are not logged.
        penalty: Share of the penalties in the training loss at the end; 0 if there are none.
    """

    loss: Curve
    validation: Curve | None
    metric: Curve | None
    validation_metric: Curve | None
    rates: Curve | None
    penalty: float

    @property
    def is_negative(self) -> bool:
        """Whether a loss is below zero, so that losses cannot be compared by their ratio."""
        return any(
            bool((curve.values[np.isfinite(curve.values)] < 0).any())
            for curve in (self.loss, self.validation)
            if curve is not None
        )

    @classmethod
    def of(cls, logs: Logs, output: str = "") -> Curves | None:
        """Return the curves of the logs of a fit; `None` without a training loss.

        Args:
            logs: The logs.
            output: Name of an output whose own loss and metrics are read. Default: those of the whole model.
        """
        prefix = f"{output}_" if output else ""
        name = next((one for one in (prefix + plain for plain in _PLAIN) if len(logs.get(one, ((), ()))[1])), None)
        if name is None:
            return None

        def curve(log: str | None) -> Curve | None:
            found = ((), ()) if log is None else logs.get(log, ((), ()))
            return Curve.of(log or "", *found) if len(found[1]) else None

        shares = [one for one in logs if one.startswith(prefix) and _is_share(one, logs)]
        metric = next((one for one in shares if f"val_{one}" in logs), next(iter(shares), None))
        rates = next((one for one in logs if one.startswith("learning_rate")), None)
        loss, total = curve(name), curve("loss")
        assert loss is not None
        penalty = 0.0
        if name == "data_loss" and total is not None and math.isfinite(total.end) and total.end > 0:
            penalty = max(0.0, 1 - loss.end / total.end)
        validation = curve(f"val_{name}") or (curve("val_loss") if name == "loss" else None)
        return cls(loss, validation, curve(metric), curve(metric and f"val_{metric}"), curve(rates), penalty)


def _is_share(name: str, logs: Logs) -> bool:
    """Return whether a log is a metric of the training that goes from 0 to 1, such as the accuracy."""
    if name.startswith("val_") or not any(word in name for word in _ACCURACIES):
        return False
    values = np.asarray(logs[name][1], np.float64)
    return bool(len(values)) and bool(((values >= 0) & (values <= 1)).all())


def baseline_of(settings: FitSettings) -> float | None:
    """Return the loss of the best constant prediction; `None` if targets or loss are unknown."""
    targets, loss = settings.targets, settings.loss.lower()
    if targets is None or settings.has_class_weight or "+" in loss or "focal" in loss:
        return None
    if "cross" in loss or "nll" in loss or "bce" in loss:
        value = targets.entropy
    elif targets.variance is None:
        return None
    elif ("squared" in loss and "log" not in loss) or loss.startswith("mse"):
        value = targets.variance
    elif ("absolute" in loss and "percent" not in loss) or loss.startswith(("mae", "l1")):
        value = math.sqrt(2 / math.pi * targets.variance)  # of a normal distribution
    else:
        return None
    return value if value else None


def running_median(values: Array, width: int) -> Array:
    """Return the running median of an odd number of values; fewer at the ends."""
    reach = width // 2
    parts = (values[max(0, i - min(reach, i)) : i + 1 + min(reach, i, len(values) - 1 - i)] for i in range(len(values)))
    return np.array([np.median(part[-(2 * min(reach, i) + 1) :]) for i, part in enumerate(parts)])


def late_share(curve: Curve, least: float) -> float:
    """Return the part of the whole fall of a curve that belongs to the last third of the epochs.

    Args:
        curve: A loss.
        least: The fall below which the answer is 0.
    """
    smooth = curve.smooth
    whole = float(smooth[0] - smooth[-1])
    if len(smooth) < 2 or whole <= least:
        return 0.0
    return float(smooth[-1 - max(1, len(smooth) // 3)] - smooth[-1]) / whole


def roughness(values: Array, floor: float) -> float:
    """Return how far values lie from the mean of their neighbors: the median, as a share of their median.

    Trends do not count: a straight line has no roughness.

    Args:
        values: Values of some epochs.
        floor: Least value to divide by.
    """
    if len(values) < 4:
        return 0.0
    bends = np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2)
    return float(np.median(bends) / max(float(np.median(values)), floor, 1e-12))


def trend(values: Array) -> tuple[float, float]:
    """Return Kendall's rank correlation of values with their order (the Mann-Kendall test), and its p-value."""
    if len(values) < 3 or float(np.ptp(values)) == 0:
        return 0.0, 1.0
    from scipy.stats import kendalltau

    result = kendalltau(np.arange(len(values)), values)
    return float(result.statistic), float(result.pvalue)


def slope(values: Array) -> float:
    """Return the median of the slopes between all pairs of values (Theil-Sen), for one epoch."""
    if len(values) < 2:
        return 0.0
    from scipy.stats import theilslopes

    return float(theilslopes(values)[0])
