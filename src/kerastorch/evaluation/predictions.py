"""Targets and predictions of a report: of classes, of the labels of a multilabel task, or of values."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Task = Literal["binary", "multiclass", "multilabel", "regression"]
TASKS: tuple[Task, ...] = ("binary", "multiclass", "multilabel", "regression")


@dataclass(frozen=True, eq=False, kw_only=True)
class Places:
    """Places that are counted: rows, or the pixels or steps of rows.

    Attributes:
        names: Names of the classes, labels or columns of values.
        n_rows: Number of rows.
        weight: Sample weight of each place, float64 `(places,)`; `None` if all count the same.
        rows: Row of each place, int64 `(places,)`; `None` if each place is a row.
    """

    names: tuple[str, ...]
    n_rows: int
    weight: Array | None = None
    rows: Array | None = None

    @property
    def n_places(self) -> int:
        """Return the number of places."""
        return self.n_rows if self.rows is None else len(self.rows)

    @property
    def weights(self) -> Array:
        """Return the weight of each place, `(places,)`."""
        return np.ones(self.n_places) if self.weight is None else self.weight

    def of_rows(self, is_chosen: Array) -> Self:
        """Return the places of some rows, which are numbered anew.

        Args:
            is_chosen: Whether each row is chosen, bool `(rows,)`.
        """
        places = is_chosen if self.rows is None else is_chosen[self.rows]
        found: dict[str, Any] = {"n_rows": int(is_chosen.sum())}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                found[field.name] = value[places]
        if self.rows is not None:
            found["rows"] = (np.cumsum(is_chosen) - 1)[self.rows[places]]
        return replace(self, **found)

    def row_means(self, values: Array) -> Array:
        """Return the mean of the values of each row, `(rows,)`; NaN for a row without places.

        Args:
            values: One value for each place, `(places,)`.
        """
        if self.rows is None:
            return values
        counts = np.bincount(self.rows, minlength=self.n_rows)
        sums = np.bincount(self.rows, values, self.n_rows)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassPredictions(Places):
    """True and predicted classes.

    Attributes:
        y: True class of each place, int64 `(places,)`.
        predicted: Predicted class of each place, int64 `(places,)`.
        scores: A number for each class, float64 `(places, classes)`; `None` if only the predicted classes are known.
        are_probabilities: Whether the scores are probabilities.
    """

    y: Array
    predicted: Array
    scores: Array | None
    are_probabilities: bool

    @property
    def task(self) -> Task:
        """Return `'binary'` or `'multiclass'`."""
        return "binary" if len(self.names) == 2 else "multiclass"

    @property
    def probabilities(self) -> Array | None:
        """Return the probabilities of all classes, `(places, classes)`; `None` if they are unknown."""
        return self.scores if self.are_probabilities else None


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelPredictions(Places):
    """Answers to several yes-or-no questions.

    Attributes:
        y: Whether each label is true, bool `(places, labels)`.
        predicted: Whether each label is predicted, bool `(places, labels)`.
        scores: A number for each label, float64 `(places, labels)`.
        are_probabilities: Whether the scores are probabilities.
    """

    y: Array
    predicted: Array
    scores: Array
    are_probabilities: bool

    @property
    def task(self) -> Task:
        """Return `'multilabel'`."""
        return "multilabel"

    @property
    def probabilities(self) -> Array | None:
        """Return the probability of each label, `(places, labels)`; `None` if they are unknown."""
        return self.scores if self.are_probabilities else None


@dataclass(frozen=True, eq=False, kw_only=True)
class ValuePredictions(Places):
    """True and predicted values.

    Attributes:
        y: True values, float64 `(places, columns)`.
        predicted: Predicted values, float64 `(places, columns)`.
    """

    y: Array
    predicted: Array

    @property
    def task(self) -> Task:
        """Return `'regression'`."""
        return "regression"


Predictions = ClassPredictions | LabelPredictions | ValuePredictions
