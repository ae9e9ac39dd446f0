"""Building a report from predictions: metrics with intervals, tables, slices and the worst rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerastorch.core.errors import check_choice, check_float, check_int, mismatch
from kerastorch.evaluation.bootstrap import bootstrap_intervals, default_resamples
from kerastorch.evaluation.class_metrics import ClassScorer, LabelScorer, class_table, label_table
from kerastorch.evaluation.evaluation_report import Report
from kerastorch.evaluation.predictions import (
    TASKS,
    Array,
    ClassPredictions,
    LabelPredictions,
    Predictions,
    Task,
    ValuePredictions,
)
from kerastorch.evaluation.slices import Slice
from kerastorch.evaluation.value_metrics import ValueScorer, fewest_rows, prediction_intervals
from kerastorch.evaluation.worst_rows import find_worst

MOST_CLASSES = 2000
MOST_RANKED = 10**9  # scores that resampled areas under curves read; with more, they have no intervals
Scorer = ClassScorer | LabelScorer | ValueScorer


@dataclass(frozen=True)
class ReportOptions:
    """Checked options of a report.

    Attributes:
        threshold: Probability above which the second class, or a label, is predicted.
        confidence: Probability of the bootstrap intervals.
        n_bootstrap: Number of resamples; `None` for the default.
        seed: Seed of the resamples and of the random halves.
        n_bins: Number of bins of the calibration.
        level: Probability of the prediction intervals.
        n_worst: Largest number of worst rows.
        min_rows: Rows below which a slice counts as small.
    """

    threshold: float
    confidence: float
    n_bootstrap: int | None
    seed: int
    n_bins: int
    level: float
    n_worst: int
    min_rows: int

    @classmethod
    def of(
        cls,
        threshold: float,
        confidence: float,
        n_bootstrap: int | None,
        seed: int,
        n_bins: int,
        level: float,
        n_worst: int,
        min_rows: int,
    ) -> ReportOptions:
        """Return the options.

        Raises:
            ValueError: One of them is out of its range.
        """
        return cls(
            check_float("threshold", threshold, above=0, below=1),
            check_float("confidence", confidence, above=0, below=1),
            None if n_bootstrap is None else check_int("n_bootstrap", n_bootstrap, 0),
            check_int("seed", seed, 0),
            check_int("n_bins", n_bins),
            check_float("level", level, above=0, below=1),
            check_int("n_worst", n_worst, 0),
            check_int("min_rows", min_rows),
        )


def check_task(task: Any) -> Task | None:
    """Return the task that the user names.

    Raises:
        ValueError: The name is unknown.
    """
    return None if task is None else check_choice("task", task, TASKS)  # type: ignore[return-value]


def check_names(names: Any) -> tuple[str, ...] | None:
    """Return names of classes, labels or columns as strings.

    Raises:
        TypeError: They are a single string, or have no order of their own: a dict or a set.
        ValueError: A name occurs twice.
    """
    if names is None:
        return None
    if isinstance(names, str):
        raise TypeError(f"class_names must be a list of names, got the string {names!r}.")
    if isinstance(names, (Mapping, Set)):
        raise TypeError(
            f"class_names must be a list, in the order of the classes, got the {type(names).__name__} {names!r}."
        )
    found = tuple(str(one) for one in names)
    if len(set(found)) < len(found):
        raise mismatch("class_names", list(found), "different names")
    return found


def build_report(
    found: Predictions,
    options: ReportOptions,
    groups: Mapping[str, Mapping[str, Array]],
    *,
    inputs: Callable[[int], Array | None] | None = None,
    notes: list[str] | None = None,
    logs: Mapping[str, float] | None = None,
    name: str = "",
) -> Report:
    """Return the report on predictions.

    Args:
        found: Targets and predictions.
        options: Options of the report.
        groups: Rows of each slice, as `find_groups` returns them.
        inputs: Returns the inputs of a row, for the worst rows.
        notes: Sentences on how the outputs were read.
        logs: Loss and metrics of `compile`.
        name: Name of the output.

    Raises:
        ValueError: All sample weights are 0; there are too many classes.
    """
    if not isinstance(found, ValuePredictions) and len(found.names) > MOST_CLASSES:
        raise ValueError(
            f"a report compares at most {MOST_CLASSES} classes, and the outputs have {len(found.names)}. Report on "
            "groups of classes with kt.evaluation.report_from_predictions."
        )
    if found.weight is not None and not found.weight.sum() > 0:
        raise ValueError("all sample weights are 0, so that no row counts.")
    scorer = _scorer(found, options)
    n_resamples = default_resamples(found) if options.n_bootstrap is None else options.n_bootstrap
    intervals = _intervals(found, scorer, n_resamples, options)
    is_regression = isinstance(found, ValuePredictions)
    return Report(
        predictions=found,
        metrics=_metrics(found, scorer),
        intervals=intervals,
        per_class={} if isinstance(scorer, ValueScorer) else _per_class(found, scorer),
        per_column=_per_column(found, scorer) if isinstance(scorer, ValueScorer) else {},
        confusion=_confusion(found, scorer) if isinstance(scorer, ClassScorer) else None,
        calibration=_calibration(found, scorer),
        prediction_intervals=prediction_intervals(found, options.level, options.seed)
        if isinstance(found, ValuePredictions)
        else None,
        slices=_slices(found, groups, n_resamples, options),
        worst=find_worst(found, options.n_worst, inputs),
        notes=(*(notes or []), *_notes(found, options, n_resamples)),
        logs=dict(logs or {}),
        confidence=options.confidence,
        n_bootstrap=n_resamples,
        threshold=0.5 if is_regression else options.threshold,
        name=name,
    )


def _scorer(found: Predictions, options: ReportOptions, ranks: bool = True) -> Scorer:
    if isinstance(found, ClassPredictions):
        return ClassScorer(found, options.n_bins, ranks)
    return LabelScorer(found, options.n_bins, ranks) if isinstance(found, LabelPredictions) else ValueScorer(found)


def _metrics(found: Predictions, scorer: Scorer) -> dict[str, float]:
    return {name: float(values[0]) for name, values in scorer(found.weights[None]).items()}


def _confusion(found: Predictions, scorer: ClassScorer) -> Array:
    """Return the confusion matrix, of whole numbers if rows have no weights."""
    matrix = scorer.confusions(found.weights[None])[0]
    return np.asarray(matrix, np.int64 if found.weight is None else np.float64)


def _intervals(
    found: Predictions, scorer: Scorer, n_resamples: int, options: ReportOptions
) -> dict[str, tuple[float, float]]:
    is_large = found.n_places * len(found.names) * n_resamples > MOST_RANKED
    resampled = _scorer(found, options, ranks=False) if is_large else scorer
    return bootstrap_intervals(resampled, found, n_resamples, options.confidence, options.seed)


def _per_class(found: Predictions, scorer: ClassScorer | LabelScorer) -> dict[str, dict[str, float]]:
    """Return the metrics of each class or label."""
    table = dict(
        class_table(_confusion(found, scorer))
        if isinstance(scorer, ClassScorer)
        else label_table(scorer.counts(found.weights[None])[:, 0])
    )
    if found.rows is None:
        table.pop("iou", None)
    is_binary = found.task == "binary"
    if scorer.rankings is not None and not is_binary:
        areas = scorer.rankings.areas(found.weights[None])[..., 0]
        table |= {"roc_auc": areas[:, 0], "average_precision": areas[:, 1]}
    return {name: {key: _plain(column[at]) for key, column in table.items()} for at, name in enumerate(found.names)}


def _plain(value: Any) -> Any:
    number = float(value)
    return int(number) if np.issubdtype(np.asarray(value).dtype, np.integer) else number


def _per_column(found: Predictions, scorer: ValueScorer) -> dict[str, dict[str, float]]:
    columns = scorer.columns(found.weights[None])
    return {name: {key: float(one[0, at]) for key, one in columns.items()} for at, name in enumerate(found.names)}


def _calibration(found: Predictions, scorer: Scorer) -> Any:
    calibrator = None if isinstance(scorer, ValueScorer) else scorer.calibrator
    return None if calibrator is None else calibrator(found.weights)


def _slices(
    found: Predictions, groups: Mapping[str, Mapping[str, Array]], n_resamples: int, options: ReportOptions
) -> dict[str, Slice]:
    slices = {}
    for column, values in groups.items():
        for value, is_chosen in values.items():
            part = found.of_rows(is_chosen)
            is_counted = part.n_places and (part.weight is None or part.weight.sum() > 0)
            scorer = _scorer(part, options) if is_counted else None
            one = Slice(
                column,
                value,
                part.n_rows,
                {} if scorer is None else _metrics(part, scorer),
                {} if scorer is None else _intervals(part, scorer, n_resamples, options),
                part.n_rows < options.min_rows,
            )
            slices[one.name] = one
    return slices


def _notes(found: Predictions, options: ReportOptions, n_resamples: int) -> list[str]:
    notes = []
    if found.n_rows < options.min_rows:
        rows = "is only 1 row" if found.n_rows == 1 else f"are only {found.n_rows} rows"
        notes.append(f"There {rows}: the numbers would be different for other rows.")
    if found.weight is not None:
        notes.append("Rows are weighted with sample_weight.")
    notes += _value_notes(found, options) if isinstance(found, ValuePredictions) else _class_notes(found, options)
    if found.n_places * len(found.names) * n_resamples > MOST_RANKED and not isinstance(found, ValuePredictions):
        notes.append("Areas under curves have no intervals, because there are so much data; pass n_bootstrap.")
    return notes


def _class_notes(found: ClassPredictions | LabelPredictions, options: ReportOptions) -> list[str]:
    notes = []
    if isinstance(found, ClassPredictions):
        count = len(found.names)
        in_y, in_predicted = (np.bincount(one, minlength=count) for one in (found.y, found.predicted))
        without_y = [name for name, number in zip(found.names, in_y, strict=True) if not number]
        if without_y:
            notes.append(f"{_listed(without_y)}: not in y, so that means over classes leave out what is undefined.")
        unseen = [
            name for name, true, number in zip(found.names, in_y, in_predicted, strict=True) if true and not number
        ]
        if unseen:
            notes.append(f"{_listed(unseen)}: never predicted; the precision counts as 0.")
        if found.scores is None:
            notes.append("Only predicted classes are given, without probabilities: there are no curves.")
        elif found.are_probabilities and bool(np.isin(found.scores, (0, 1)).all()):
            notes.append(
                "All probabilities are 0 or 1. Are they predicted classes? Then only counts of classes matter."
            )
    else:
        alone = [name for name, column in zip(found.names, found.y.T, strict=True) if column.all() or not column.any()]
        if alone:
            notes.append(f"{_listed(alone, 'label')}: the same answer in all rows; areas under curves are undefined.")
    if options.threshold != 0.5:
        is_used = found.task != "multiclass"
        notes.append(
            f"Predicted are probabilities above {options.threshold:g}."
            if is_used
            else f"The threshold is not used: of {len(found.names)} classes the most probable one is predicted."
        )
    return notes


def _value_notes(found: ValuePredictions, options: ReportOptions) -> list[str]:
    notes = []
    constant = [name for name, column in zip(found.names, found.y.T, strict=True) if np.ptp(column) == 0]
    if constant:
        where = "" if constant == [""] else f" in {_listed(constant, 'column')}"
        notes.append(f"All targets are equal{where}, so that R2 is undefined.")
    if int((found.row_means(found.weights) > 0).sum()) < fewest_rows(options.level):
        notes.append(
            f"Prediction intervals of {100 * options.level:g} % need {fewest_rows(options.level)} rows or more."
        )
    else:
        notes.append(
            "Prediction intervals are quantiles of the residuals of these rows. For new rows they hold if the model "
            "was not trained on these rows." + ("" if found.weight is None else " sample_weight does not change them.")
        )
    return notes


def _listed(names: list[str], what: str = "class") -> str:
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    plural = "classes" if what == "class" else f"{what}s"
    return f"{what if len(names) == 1 else plural} {shown}"
