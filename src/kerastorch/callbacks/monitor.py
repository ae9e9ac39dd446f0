"""A monitored quantity: its value, which way it gets better, and whether it did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.log_values import monitored
from kerastorch.core.errors import unknown, warn

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


def monitor_sign(monitor: str, mode: str, model: Any) -> int:
    """1 if larger is better, -1 if smaller; `'auto'` asks the metric itself, then the name.

    Raises:
        ValueError: `mode='auto'` and nothing tells.
    """
    if mode != "auto":
        return 1 if mode == "max" else -1
    name = monitor.removeprefix("val_")
    told = getattr(model, "metric_directions", {}).get(name)
    if told is not None:
        return 1 if told else -1
    if any(word in name for word in _DOWN):
        return -1
    if any(word in name for word in _UP):
        return 1
    raise ValueError(f"Whether a larger {monitor!r} is better is not known; pass mode='min' or mode='max'.")


def check_mode(mode: Any) -> str:
    """`mode`, one of `MODES`."""
    if mode not in MODES:
        raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}.")
    return str(mode)


def is_improvement(value: float, reference: float | None, sign: int, min_delta: float = 0.0) -> bool:
    """Whether `value` beats `reference` by more than `min_delta`; anything beats `None`, NaN nothing."""
    if math.isnan(value):
        return False
    return reference is None or sign * value - min_delta > sign * reference


def read_monitor(who: str, monitor: str, epoch: int, logs: Mapping[str, Any]) -> float | None:
    """The monitored value, with a warning if it is NaN; `None` after an epoch without validation.

    Raises:
        ValueError: it is no validation's, and was not logged; it is not a number.
    """
    if monitor not in logs:
        if not monitor.startswith("val_"):
            raise unknown("metric", monitor, logs)
        return None
    value = monitored(who, monitor, logs[monitor])
    if math.isnan(value):
        warn(f"{who}: {monitor} is NaN in epoch {epoch + 1}.")
    return value


def never_logged(who: str, monitor: str, logs: Mapping[str, Any]) -> None:
    """Warn, when training ends, that what was to be monitored never came."""
    warn(f"{who}: {monitor} was never logged; logged were {', '.join(logs)}.")
