"""MonitorCallback and PatienceCallback, bases of callbacks that follow a log, and how it is read and compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.log_values import monitored_value
from kerastorch.core.errors import check_float, unknown, warn

MODES = ("auto", "min", "max")
_UP = (
    "acc", "auc", "auroc", "average_precision", "cosine_similarity", "dice", "explained_variance", "f1", "iou",
    "jaccard", "kappa", "map", "matthews", "pearson", "precision", "r2", "recall", "roc", "score", "sensitivity",
    "spearman", "specificity", "top_k", "top_5", "top5",
)  # fmt: skip
_DOWN = (
    "loss", "error", "mse", "mae", "rmse", "mape", "msle", "hinge", "crossentropy", "cross_entropy", "divergence",
    "kld", "perplexity", "poisson", "huber", "logcosh", "log_cosh", "distance",
)  # fmt: skip


class MonitorCallback(Callback):
    """Base of the callbacks that follow one log and its best value.

    Args:
        monitor: Name of the log.
        mode: `'min'` if smaller is better, `'max'` if larger is better, `'auto'` to infer it from the metric or name.

    Attributes:
        best: Best value so far; `None` before the first value.

    Raises:
        ValueError: `mode` is unknown.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor: str = monitor
        self.mode = check_mode(mode)
        self._reset()

    def _reset(self) -> None:
        """Forget all values, as before the first epoch."""
        self._seen = False  # whether the log had a value; the key of states in checkpoints
        self.best: float | None = None

    def _find_sign(self) -> None:
        """Determine whether larger or smaller values are better, for the model of this `fit`."""
        self._sign = monitor_sign(self.monitor, self.mode, self.model)

    def _read(self, epoch: int, logs: Mapping[str, Any]) -> float | None:
        """Return the value of the log; `None` after an epoch without validation."""
        value = read_monitor(type(self).__name__, self.monitor, epoch, logs)
        self._seen = self._seen or value is not None
        return value

    def _warn_if_never_logged(self, logs: Mapping[str, Any] | None) -> None:
        """Warn at the end of training if the log never had a value.

        Args:
            logs: Logs of the last epoch, empty or `None` if no epoch was completed.
        """
        if logs and not self._seen:
            warn(f"{type(self).__name__}: {self.monitor} was never logged; logged were {', '.join(logs)}.")


class PatienceCallback(MonitorCallback):
    """Base of the callbacks that count the epochs since a log last improved.

    Args:
        monitor: Name of the log.
        mode: `'min'` if smaller is better, `'max'` if larger is better, `'auto'` to infer it from the metric or name.
        min_delta: Smallest change that counts as an improvement.

    Attributes:
        best: Best value so far; `None` before the first value.
        wait: Number of epochs in a row since `best` last improved and, if there is a `baseline`, beat it.

    Raises:
        ValueError: `mode` is unknown, or `min_delta` is not a finite number.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        super().__init__(monitor, mode)
        self.min_delta = abs(check_float("min_delta", min_delta))

    def _reset(self) -> None:
        super()._reset()
        self.wait = 0

    def _update(self, value: float, baseline: float | None = None) -> bool:
        """Update `best` and `wait` with the value of an epoch, and return whether it is the best.

        Args:
            value: Value of the log.
            baseline: Value that must be beaten, too, before `wait` starts again at 0.
        """
        self.wait += 1
        if not is_improvement(value, self.best, self._sign, self.min_delta):
            return False
        self.best = value
        if is_improvement(value, baseline, self._sign, self.min_delta):
            self.wait = 0
        return True


def monitor_sign(monitor: str, mode: str, model: object) -> int:
    """Return 1 if a larger value of a log is better, -1 if a smaller value is better.

    With `mode='auto'` the metric of that name decides, then words in the name.

    Args:
        monitor: Name of the log.
        mode: One of `MODES`.
        model: Its `metric_directions` are read, if it has any.

    Raises:
        ValueError: `mode='auto'`, and neither the metric nor the name decides.
    """
    if mode != "auto":
        return 1 if mode == "max" else -1
    name = monitor.removeprefix("val_")
    larger_is_better = metric_directions(model).get(name)
    if larger_is_better is not None:
        return 1 if larger_is_better else -1
    if any(word in name for word in _DOWN):
        return -1
    if any(word in name for word in _UP):
        return 1
    raise ValueError(f"It is not known whether a larger {monitor!r} is better; pass mode='min' or mode='max'.")


def metric_directions(model: object) -> dict[str, bool]:
    """Return the metrics of a model, each with whether larger is better; none if it is not compiled."""
    try:
        return dict(getattr(model, "metric_directions", {}))
    except RuntimeError:
        return {}


def check_mode(mode: Any) -> str:
    """Return `mode`, checked to be one of `MODES`."""
    if mode not in MODES:
        raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}.")
    return str(mode)


def is_improvement(value: float, reference: float | None, sign: int, min_delta: float = 0.0) -> bool:
    """Return whether a value is better than a reference by more than `min_delta`.

    NaN is never better; every other value is better than `None`.

    Args:
        value: Value to judge.
        reference: Value to compare with; `None` if there is none yet.
        sign: 1 if larger is better, -1 if smaller is better.
        min_delta: Smallest change that counts.
    """
    if math.isnan(value):
        return False
    return reference is None or sign * value - min_delta > sign * reference


def read_monitor(who: str, monitor: str, epoch: int, logs: Mapping[str, Any]) -> float | None:
    """Return the value of a monitored log; `None` after an epoch without validation.

    Args:
        who: Class name of the callback, for messages.
        monitor: Name of the log.
        epoch: Number of the epoch, from 0.
        logs: Logs of the epoch.

    Raises:
        ValueError: The log is missing and is not one of the validation, or its value is not a number.

    Warns:
        UserWarning: The value is NaN.
    """
    if monitor not in logs:
        if not monitor.startswith("val_"):
            raise unknown("metric", monitor, logs)
        return None
    value = monitored_value(who, monitor, logs[monitor])
    if math.isnan(value):
        warn(f"{who}: {monitor} is NaN in epoch {epoch + 1}.")
    return value
