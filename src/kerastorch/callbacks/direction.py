"""Which way a monitored quantity gets better."""

from __future__ import annotations

from typing import Any

_UP = (
    "acc", "auc", "auroc", "average_precision", "cosine_similarity", "dice", "explained_variance", "f1", "iou",
    "jaccard", "kappa", "map", "matthews", "pearson", "precision", "r2", "recall", "roc", "score", "sensitivity",
    "spearman", "specificity", "top_k", "top_5", "top5",
)  # fmt: skip
_DOWN = (
    "loss", "error", "mse", "mae", "rmse", "mape", "msle", "hinge", "crossentropy", "cross_entropy", "divergence",
    "kld", "perplexity", "poisson", "huber", "logcosh", "log_cosh", "distance",
)  # fmt: skip


def direction(monitor: str, mode: str, model: Any) -> int:
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
