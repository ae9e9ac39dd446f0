"""`report_from_predictions`: the report on predictions that were made before, and on those of other estimators."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerastorch.core.errors import mismatch, shown
from kerastorch.core.tables import column_names
from kerastorch.core.traceback_filter import public_api
from kerastorch.evaluation.build_report import ReportOptions, build_report, check_names, check_task
from kerastorch.evaluation.evaluation_report import Report
from kerastorch.evaluation.from_arrays import from_arrays
from kerastorch.evaluation.row_inputs import row_inputs
from kerastorch.evaluation.slices import find_groups, texts_of_numbers
from kerastorch.evaluation.table_classes import classes_of_table
from kerastorch.plots.arrays import to_array


@public_api
def report_from_predictions(
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    *,
    by: Any = None,
    class_names: Any = None,
    task: Any = None,
    from_logits: bool = False,
    threshold: float = 0.5,
    confidence: float = 0.95,
    n_bootstrap: int | None = None,
    seed: int = 0,
    n_bins: int = 15,
    level: float = 0.9,
    n_worst: int = 5,
    min_rows: int = 30,
) -> Report:
    """Report on predictions that were made before, by any library.

    Args:
        y_true: Targets: class numbers or names, shape `(rows,)`; one-hot rows; zeros and ones, `(rows, labels)`; or
            values, `(rows,)` or `(rows, columns)`.
        y_pred: Predictions: probabilities of all classes, `(rows, classes)`; the probability of the second class,
            `(rows,)` or `(rows, 1)`, or of each label, `(rows, labels)`; class numbers or names; or values. The columns
            of a table name the classes.
        sample_weight: A weight for each row. Default: 1 each.
        by: As for `report`: an array with a label for each row, or a dict or table of them.
        class_names: As for `report`; if classes are names, in the order of the columns of `y_pred`. Default: the names
            of these columns if `y_pred` is a table, else the alphabetical order.
        task: As for `report`. Default: inferred from the arrays. Whole numbers as floats on both sides can be classes
            or values, and need it.
        from_logits: Whether `y_pred` holds logits. Default `False`.
        threshold: As for `report`. Default 0.5.
        confidence: As for `report`. Default 0.95.
        n_bootstrap: As for `report`.
        seed: As for `report`. Default 0.
        n_bins: As for `report`. Default 15.
        level: As for `report`. Default 0.9.
        n_worst: As for `report`. Default 5.
        min_rows: As for `report`. Default 30.

    Returns:
        The report.

    Raises:
        ValueError: The arrays do not fit each other or the task; they contain NaN; or probabilities are none.

    >>> found = report_from_predictions(["cat", "dog", "dog", "cat"], ["cat", "dog", "cat", "cat"], n_bootstrap=0)
    >>> found.metrics["accuracy"], found.confusion.tolist()
    (0.75, [[2, 0], [1, 1]])
    """
    options = ReportOptions.of(threshold, confidence, n_bootstrap, seed, n_bins, level, n_worst, min_rows)
    y_true, names = classes_of_table(y_true, y_pred, check_names(class_names))
    found = from_arrays(
        y_true,
        y_pred,
        sample_weight,
        task=check_task(task),
        names=names or columns_of(y_true),
        from_logits=check_from_logits(from_logits) or False,
        threshold=options.threshold,
    )
    return build_report(found, options, find_groups(by, None, found.n_rows))


def report_on_estimator(
    estimator: object, x: Any, y: Any, sample_weight: Any, options: ReportOptions, by: Any, class_names: Any, task: Any
) -> Report:
    """Return the report on an estimator of scikit-learn.

    Raises:
        TypeError: The object has neither `predict_proba` nor `predict`.
    """
    predict = getattr(estimator, "predict_proba", None) or getattr(estimator, "predict", None)
    if not callable(predict) or isinstance(estimator, type):
        advice = " Pass its attribute model." if hasattr(getattr(estimator, "model", None), "predict") else ""
        raise TypeError(
            f"model must be a compiled model, or an estimator with predict, got {shown(estimator)}.{advice}"
        )
    if y is None:
        raise ValueError("a report on an estimator needs y, got None.")
    predicted, true, names = _one_array(predict(x)), to_array("y", y), check_names(class_names)
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, np.ndarray) and classes.ndim == 1:
        wrong = ~np.isin(true, classes)
        if wrong.any():
            raise ValueError(f"y has the class {true[wrong].flat[0]!r}, which the estimator was not trained on.")
        true = np.searchsorted(classes, true)
        predicted = predicted if np.ndim(predicted) == 2 else np.searchsorted(classes, predicted)
        names = names or _names_of(classes)
        task = task or ("binary" if len(classes) == 2 else "multiclass")
    if task is None and _predicts_values(estimator):
        task = "regression"
    found = from_arrays(
        true,
        predicted,
        sample_weight,
        task=check_task(task),
        names=names or columns_of(y),
        from_logits=False,
        threshold=options.threshold,
    )
    return build_report(found, options, find_groups(by, x, found.n_rows), inputs=row_inputs(x, found.n_rows))


def _one_array(predicted: Any) -> Any:
    """Return predictions; of classifiers of several labels, which give a table for each, the probabilities of yes.

    Raises:
        ValueError: A label has other answers than two.
    """
    if not isinstance(predicted, list) or not predicted or np.ndim(predicted[0]) != 2:
        return predicted
    if any(one.shape[1] != 2 for one in predicted):
        raise ValueError(
            "the estimator has several outputs, and not each has two classes. Report on one at a time: "
            "kt.evaluation.report_from_predictions(y[:, 0], estimator.predict(x)[:, 0])."
        )
    return np.stack([one[:, 1] for one in predicted], 1)


def _names_of(classes: np.ndarray[Any, Any]) -> tuple[str, ...]:
    """Return the classes of an estimator as names; whole numbers have no decimal point."""
    return tuple(texts_of_numbers(classes) if classes.dtype.kind in "iuf" else map(str, classes))


def _predicts_values(estimator: object) -> bool:
    """Return whether scikit-learn takes an object for a regressor."""
    from sklearn.base import is_regressor

    try:
        return bool(is_regressor(estimator))
    except (AttributeError, TypeError):  # objects without tags
        return False


def check_from_logits(given: Any) -> bool | None:
    """Return whether outputs are logits, as far as the user says it.

    Raises:
        ValueError: It is something else than `True`, `False` or `None`.
    """
    if given is not None and not isinstance(given, (bool, np.bool_)):
        raise mismatch("from_logits", given, "True, False or None")
    return None if given is None else bool(given)


def columns_of(y: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of a table of several targets."""
    names = column_names(y)
    return tuple(map(str, names)) if names is not None and len(names) > 1 else None
