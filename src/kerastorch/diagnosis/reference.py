"""A forest of scikit-learn on the same rows: what the inputs say about the targets, and labels that contradict it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from kerastorch.diagnosis.target_facts import class_numbers

Array = np.ndarray[Any, Any]

_MOST_ROWS = 3000
_TREES = 60
_CERTAIN = 0.3  # share of the rows with the most certain predictions
_FEWEST_ROWS = 60


class Reference(NamedTuple):
    """What a forest finds.

    Attributes:
        score: Accuracy, or R², on rows that the trees were not trained on; `None` if it is unknown.
        wrong_labels: Share of the labels that contradict the most certain predictions; `None` for a regression.
        validation_score: The score on the validation rows; `None` without them.
        certain_rows: Number of the rows with the most certain predictions.
        relation: How surely the predictions for unseen rows are related to the targets, in standard errors without a
            relation; `None` if it is unknown.
    """

    score: float | None = None
    wrong_labels: float | None = None
    validation_score: float | None = None
    certain_rows: int = 1
    relation: float | None = None


def fit_reference(x: Array, y: Array, validation: tuple[Array, Array] | None, are_classes: bool) -> Reference:
    """Return what a forest finds that is trained on some of the training rows.

    Each tree is trained on a random sample of the rows, and predicts the others, so that a row's own label does not
    influence its prediction.

    Args:
        x: Training inputs, `(rows, columns)`.
        y: Training targets: class numbers, one-hot rows, or values `(rows,)`.
        validation: Inputs and targets of the validation; `None` if there are none.
        are_classes: Whether the targets are classes.
    """
    values = class_numbers(y) if are_classes else _single(y)
    if values is None or len(values) < _FEWEST_ROWS or len(np.unique(values)) < 2 or not np.isfinite(x).all():
        return Reference()
    rows = np.random.default_rng(0).permutation(len(x))[:_MOST_ROWS]
    forest, unseen = _forest(x[rows], values[rows], are_classes)
    seen_by_others = np.isfinite(unseen).all(axis=1)
    known, predicted = values[rows][seen_by_others], unseen[seen_by_others]
    held = None
    if validation is not None:
        held_values = class_numbers(validation[1]) if are_classes else _single(validation[1])
        if held_values is not None and len(held_values) and np.isfinite(validation[0]).all():
            held = float(forest.score(validation[0][:_MOST_ROWS], held_values[:_MOST_ROWS]))
    if not are_classes:
        error = float(((known - predicted[:, 0]) ** 2).mean() / max(known.var(), 1e-12))
        return Reference(1 - error, None, held, relation=_relation_of_values(predicted[:, 0], known))
    names = forest.classes_[predicted.argmax(axis=1)]
    certain = np.argsort(-predicted.max(axis=1), kind="stable")[: max(20, int(_CERTAIN * len(known)))]
    return Reference(float((names == known).mean()), float((names != known)[certain].mean()), held, len(certain),
                     _relation_of_classes(predicted, known, forest.classes_))  # fmt: skip


def _forest(x: Array, y: Array, are_classes: bool) -> tuple[Any, Array]:
    """Return a forest, and its predictions for each row by the trees that have not seen it, `(rows, outputs)`."""
    import warnings

    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    kind = ExtraTreesClassifier if are_classes else ExtraTreesRegressor
    forest = kind(_TREES, min_samples_leaf=3, max_features="sqrt" if are_classes else 0.5, bootstrap=True,
                  oob_score=True, random_state=0)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a row that all trees have seen
        forest.fit(x, y)
    found = forest.oob_decision_function_ if are_classes else forest.oob_prediction_
    return forest, np.asarray(found, np.float64).reshape(len(x), -1)


def _relation_of_values(predicted: Array, known: Array) -> float:
    """Return the rank correlation (Spearman) divided by its standard error without a relation."""
    from scipy.stats import spearmanr

    if np.ptp(predicted) == 0:
        return 0.0
    return float(spearmanr(predicted, known).statistic) * math.sqrt(len(known) - 1)


def _relation_of_classes(predicted: Array, known: Array, classes: Array) -> float:
    """Return how well the probabilities of a class rank its rows first, the largest of all classes.

    It is the test statistic of Mann and Whitney: the area under the ROC curve minus a half, divided by its standard
    error without a relation.
    """
    from scipy.stats import rankdata

    found = [0.0]
    for column, name in zip(predicted.T, classes, strict=True):
        inside = known == name
        one, other = int(inside.sum()), int((~inside).sum())
        if one and other:
            area = (rankdata(column)[inside].sum() - one * (one + 1) / 2) / (one * other)
            found.append((area - 0.5) / math.sqrt((one + other + 1) / (12 * one * other)))
    return max(found)


def _single(y: Array) -> Array | None:
    """Return targets of one column as `(rows,)`; `None` if there are more columns."""
    return y.reshape(len(y)).astype(np.float64) if y.size == len(y) else None
