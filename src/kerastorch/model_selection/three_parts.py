"""train_validation_test_split: rows in three parts, at random, stratified, by groups or by time."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerastorch.core.errors import check_int, mismatch, shown, warn
from kerastorch.core.traceback_filter import public_api
from kerastorch.model_selection.labels import Labels, class_labels, group_labels, labels_or_column
from kerastorch.model_selection.rows import Rows, count_rows, take_rows

PARTS = ("training", "validation", "test")
_NAMES = {0: "x", 1: "y"}
DRAWS = 100  # random divisions of groups, of which the best one is taken
_ROUNDING = 1e-7  # 0.07 * 100 is a little more than 7


@public_api
def train_validation_test_split(
    *arrays: Any,
    validation_size: float | int = 0.2,
    test_size: float | int = 0.2,
    stratify: Any = None,
    groups: Any = None,
    by_time: Any = None,
    seed: int = 0,
) -> list[Any]:
    """Split rows into training, validation and test rows.

    By default the rows are drawn at random. They are those that `train_test_split` of scikit-learn draws with the same
    seed, first the test rows and then, from the other rows, the validation rows.

    Args:
        arrays: Arrays, tensors, DataFrames, lists, dicts or tuples of inputs, or datasets with a length, of the same
            number of rows, usually `x` and `y`.
        validation_size: Size of the validation part: a fraction of all rows if it is a float between 0 and 1, a number
            of rows if it is an integer. Fractions are rounded up to whole rows. Default 0.2.
        test_size: Size of the test part, in the same way. Default 0.2.
        stratify: Labels of the rows, `True` for those of the last array, or the name of a column: each part gets the
            same proportion of each class. Default: no stratification.
        groups: The group of each row, such as a patient, or the name of a column: the rows of a group are all in one
            part. The parts are then as close to their sizes as the groups allow. Default: no groups.
        by_time: `True` if the rows are in the order of time, or the time of each row, or the name of a column: the
            first rows train, the next ones validate, and the last ones are the test rows, each part in the order of
            time. Default: rows are drawn at random.
        seed: Seed of the random choice. Default 0.

    Returns:
        A list with three parts of each array, each of the array's own type:
        `x_train, x_val, x_test, y_train, y_val, y_test`.

    Raises:
        TypeError: An array has no rows that can be selected.
        ValueError: A part would be empty; a class or the groups are too few; the arrays have different lengths; two
            arguments exclude each other.

    >>> x, y = np.arange(20).reshape(10, 2), np.arange(10)
    >>> x_train, x_val, x_test, y_train, y_val, y_test = train_validation_test_split(x, y, by_time=True)
    >>> y_train, y_val, y_test
    (array([0, 1, 2, 3, 4, 5]), array([6, 7]), array([8, 9]))
    """
    if not arrays:
        raise ValueError("pass the arrays to split: train_validation_test_split(x, y).")
    rows = count_rows(**{_NAMES.get(at, f"array {at + 1}"): one for at, one in enumerate(arrays)})
    sizes = _part_sizes(rows, validation_size, test_size)
    seed = check_int("seed", seed, 0)
    classes = _classes(stratify, arrays, rows)
    of_group = None if groups is None else group_labels(groups, arrays, rows)
    if by_time is not None and by_time is not False:
        for name, one in (("stratify", classes), ("groups", of_group)):
            if one is not None:
                raise ValueError(f"by_time keeps the order of the rows, so it cannot be combined with {name}.")
        parts = _by_time(rows, None if by_time is True else labels_or_column(by_time, "by_time", arrays, rows), sizes)
    elif of_group is None:
        parts = _at_random(rows, classes, sizes, seed)
    else:
        parts = _by_groups(of_group, classes, sizes, seed)
    if classes is not None:
        _warn_of_missing_classes(classes, parts)
    return [take_rows(one, part) for one in arrays for part in parts]


def _part_sizes(rows: int, validation_size: Any, test_size: Any) -> tuple[int, int, int]:
    """Return the numbers of training, validation and test rows."""
    validation = _number_of_rows("validation_size", validation_size, rows)
    test = _number_of_rows("test_size", test_size, rows)
    train = rows - validation - test
    if train < 1:
        raise ValueError(f"{rows} rows cannot give {validation} validation and {test} test rows, and rows to train on.")
    return train, validation, test


def _number_of_rows(name: str, size: Any, rows: int) -> int:
    expected = f"a fraction between 0 and 1, or an integer from 1 to {rows - 1}"
    if isinstance(size, bool) or not isinstance(size, numbers.Real):
        raise mismatch(name, size, expected)
    if isinstance(size, numbers.Integral):
        if not 1 <= int(size) < rows:
            raise mismatch(name, size, expected)
        return int(size)
    if not 0 < float(size) < 1:
        raise mismatch(name, size, expected)
    return max(1, math.ceil((float(size) - _ROUNDING) * rows))


def _classes(stratify: Any, arrays: Sequence[Any], rows: int) -> Labels | None:
    """Return the class of each row; `None` if the parts need not have the same proportions."""
    if stratify is None or stratify is False:
        return None
    given = arrays[-1] if stratify is True else stratify
    if not isinstance(given, str):
        found = class_labels(given)
        if found is None:
            what = "of one class for each row as the last array" if stratify is True else "for each row"
            raise ValueError(f"stratify needs labels {what}, got {shown(given)}; pass stratify=labels.")
        given = found
    classes = labels_or_column(given, "stratify", arrays, rows)
    _check_classes(classes)
    return classes


def _check_classes(classes: Labels) -> None:
    """Raise if a class has fewer rows than there are parts."""
    kinds, counts = np.unique(classes, return_counts=True)
    if counts.min() < len(PARTS):
        rare = kinds[counts.argmin()].item()
        n_rows = f"{counts.min()} row{'s' if counts.min() > 1 else ''}"
        advice = " These labels look like values; without stratify the rows are drawn at random." * (
            classes.dtype.kind == "f"
        )
        raise ValueError(
            f"class {rare!r} has {n_rows}; stratify needs at least {len(PARTS)}, one for each part.{advice}"
        )


def _warn_of_missing_classes(classes: Labels, parts: Sequence[Rows]) -> None:
    """Warn if a part has no row of a class, because the part or the class is small."""
    for name, rows in zip(PARTS, parts, strict=True):
        missing = np.setdiff1d(classes, classes[rows])
        if len(missing):
            shown_classes = ", ".join(repr(one) for one in missing[:10].tolist())
            warn(f"the {name} rows have no row of the class {shown_classes}; the class or the part is too small.")


def _at_random(rows: int, classes: Labels | None, sizes: tuple[int, int, int], seed: int) -> list[Rows]:
    """Return rows that scikit-learn draws, first for the test and then for the validation."""
    from sklearn.model_selection import train_test_split

    _, n_validation, n_test = sizes
    n_classes = 0 if classes is None else len(np.unique(classes))
    for name, size in zip(PARTS, sizes, strict=True):
        if size < n_classes:
            raise ValueError(f"{size} {name} rows cannot hold {n_classes} classes; make the part larger.")
    rest, test = train_test_split(np.arange(rows), test_size=n_test, stratify=classes, random_state=seed)
    of_rest = None if classes is None else classes[rest]
    try:
        train, validation = train_test_split(rest, test_size=n_validation, stratify=of_rest, random_state=seed)
    except ValueError as error:  # the test rows hold all rows of a class but one
        raise ValueError(f"the classes have too few rows for parts of these sizes: {error}") from error
    return [train, validation, test]


def _by_time(rows: int, times: Labels | None, sizes: tuple[int, int, int]) -> list[Rows]:
    """Return consecutive rows in the order of time."""
    order = np.arange(rows) if times is None else np.argsort(times, kind="stable")
    return np.split(order, np.cumsum(sizes[:2]))


def _by_groups(groups: Labels, classes: Labels | None, sizes: tuple[int, int, int], seed: int) -> list[Rows]:
    """Return parts of whole groups: of some random divisions, the one that is closest to the sizes and proportions."""
    kinds, group_of_row = np.unique(groups, return_inverse=True)
    if len(kinds) < len(PARTS):
        raise ValueError(f"groups has {len(kinds)} different groups; three parts need at least {len(PARTS)}.")
    columns = np.zeros(len(groups), int) if classes is None else np.unique(classes, return_inverse=True)[1]
    counts = np.zeros((len(kinds), columns.max() + 1))  # rows of each class in each group
    np.add.at(counts, (group_of_row, columns), 1)
    random = np.random.RandomState(seed)
    divisions = (_divide(random.permutation(len(kinds)), counts.sum(1), sizes) for _ in range(DRAWS))
    best = min(divisions, key=lambda parts: _unlikeness(parts, counts, sizes))
    return [np.flatnonzero(np.isin(group_of_row, part)) for part in best]


def _divide(order: Rows, rows_of: Labels, sizes: tuple[int, int, int]) -> list[Rows]:
    """Return groups for the three parts, given a random order of the groups and the rows of each."""
    parts: list[Rows] = []
    for left, size in ((2, sizes[2]), (1, sizes[1])):  # groups that the parts to come need
        available = order[: len(order) - left] if len(order) > left else order
        reached = np.cumsum(rows_of[available])
        count = max(1, int(np.searchsorted(reached, size, "right")))
        chosen, gap = available[:count], size - reached[count - 1]
        others = available[count:]
        if gap > 0 and len(others):
            nearest = others[np.abs(rows_of[others] - gap).argmin()]
            if abs(rows_of[nearest] - gap) < gap:
                chosen = np.append(chosen, nearest)
        parts.insert(0, chosen)
        order = order[~np.isin(order, chosen)]
    return [order, *parts]


def _unlikeness(parts: Sequence[Rows], counts: Labels, sizes: Sequence[int]) -> float:
    """Return how far the sizes of parts, and the proportions of their classes, are from what they should be."""
    whole = counts.sum(0) / counts.sum()
    found = 0.0
    for part, size in zip(parts, sizes, strict=True):
        rows = counts[part].sum(0)
        found += abs(rows.sum() - size) / size + np.abs(rows / rows.sum() - whole).sum()
    return float(found)
