"""Metrics by name, as scikit-learn has them."""

from __future__ import annotations

import numpy as np
from sklearn import metrics as sk
from torch import Tensor

from fuzz.case import Output
from fuzz.losses import LOSSES


def score(name: str, output: Output, out: Tensor, meant: Tensor) -> float:
    """A metric of all rows."""
    if output.task == "classes":
        return _classes(name, output, out, meant)
    y, values = meant.flatten(1).numpy().astype(np.float64), out.flatten(1).numpy() if out.ndim > 1 else out[:, None]
    values = np.asarray(values, dtype=np.float64)
    return _values(name, y, values) if output.task == "values" else _binary(name, output, y, values)


def _values(name: str, y: np.ndarray, values: np.ndarray) -> float:
    functions = {
        "mae": sk.mean_absolute_error,
        "mse": sk.mean_squared_error,
        "rmse": lambda one, other: sk.mean_squared_error(one, other) ** 0.5,
        "mape": lambda one, other: 100 * np.mean(np.abs(one - other) / np.maximum(np.abs(one), 1e-7)),  # Keras' least
        "r2": lambda one, other: sk.r2_score(one, other) if len(one) > 1 else float("nan"),
    }
    return float(functions[name](y, values))


def _binary(name: str, output: Output, y: np.ndarray, values: np.ndarray) -> float:
    limit = 0.0 if LOSSES[output.loss].tells == "logit" else 0.5
    labels, chosen = y > 0, values > limit
    if name in ("accuracy", "binary_accuracy"):
        return float((labels == chosen).mean())
    labels, chosen = labels.squeeze(1), chosen.squeeze(1)
    if name == "auc":
        return float(sk.roc_auc_score(labels, values.squeeze(1))) if 0 < labels.sum() < len(labels) else 0.0
    function = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}[name]
    return float(function(labels, chosen, zero_division=0))


def _classes(name: str, output: Output, out: Tensor, meant: Tensor) -> float:
    scores = out.movedim(1, -1).flatten(0, -2).numpy()
    y, ignored = meant.flatten().numpy(), LOSSES[output.loss].ignored
    if ignored is not None:
        scores, y = scores[y != ignored], y[y != ignored]
    if not len(y):  # of no rows: 0, as torchmetrics, or not a number
        return 0.0 if name == "accuracy" else float("nan")
    chosen = scores.argmax(1)
    if name == "top_2_accuracy":
        return float(np.mean([label in row.argsort()[-2:] for label, row in zip(y, scores, strict=True)]))
    if name == "f1":
        if output.width == 2:
            return float(sk.f1_score(y, chosen, zero_division=0))
        return float(sk.f1_score(y, chosen, average="macro", zero_division=0))
    return float((chosen == y).mean())
