"""Divisions of rows for cross-validation: what `cv` stands for, as pairs of training rows and held-out rows."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerastorch.core.errors import check_int, mismatch, shown
from kerastorch.model_selection.labels import (
    Labels,
    are_classes,
    class_labels,
    group_labels,
    labels_or_column,
    row_labels,
)
from kerastorch.model_selection.rows import Rows


@dataclass(frozen=True, eq=False)
class Division:
    """One division of the rows.

    Attributes:
        train: Numbers of the rows to train on.
        test: Numbers of the rows that are held out.
    """

    train: Rows
    test: Rows


@dataclass(frozen=True, eq=False)
class Divisions:
    """The divisions of a cross-validation.

    Attributes:
        folds: The divisions.
        splitter: What made them, in words.
    """

    folds: Sequence[Division]
    splitter: str


def divide(
    cv: Any,
    rows: int,
    *,
    x: Any = None,
    y: Any,
    groups: Any = None,
    stratify: Any = None,
    repeats: Any = 1,
    seed: int = 0,
) -> Divisions:
    """Return the divisions that `cv` stands for.

    Args:
        cv: Number of folds, a splitter of scikit-learn, or pairs of training rows and held-out rows.
        rows: Number of rows.
        x: Inputs, for splitters that look at them.
        y: Targets.
        groups: Group of each row, or `None`.
        stratify: `True`, `False`, labels, or `None` to stratify by targets that are classes.
        repeats: How often all rows are divided into folds.
        seed: Seed of the divisions.

    Raises:
        TypeError: `cv` is something else.
        ValueError: Arguments exclude each other, or a division has rows on both sides or none.
    """
    repeats = check_int("repeats", repeats)
    of_group = None if groups is None else group_labels(groups, [x], rows)
    classes = _classes(stratify, x, y, rows)
    is_asked_for = stratify is not None and stratify is not False
    if isinstance(cv, numbers.Integral) and cv is not True and cv is not False:
        number = check_int("cv", cv, 2)
        stratified = classes is not None and (
            stratify is not None or (of_group is None and are_classes(classes, number))
        )
        splitter = _make_splitter(number, repeats, seed, of_group, stratified)
        _check_number(number, rows, of_group, classes if stratified and stratify is not None else None)
        return _checked(_split(splitter, rows, x, classes, of_group), rows, of_group, _in_words(splitter))
    if repeats > 1:
        raise ValueError("repeats is for a number of folds; repeat a splitter with RepeatedKFold, for example.")
    if isinstance(cv, type):
        raise TypeError(f"cv must be a splitter, not its class; pass {cv.__name__}(...).")
    if hasattr(cv, "split") and not isinstance(cv, str):
        if is_asked_for and _ignores_classes(cv):
            raise ValueError(
                f"stratify has no effect on {type(cv).__name__}; pass cv=StratifiedKFold(...) or a number."
            )
        return _checked(_split(cv, rows, x, classes, of_group), rows, of_group, _in_words(cv))
    if isinstance(cv, Iterable) and not isinstance(cv, (str, bytes, np.ndarray)):
        if is_asked_for:
            raise ValueError("stratify is for a number of folds; pairs of row numbers are used as they are.")
        return _checked([_pair(one, at) for at, one in enumerate(cv)], rows, of_group, "given rows")
    raise TypeError(
        "cv must be a number of folds, a splitter such as KFold(5), or pairs of training rows and held-out rows, "
        f"got {shown(cv)}."
    )


def _classes(stratify: Any, x: Any, y: Any, rows: int) -> Labels | None:
    """Return the labels that a stratified splitter is given; `None` if there are none."""
    if stratify is False:
        return None
    if isinstance(stratify, str):
        return class_labels(labels_or_column(stratify, "stratify", [x], rows))
    is_own = stratify is None or stratify is True
    found = class_labels(y if is_own else stratify)
    if found is None and stratify is not None:
        advice = "; pass stratify=labels" if is_own else f", got {shown(stratify)}"
        raise ValueError(f"stratify needs one class for each row{advice}.")
    return found if found is None or stratify is None else row_labels(found, "y" if is_own else "stratify", rows)


def _make_splitter(number: int, repeats: int, seed: int, groups: Labels | None, stratified: bool) -> Any:
    """Return the splitter of scikit-learn for a number of folds."""
    from sklearn import model_selection

    if groups is not None:
        if repeats > 1:
            return _RepeatedGroups(number, repeats, seed, stratified)
        if stratified:
            return model_selection.StratifiedGroupKFold(number, shuffle=True, random_state=seed)
        return model_selection.GroupKFold(number)
    if repeats > 1:
        repeated = model_selection.RepeatedStratifiedKFold if stratified else model_selection.RepeatedKFold
        return repeated(n_splits=number, n_repeats=repeats, random_state=seed)
    kind = model_selection.StratifiedKFold if stratified else model_selection.KFold
    return kind(number, shuffle=True, random_state=seed)


class _RepeatedGroups:
    """Folds of whole groups, several times, with a seed that grows by one each time.

    Args:
        n_splits: Number of folds.
        n_repeats: How often all rows are divided.
        random_state: Seed of the first time.
        stratified: Whether folds get the same proportion of each class.
    """

    def __init__(self, n_splits: int, n_repeats: int, random_state: int, stratified: bool) -> None:
        self.n_splits, self.n_repeats, self.random_state, self.stratified = (
            n_splits,
            n_repeats,
            random_state,
            stratified,
        )

    def split(self, x: Any, y: Any, groups: Any) -> Iterable[tuple[Rows, Rows]]:
        """Yield training rows and held-out rows."""
        from sklearn.model_selection import StratifiedGroupKFold

        for repeat in range(self.n_repeats):
            # GroupKFold cannot shuffle in older releases; with one class StratifiedGroupKFold balances the sizes
            splitter = StratifiedGroupKFold(self.n_splits, shuffle=True, random_state=self.random_state + repeat)
            yield from splitter.split(x, y if self.stratified else np.zeros(len(groups), int), groups)

    def __repr__(self) -> str:
        name = "StratifiedGroupKFold" if self.stratified else "GroupKFold"
        return f"{name}(n_splits={self.n_splits}), {self.n_repeats} times"


def _check_number(number: int, rows: int, groups: Labels | None, classes: Labels | None) -> None:
    """Check that there are enough rows, groups and rows of each class for a number of folds.

    Raises:
        ValueError: There are not.
    """
    if number > rows:
        raise ValueError(f"cv={number} folds need at least {number} rows, x has {rows}.")
    if groups is not None and len(np.unique(groups)) < number:
        raise ValueError(f"cv={number} folds need at least {number} groups, there are {len(np.unique(groups))}.")
    if classes is not None:
        kinds, counts = np.unique(classes, return_counts=True)
        if counts.min() < number:
            rare = kinds[counts.argmin()].item()
            n_rows = f"{counts.min()} row{'s' if counts.min() > 1 else ''}"
            raise ValueError(
                f"class {rare!r} has {n_rows}, fewer than cv={number} folds; use fewer folds, or stratify=False."
            )


def _split(splitter: Any, rows: int, x: Any, classes: Labels | None, groups: Labels | None) -> list[Division]:
    """Return the divisions of a splitter."""
    is_table = hasattr(x, "iloc") or isinstance(x, np.ndarray)
    given = x if is_table and len(x) == rows else np.zeros((rows, 1))
    with warnings.catch_warnings():
        # what they say is an error here, for explicit arguments, or follows from the choice of the splitter
        warnings.filterwarnings("ignore", message="The groups parameter is ignored")
        warnings.filterwarnings("ignore", message="The least populated class")
        try:
            pairs = list(splitter.split(given, classes, groups))
        except ValueError as error:
            raise ValueError(f"cv={_in_words(splitter)}: {error}") from error
    return [_pair(pair, at) for at, pair in enumerate(pairs)]


def _pair(pair: Any, at: int) -> Division:
    """Return a pair of row numbers or masks as a division."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise mismatch(f"cv[{at}]", pair, "a pair of training rows and held-out rows")
    return Division(*(_row_numbers(part, f"cv[{at}][{side}]") for side, part in enumerate(pair)))


def _row_numbers(given: Any, name: str) -> Rows:
    array = np.asarray(given)
    if array.ndim == 1 and array.dtype == bool:
        return np.flatnonzero(array)
    if array.ndim != 1 or not (array.dtype.kind in "iu" or not array.size):
        raise mismatch(name, given, "numbers of rows")
    return array.astype(np.int64)


def _checked(folds: Sequence[Division], rows: int, groups: Labels | None, splitter: str) -> Divisions:
    """Return divisions after a check that no held-out row, and no held-out group, is among the training rows."""
    if not folds:
        raise ValueError(f"cv={splitter} gives no division of the rows.")
    for at, fold in enumerate(folds):
        where = f"division {at + 1} of cv ({splitter})"
        for name, part in (("training", fold.train), ("held-out", fold.test)):
            if not len(part):
                raise ValueError(f"{where} has no {name} rows.")
            wrong = part[(part < 0) | (part >= rows)]
            if len(wrong):
                raise ValueError(f"{where} has the {name} row {wrong[0]}, x has {rows} rows, counted from 0.")
        both = np.intersect1d(fold.train, fold.test)
        if len(both):
            raise ValueError(f"{where} trains on {len(both)} rows that it holds out, such as row {both[0]}.")
        if len(np.unique(fold.test)) < len(fold.test):
            raise ValueError(f"{where} holds out a row twice.")
        shared = [] if groups is None else np.intersect1d(groups[fold.train], groups[fold.test]).tolist()
        if shared:
            raise ValueError(f"{where} has rows of the group {shared[0]!r} on both sides; pass cv=GroupKFold(...).")
    return Divisions(folds, splitter)


def _ignores_classes(splitter: Any) -> bool:
    """Return whether a splitter of scikit-learn does not look at classes."""
    kind = type(splitter)
    return kind.__module__.startswith("sklearn.") and "Stratified" not in kind.__name__


def _in_words(splitter: Any) -> str:
    return " ".join(repr(splitter).split())
