"""DataFacts: what the rows of a fit say themselves: copies, contradicting labels, telling columns, scales, order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerastorch.diagnosis.copies import Copies, find_copies
from kerastorch.diagnosis.data_rows import Rows, training_and_validation
from kerastorch.diagnosis.reference import Reference, fit_reference
from kerastorch.diagnosis.settings import FitSettings
from kerastorch.diagnosis.target_facts import TargetFacts, class_numbers, every_nth, facts_of_targets

Array = np.ndarray[Any, Any]

_MOST_ROWS = 5000
_TELLING = 0.99
_NOT_TELLING = 0.95


@dataclass(frozen=True)
class DataFacts:
    """Facts about the data of a fit.

    Attributes:
        is_known: Whether data were given.
        copies: Rows that come twice.
        reference: What a forest finds.
        telling_column: Number of a column that alone gives the target away; `None` if there is none.
        constant_columns: Number of columns with one value.
        columns: Number of columns.
        largest: Largest absolute value of the inputs.
        spread: The largest deviation of a column divided by the median one; 1 for a single column.
        targets: Facts about the training targets; `None` if they are unknown.
        validation_targets: The same for the validation.
    """

    is_known: bool = False
    copies: Copies = field(default_factory=Copies)
    reference: Reference = field(default_factory=Reference)
    telling_column: int | None = None
    constant_columns: int = 0
    columns: int = 0
    largest: float = 0.0
    spread: float = 1.0
    targets: TargetFacts | None = None
    validation_targets: TargetFacts | None = None


NO_DATA = DataFacts()


def facts_of_data(x: Any, y: Any, validation_data: Any, settings: FitSettings) -> DataFacts:
    """Return facts about the data of a fit.

    Args:
        x: Inputs, or data that yield batches, as `fit` gets them; `None` if they are not given.
        y: Targets.
        validation_data: `(x, y)`, `(x, y, sample_weight)`, or data that yield batches; `None` for the last rows of `x`
            if `fit` has split them off.
        settings: Settings of the fit.

    Raises:
        ValueError: Numbers of rows do not fit each other, or the validation has other columns than the training.
        TypeError: Something is no data.
    """
    training, validation = training_and_validation(x, y, validation_data, settings)
    if training is None and validation is None:
        return NO_DATA
    are_classes = settings.is_classification
    targets, held_targets = (_targets_of(part, are_classes) for part in (training, validation))
    if training is None or training.x is None or not len(training.x):
        return DataFacts(True, targets=targets, validation_targets=held_targets)
    inputs = training.x
    held = None if validation is None else validation.x
    if held is not None and held.shape[1] != inputs.shape[1]:
        raise ValueError(f"validation_data has {held.shape[1]} columns of inputs, and x has {inputs.shape[1]}.")
    if are_classes is None:
        are_classes = targets is not None and bool(targets.shares)
    deviation = inputs.std(axis=0)
    varied = deviation[deviation > 0]
    reference, column = Reference(), None
    if training.y is not None:
        pair = None if validation is None or held is None or validation.y is None else (held, validation.y)
        reference = fit_reference(inputs, training.y, pair, are_classes)
        column = _telling_column(inputs[:_MOST_ROWS], training.y[:_MOST_ROWS], are_classes)
    return DataFacts(
        True, find_copies(inputs, training.y, held), reference, column, int((deviation == 0).sum()), inputs.shape[1],
        float(np.abs(inputs).max()), float(varied.max() / np.median(varied)) if len(varied) else 1.0,
        targets, held_targets,
    )  # fmt: skip


def _targets_of(rows: Rows | None, are_classes: bool | None) -> TargetFacts | None:
    if rows is None or rows.y is None or not len(rows.y):
        return None
    step = every_nth(len(rows.y), rows.y[0].size)
    return facts_of_targets(rows.y[::step], are_classes=are_classes, rows=rows.count)


def _telling_column(x: Array, y: Array, are_classes: bool) -> int | None:
    """Return the column that alone tells the target, if there is one, and if the others do not."""
    values = class_numbers(y) if are_classes else (y.reshape(len(y)) if y.size == len(y) else None)
    if values is None or len(values) < 30 or x.shape[1] < 2 or len(np.unique(values)) < 2:
        return None
    if not np.isfinite(x).all():
        return None
    score = _share_told if are_classes else _correlation
    scores = np.array([score(column, values) for column in x.T])
    best = int(scores.argmax())
    others = np.delete(scores, best)
    return best if scores[best] >= _TELLING and others.max() < _NOT_TELLING else None


def _share_told(column: Array, classes: Array) -> float:
    """Return the share of neighbors, in the order of a column, that have the same class, without the borders."""
    different, group = np.unique(column, return_inverse=True)
    found, number = np.unique(classes, return_inverse=True)
    if len(different) <= len(column) // 5:
        counts = np.zeros((len(different), len(found)))
        np.add.at(counts, (group, number), 1)
        return float(counts.max(axis=1).sum() / len(column)) if len(different) > 1 else 0.0
    ordered = classes[np.argsort(column, kind="stable")]
    changes = int((np.diff(ordered) != 0).sum()) - (len(found) - 1)
    return 1 - max(0, changes) / len(column)


def _correlation(column: Array, values: Array) -> float:
    """Return the absolute correlation of the ranks."""
    ranks = [np.argsort(np.argsort(one, kind="stable"), kind="stable").astype(float) for one in (column, values)]
    return abs(float(np.corrcoef(ranks[0], ranks[1])[0, 1])) if np.ptp(column) > 0 else 0.0
