"""ROC curves and precision-recall curves of a report, as scikit-learn computes them."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from kerastorch.evaluation.predictions import Array, ClassPredictions, LabelPredictions, Predictions
from kerastorch.evaluation.ranking import Ranking


class Curve(NamedTuple):
    """The curve of one class or label against the others.

    Attributes:
        name: Name of the class or label.
        x: False-positive rate, or recall.
        y: True-positive rate, or precision.
        thresholds: Score from which on the class is predicted at each point.
        area: Area under the ROC curve, or average precision.
        share: Fraction of the places that are of this class.
    """

    name: str
    x: Array
    y: Array
    thresholds: Array
    area: float
    share: float


def curves(found: Predictions, kind: str) -> list[Curve]:
    """Return the curves of a classification; those of classes that are absent, or alone, are left out.

    Args:
        found: Predictions with scores. Of two classes, the curve is that of the second.
        kind: `'roc'` or `'precision_recall'`.
    """
    assert isinstance(found, (ClassPredictions, LabelPredictions))
    assert found.scores is not None
    is_binary = found.task == "binary"
    made = []
    for number, name in enumerate(found.names):
        if is_binary and number == 0:
            continue
        y = found.y[:, number] if isinstance(found, LabelPredictions) else found.y == number
        if y.any() and not y.all():
            made.append(_curve(name, y, found.scores[:, number], found.weight, kind))
    return made


def _curve(name: str, y: Array, scores: Array, weight: Array | None, kind: str) -> Curve:
    from sklearn.metrics import precision_recall_curve, roc_curve

    weights = np.ones(len(y)) if weight is None else weight
    areas = [float(one[0]) for one in Ranking(scores, y).areas(weights[None])]
    share = float(np.average(y, weights=weight))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "roc":
            x, high, thresholds = roc_curve(y, scores, sample_weight=weight)
            return Curve(name, x, high, thresholds, areas[0], share)
        precision, recall, thresholds = precision_recall_curve(y, scores, sample_weight=weight, drop_intermediate=True)
    return Curve(name, recall, precision, np.append(thresholds, np.inf), areas[1], share)


def curve_rows(found: Predictions, kind: str) -> list[dict[str, Any]]:
    """Return the points of all curves as rows of a table."""
    x, y = ("false_positive_rate", "true_positive_rate") if kind == "roc" else ("recall", "precision")
    return [
        {"class": one.name, x: float(a), y: float(b), "threshold": float(c)}
        for one in curves(found, kind)
        for a, b, c in zip(one.x, one.y, one.thresholds, strict=True)
    ]
