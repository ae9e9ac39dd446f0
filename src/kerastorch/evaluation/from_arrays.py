"""Conversion of arrays of targets and predictions, from any library, to predictions of a report."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerastorch.core.errors import shown
from kerastorch.evaluation.from_outputs import given_names
from kerastorch.evaluation.predictions import (
    Array,
    ClassPredictions,
    LabelPredictions,
    Predictions,
    Task,
    ValuePredictions,
)
from kerastorch.evaluation.score_reader import checked_probabilities, sigmoid, softmax
from kerastorch.evaluation.slices import texts_of_numbers
from kerastorch.plots.arrays import check_same_rows, to_array
from kerastorch.plots.labels import check_same_kind

MOST_CLASSES = 100  # different integers that are taken for classes


def from_arrays(
    y_true: Any,
    y_pred: Any,
    weight: Any,
    *,
    task: Task | None,
    names: tuple[str, ...] | None,
    from_logits: bool,
    threshold: float,
) -> Predictions:
    """Return the predictions that two arrays describe.

    Args:
        y_true: Class numbers or names, one-hot rows, zeros and ones, or values.
        y_pred: Probabilities, logits, class numbers or names, or values.
        weight: Sample weights `(rows,)`, or `None`.
        task: The task; `None` to infer it.
        names: Names of classes, labels or columns.
        from_logits: Whether `y_pred` holds logits.
        threshold: Probability above which the second class, or a label, is predicted.

    Raises:
        ValueError: The arrays do not fit each other or the task.
    """
    true, predicted = _without_column(to_array("y_true", y_true)), _without_column(to_array("y_pred", y_pred))
    check_same_rows("y_true", len(true), "y_pred", len(predicted))
    for name, one in (("y_true", true), ("y_pred", predicted)):
        if one.dtype.kind == "f" and not np.isfinite(one).all():
            rows = ~np.isfinite(one).reshape(len(one), -1).all(1)
            raise ValueError(
                f"{name} contains NaN or infinity in {int(rows.sum())} of {len(one)} rows, first in row "
                f"{int(rows.argmax())}."
            )
    weights = None if weight is None else _weights(weight, len(true))
    if true.ndim > 2 or predicted.ndim > 2:
        raise ValueError(
            f"y_true and y_pred must have the shape (rows,) or (rows, columns), got {true.shape} and "
            f"{predicted.shape}. For pixels or steps, flatten them: y_pred.reshape(-1, classes)."
        )
    task = _find_task(true, predicted, from_logits) if task is None else task
    if task == "regression":
        return _values(true, predicted, weights, names)
    if task == "multilabel":
        return _labels(true, predicted, weights, names, from_logits, threshold)
    return _classes(task, true, predicted, weights, names, from_logits, threshold)


def _without_column(array: Array) -> Array:
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _weights(weight: Any, n_rows: int) -> Array:
    weights = _without_column(to_array("sample_weight", weight))
    if weights.shape != (n_rows,):
        raise ValueError(f"sample_weight must have the shape ({n_rows},), got {weights.shape}.")
    weights = weights.astype(np.float64)
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0):
        raise ValueError("sample_weight must hold finite numbers >= 0, not all of them 0.")
    return weights


def _is_one_hot(true: Array) -> bool:
    return bool(true.dtype.kind != "U" and np.isin(true, (0, 1)).all() and (true.sum(1) == 1).all())


def _find_task(true: Array, predicted: Array, from_logits: bool) -> Task:
    """Return the task that two arrays show.

    Raises:
        ValueError: They fit several tasks.
    """
    if true.ndim < predicted.ndim:
        return "multiclass" if predicted.shape[1] > 2 else "binary"
    if true.dtype.kind == "U" or predicted.dtype.kind == "U":
        return "binary" if predicted.dtype.kind == "f" else "multiclass"
    are_zero_or_one = bool(np.isin(true, (0, 1)).all())
    are_probabilities = from_logits or bool(predicted.min() >= 0 and predicted.max() <= 1)
    if true.ndim == 2:
        if _is_one_hot(true) and (from_logits or bool((np.abs(predicted.sum(1) - 1) < 1e-2).all())):
            return "multiclass"
        return "multilabel" if are_zero_or_one and are_probabilities else "regression"
    are_integers = true.dtype.kind in "biu"
    if are_probabilities and (are_zero_or_one or (are_integers and len(np.unique(true)) == 2)):
        return "binary"
    if are_integers and predicted.dtype.kind in "biu":
        return _of_integers(true)
    _check_no_class_numbers(true, predicted)
    if are_zero_or_one:
        raise ValueError(
            f"y_true holds zeros and ones, and y_pred values from {predicted.min():.3g} to {predicted.max():.3g}. Pass "
            "from_logits=True if they are logits, or task='regression'."
        )
    return "regression"


def _check_no_class_numbers(true: Array, predicted: Array) -> None:
    """Raise an error if whole numbers that are stored as floats may be classes.

    Raises:
        ValueError: Targets and predictions are whole, and some targets are equal.
    """
    if not all(one.dtype.kind != "f" or bool((one == np.round(one)).all()) for one in (true, predicted)):
        return
    count = len(np.unique(true))
    if count <= MOST_CLASSES and count < len(true):
        raise ValueError(
            f"y_true and y_pred hold whole numbers, not both as integers, and y_true has {count} values: classes or "
            "values? Pass task='multiclass' if they are classes, task='regression' if they are values."
        )


def _of_integers(true: Array) -> Task:
    """Return the task if targets and predictions are integers: they are classes, unless there are too many.

    Raises:
        ValueError: There are many different integers, which may be values.
    """
    count = len(np.unique(true))
    if count > MOST_CLASSES:
        raise ValueError(
            f"y_true and y_pred are integers, and y_true has {count} different ones. Pass task='regression' if they "
            "are values, task='multiclass' if they are classes."
        )
    return "multiclass"


def _values(true: Array, predicted: Array, weight: Array | None, names: tuple[str, ...] | None) -> ValuePredictions:
    if true.shape != predicted.shape or true.dtype.kind == "U" or predicted.dtype.kind == "U":
        raise ValueError(
            f"regression needs numbers of equal shapes, got y_true {shown(true)}, y_pred {shown(predicted)}."
        )
    y, found = (one.reshape(len(one), -1).astype(np.float64) for one in (true, predicted))
    default = [""] if y.shape[1] == 1 else None
    return ValuePredictions(
        names=given_names(names, y.shape[1], "columns", default), n_rows=len(y), weight=weight, y=y, predicted=found
    )


def _labels(
    true: Array,
    predicted: Array,
    weight: Array | None,
    names: tuple[str, ...] | None,
    from_logits: bool,
    threshold: float,
) -> LabelPredictions:
    if true.ndim != 2 or true.shape != predicted.shape or not np.isin(true, (0, 1)).all():
        raise ValueError(
            f"a multilabel task needs zeros and ones of shape (rows, labels) and predictions of the same shape, got "
            f"y_true {shown(true)} and y_pred {shown(predicted)}."
        )
    scores = _unit_interval(predicted.astype(np.float64), from_logits)
    return LabelPredictions(
        names=given_names(names, true.shape[1], "labels"), n_rows=len(true), weight=weight, y=true > 0,
        predicted=scores > threshold, scores=scores, are_probabilities=True,
    )  # fmt: skip


def _unit_interval(predicted: Array, from_logits: bool) -> Array:
    """Return probabilities of yes-or-no questions.

    Raises:
        ValueError: They are outside of 0..1.
    """
    if from_logits:
        return sigmoid(predicted)
    if predicted.min() < 0 or predicted.max() > 1:
        raise ValueError(
            f"y_pred should hold probabilities, and has values from {predicted.min():.3g} to {predicted.max():.3g}. "
            "Pass from_logits=True if they are logits."
        )
    return predicted


def _classes(
    task: Task,
    true: Array,
    predicted: Array,
    weight: Array | None,
    names: tuple[str, ...] | None,
    from_logits: bool,
    threshold: float,
) -> ClassPredictions:
    """Return classes from the probability of the second class, probabilities of all classes, or predicted classes."""
    if true.ndim == 2:
        if not _is_one_hot(true):
            raise ValueError("y_true must hold class numbers or names, shape (rows,), or one-hot rows.")
        true = true.argmax(1)
    scores, only_second = None, predicted.ndim == 1 and (from_logits or predicted.dtype.kind == "f")
    if predicted.ndim == 2:
        outputs = predicted.astype(np.float64)
        scores = softmax(outputs) if from_logits else checked_probabilities(outputs)
    elif task == "binary" and only_second:
        second = _unit_interval(predicted.astype(np.float64), from_logits)
        scores = np.stack((1 - second, second), -1)
        true, names = _two_classes(true, names)
    else:
        check_same_kind(true, predicted)
    y, numbers, names = _class_numbers(true, predicted if scores is None else None, names, scores)
    if scores is not None:
        numbers = (scores[:, 1] > threshold).astype(np.int64) if len(names) == 2 else scores.argmax(1)
    return ClassPredictions(
        names=names, n_rows=len(y), weight=weight, y=y, predicted=numbers, scores=scores,
        are_probabilities=scores is not None,
    )  # fmt: skip


def _two_classes(true: Array, names: tuple[str, ...] | None) -> tuple[Array, tuple[str, ...] | None]:
    """Return two classes other than 0 and 1, such as -1 and 1, as 0 and 1, with their names; the larger one is 1.

    Raises:
        ValueError: There are more than two classes.
    """
    found = np.unique(true)
    if true.dtype.kind == "U" or np.isin(found, (0, 1)).all():
        return true, names
    if len(found) != 2:
        raise ValueError(
            f"y_true has {len(found)} classes, and y_pred the probability of one. Pass a column for each class."
        )
    return np.searchsorted(found, true), names or tuple(texts_of_numbers(found))


def _class_numbers(
    true: Array, predicted: Array | None, names: tuple[str, ...] | None, scores: Array | None
) -> tuple[Array, Array, tuple[str, ...]]:
    """Return true and predicted classes as numbers from 0, and the names of the classes.

    Classes that are numbers have their own number in the order of the columns; names are found in `class_names`, or
    sorted.

    Raises:
        ValueError: A class is in no column, or has no name.
    """
    both = true if predicted is None else np.concatenate([true, predicted.astype(true.dtype)])
    found = np.unique(both)
    if true.dtype.kind == "U":
        known = tuple(str(one) for one in found) if names is None else names
        missing = sorted(set(found.tolist()) - set(known))
        if missing:
            raise ValueError(f"class_names lacks {', '.join(map(repr, missing[:5]))}, which y has.")
        count = len(known) if scores is None else scores.shape[1]
        if len(known) != count:
            raise ValueError(
                f"y_true has {len(known)} classes and y_pred {count} columns. Pass class_names in the order of the "
                "columns, such as estimator.classes_."
            )
        order = {name: number for number, name in enumerate(known)}
        numbers = np.array([order[str(one)] for one in both])
    else:
        if both.dtype.kind == "f" and not (both == np.round(both)).all():
            raise ValueError(f"y must hold class numbers, got {both[both != np.round(both)][0]:g}.")
        if names is None and scores is None:  # classes such as 3 and 7, in ascending order
            known = tuple(str(one) if both.dtype.kind == "b" else str(int(one)) for one in found)
            numbers = np.searchsorted(found, both)
        else:
            count = scores.shape[1] if scores is not None else len(names or ())
            known = given_names(names, count, "classes")
            numbers = both.astype(np.int64)
            if numbers.min() < 0 or numbers.max() >= count:
                wrong = numbers[(numbers < 0) | (numbers >= count)][0]
                raise ValueError(f"y has the class {wrong}, and there are {count} classes, from 0.")
    if len(known) < 2:
        known, numbers = (*known, f"not {known[0]}"), numbers
    return numbers[: len(true)], numbers[len(true) :], known
