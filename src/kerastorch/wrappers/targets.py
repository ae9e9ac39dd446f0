"""Targets of estimators: labels and values as scikit-learn passes them, and as numbers that a network is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kerastorch.core.errors import shown

Array = np.ndarray[Any, Any]
Kind = Literal["classes", "labels", "several", "values"]


@dataclass(frozen=True, eq=False)
class Targets:
    """How the targets of a fit are encoded as numbers, and how predicted numbers become targets again.

    Attributes:
        kind: `'classes'`: one of several classes for each row. `'labels'`: yes-or-no questions, one for each column.
            `'several'`: one of several classes for each column. `'values'`: numbers.
        classes: The classes of each column in ascending order, of `'classes'` and `'several'`.
        n_columns: Number of columns of the encoded targets.
        ndim: Number of axes of the targets as they were given.
        dtype: Dtype of the targets as they were given.
    """

    kind: Kind
    classes: tuple[Array, ...]
    n_columns: int
    ndim: int
    dtype: Any

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of scores of each output that a network for these targets has."""
        if self.kind in ("classes", "several"):
            return tuple(map(len, self.classes))
        return (self.n_columns,)

    def encode(self, y: Any, name: str = "y") -> Array:
        """Return targets as numbers: class numbers `(rows, columns)`, zeros and ones, or values.

        Args:
            y: Targets, validated.
            name: Name of the argument, for messages.

        Raises:
            ValueError: A class is unknown, or the number of columns differs.
        """
        y = np.asarray(y)
        columns: Array = y.reshape(len(y), -1)
        if columns.shape[1] != self.n_columns:
            raise ValueError(
                f"{name} has {columns.shape[1]} columns, but the estimator was fitted to {self.n_columns}."
            )
        if self.kind in ("classes", "several"):
            pairs = zip(self.classes, columns.T, strict=True)
            return np.stack([_class_numbers(classes, column, name) for classes, column in pairs], axis=1)
        if self.kind == "labels" and not np.isin(columns, (0, 1)).all():
            strange = columns[~np.isin(columns, (0, 1))].tolist()[0]
            raise ValueError(f"{name} has the label {strange!r}, but the classes are 0 and 1 in each column.")
        return columns

    def decode(self, numbers: Array) -> Array:
        """Return class numbers, answers or values `(rows, columns)` as targets in the form that they were given."""
        if self.kind == "values":
            return numbers[:, 0] if self.ndim == 1 else numbers
        if self.kind == "labels":
            return numbers.astype(self.dtype)
        decoded = [classes[column] for classes, column in zip(self.classes, numbers.T, strict=True)]
        return decoded[0] if self.kind == "classes" else np.stack(decoded, axis=1)

    def one_hot(self, numbers: Array) -> Array:
        """Return encoded targets as `build_fn` gets them: one-hot rows for one column of classes, else as they are."""
        return np.eye(len(self.classes[0]))[numbers[:, 0]] if self.kind == "classes" else numbers


def class_targets(y: Any, classes: Any = None) -> Targets:
    """Return the encoding of targets of a classifier.

    Args:
        y: Labels of shape `(rows,)`; or `(rows, columns)`, zeros and ones for yes-or-no questions, else a class for
            each column.
        classes: All classes, if some may be missing in `y`; for several columns a list with the classes of each.
            Default: those of `y`.

    Raises:
        ValueError: The targets are no labels.

    >>> targets = class_targets(np.array(["no", "yes", "no"]))
    >>> targets.encode(["yes", "no"]).tolist(), targets.decode(np.array([[1]])).tolist()
    ([[1], [0]], ['yes'])
    """
    from sklearn.utils.multiclass import type_of_target

    y = np.asarray(y)
    found = type_of_target(y, input_name="y", raise_unknown=True)
    n_columns = 1 if y.ndim == 1 else y.shape[1]
    if found in ("binary", "multiclass"):
        known = (np.unique(y) if classes is None else np.unique(np.asarray(classes)),)
        targets = Targets("classes", known, 1, y.ndim, y.dtype)
    elif found == "multilabel-indicator" and _are_answers(classes):
        return Targets("labels", (), n_columns, 2, y.dtype)
    elif found in ("multilabel-indicator", "multiclass-multioutput"):
        each = [None] * n_columns if classes is None else list(classes)
        if len(each) != n_columns or any(np.ndim(one) == 0 for one in each if one is not None):
            raise ValueError(
                f"y has {n_columns} columns, so classes must be a list of {n_columns} lists, the classes of each "
                f"column; got {shown(classes)}."
            )
        several = tuple(
            np.unique(column if one is None else np.asarray(one)) for column, one in zip(y.T, each, strict=True)
        )
        targets = Targets("several", several, n_columns, 2, y.dtype)
    else:
        raise ValueError(
            f"Unknown label type: {found}. SKLearnClassifier takes labels, got numbers such as {y.flat[0]!r}; for "
            "continuous targets use SKLearnRegressor."
        )
    targets.encode(y)  # raises an error for labels that are not among `classes`
    return targets


def _are_answers(classes: Any) -> bool:
    """Return whether the classes of a table of zeros and ones are no others."""
    if classes is None:
        return True
    each = [np.ravel(one).tolist() for one in classes]
    return all(label in (0, 1) for column in each for label in column)


def value_targets(y: Array) -> Targets:
    """Return the encoding of numbers as targets, of shape `(rows,)` or `(rows, columns)`."""
    return Targets("values", (), 1 if y.ndim == 1 else int(np.prod(y.shape[1:])), y.ndim, y.dtype)


def check_class_numbers(targets: Targets, numbers: Array) -> None:
    """Check that there are two classes to distinguish in each column of encoded targets.

    Raises:
        ValueError: There is one class alone.
    """
    if targets.kind not in ("classes", "several"):
        return
    for number, column in enumerate(numbers.T):
        present = np.unique(column)
        if len(present) == 1:
            where = "y" if targets.kind == "classes" else f"column {number} of y"
            only = targets.classes[number][present[0]].item()
            raise ValueError(
                f"{where} has 1 class, {only!r}, among the rows whose weight is not 0; a classifier needs at least 2 "
                "classes."
            )


def class_weight_of_rows(targets: Targets, numbers: Array, class_weight: Any, sample_weight: Array | None) -> Array:
    """Return the factor that `class_weight` gives each row.

    Args:
        targets: Encoding of the targets.
        numbers: Encoded targets, `(rows, columns)`.
        class_weight: Label -> weight, 1 for labels that are left out; or `"balanced"`, inversely proportional to the
            weight of the rows of a class. For several columns also a list with one of these for each column.
        sample_weight: Weights of the rows, which `"balanced"` counts; `None` for 1 each.

    Raises:
        ValueError: The weights are negative, or of labels that do not exist; the targets have no classes.
    """
    if targets.kind == "values":
        raise ValueError("class_weight needs classes; these targets are numbers. Use sample_weight.")
    known = targets.classes if targets.kind != "labels" else (np.array([0, 1]),) * targets.n_columns
    each = list(class_weight) if isinstance(class_weight, (list, tuple)) else [class_weight] * len(known)
    if len(each) != len(known):
        raise ValueError(f"class_weight has {len(each)} items, y has {len(known)} columns.")
    weights = np.ones(len(numbers))
    counts = weights if sample_weight is None else sample_weight
    for classes, column, given in zip(known, numbers.T.astype(int), each, strict=True):
        if given is None:
            continue
        if isinstance(given, str) and given == "balanced":
            total = np.bincount(column, counts, minlength=len(classes))
            present = total > 0
            factors = np.divide(total.sum(), present.sum() * total, out=np.zeros(len(total)), where=present)
        else:
            factors = _factors(classes, given)
        weights = weights * factors[column]
    return weights


def _factors(classes: Array, given: Any) -> Array:
    """Return the weight of each class for a dict of labels."""
    if not isinstance(given, Mapping):
        raise ValueError(f"class_weight must be 'balanced' or a dict from labels to weights, got {shown(given)}.")
    known = classes.tolist()
    strange = [label for label in given if label not in known]
    if strange and not set(known) <= given.keys():  # a fold without one of the classes is no mistake
        raise ValueError(
            f"class_weight has the label {strange[0]!r}, but the classes are {', '.join(map(repr, known))}."
        )
    for label, weight in given.items():
        if isinstance(weight, str) or not np.isfinite(weight) or weight < 0:
            raise ValueError(f"class_weight must be numbers >= 0, got {weight!r} for {label!r}.")
    return np.array([float(given.get(label, 1.0)) for label in known])


def _class_numbers(classes: Array, column: Array, name: str) -> Array:
    """Return the numbers of labels in the sorted classes; raise an error for a label that is none of them."""
    is_text = classes.dtype.kind in "UO" and column.dtype.kind in "UO"
    if not is_text and classes.dtype.kind in "UO" and column.dtype.kind not in "UO":
        raise ValueError(f"{name} has labels such as {column.tolist()[0]!r}, but the classes are {_listed(classes)}.")
    labels = column.astype(classes.dtype) if is_text and classes.dtype.kind == "O" else column
    places = np.searchsorted(classes, labels).clip(0, len(classes) - 1)
    unknown = classes[places] != labels
    if unknown.any():
        raise ValueError(
            f"{name} has the label {column[unknown].tolist()[0]!r}, but the classes are {_listed(classes)}."
        )
    return places


def _listed(classes: Array, most: int = 10) -> str:
    names = [repr(one) for one in classes[:most].tolist()]
    return ", ".join(names) + (", ..." if len(classes) > most else "")
