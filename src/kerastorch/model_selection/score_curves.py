"""learning_curve and validation_curve: scores over the number of training rows, and over the values of a setting."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerastorch.core.errors import check_int, mismatch, shown
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.arrays import check_indexes
from kerastorch.model_selection.fold_arguments import FoldArguments
from kerastorch.model_selection.fold_models import FoldBuilder
from kerastorch.model_selection.fold_run import FoldRun, check_verbose
from kerastorch.model_selection.fold_training import FoldTask
from kerastorch.model_selection.folds import Divisions, divide
from kerastorch.model_selection.held_out_metrics import parse_metrics
from kerastorch.model_selection.result import Fold
from kerastorch.model_selection.rows import Rows, count_rows
from kerastorch.model_selection.score_curve import SIZES, ScoreCurve
from kerastorch.model_selection.targets import read_targets, targets_of


@public_api
def learning_curve(
    build_fn: Any,
    x: Any,
    y: Any = None,
    sizes: Sequence[float] | Sequence[int] = (0.1, 0.325, 0.55, 0.775, 1.0),
    cv: Any = 5,
    *,
    groups: Any = None,
    stratify: Any = None,
    metrics: Any = None,
    shuffle_rows: bool = True,
    seed: int = 0,
    together: bool = True,
    verbose: Any = "auto",
    **fit_arguments: Any,
) -> ScoreCurve:
    """Return how scores change with the number of training rows: whether more data would help.

    For each fold and each size, a new model is trained on the first rows of the training rows, and evaluated on them
    and on the held-out rows, which are the same for all sizes.

    Args:
        build_fn: As for `cross_validate`; it gets the rows that are trained on.
        x: Inputs of all rows.
        y: Targets of all rows.
        sizes: Numbers of training rows: fractions of the training rows of the smallest fold if they are floats in
            (0, 1], numbers of rows if they are integers. Default 10 %, 32.5 %, 55 %, 77.5 % and 100 %.
        cv: As for `cross_validate`. Default 5.
        groups: Group of each row.
        stratify: As for `cross_validate`.
        metrics: As for `cross_validate`.
        shuffle_rows: Whether the training rows of a fold are shuffled before the first ones are taken. The rows of a
            smaller size are among those of a larger one. `False` for rows in the order of time. Default `True`.
        seed: Seed of the folds, of that order, and of the models: fold `i` has the same seed for all sizes. Default 0.
        together: As for `cross_validate`.
        verbose: As for `cross_validate`.
        fit_arguments: Arguments of `fit`, as for `cross_validate`.

    Returns:
        The scores. With the same splits, `shuffle=True` and the same seed, `learning_curve` of scikit-learn takes the
        same rows.

    Raises:
        ValueError: A size is out of its range; and as for `cross_validate`.

    >>> from kerastorch import Sequential, layers
    >>> def build_fn(x, y):
    ...     model = Sequential([layers.Dense(1)])
    ...     model.compile("adam", "mse")
    ...     return model
    >>> x = np.arange(20.0)[:, None]
    >>> curve = learning_curve(build_fn, x, x, sizes=[4, 16], cv=5, verbose=0)
    >>> curve.train_sizes, curve.test_scores["loss"].shape
    (array([ 4, 16]), (2, 5))
    """
    rows, seed = _checked_rows(x, y), check_int("seed", seed, 0)
    divisions = divide(cv, rows, x=x, y=_targets(x, y, stratify), groups=groups, stratify=stratify, seed=seed)
    orders = [fold.train for fold in divisions.folds]
    if shuffle_rows:
        random = np.random.RandomState(seed)
        orders = [random.permutation(order) for order in orders]
    counts = _numbers_of_rows(sizes, min(map(len, orders)))
    run = _run("learning_curve", fit_arguments, rows, metrics, verbose, together)
    build = FoldBuilder("learning_curve", build_fn)
    found, runs = [], []
    for count in counts:
        tasks = _tasks(divisions, [order[:count] for order in orders], seed)
        runs.append(run.of_value(f"{count} rows, ", f"{count}-rows"))
        found.append(list(runs[-1].folds(build, tasks, x, y)))
    for one in runs:
        one.delete_checkpoints(tasks)
    return _curve(SIZES, tuple(counts), found, divisions.splitter, run)


@public_api
def validation_curve(
    build_fn: Any,
    x: Any,
    y: Any = None,
    values: Sequence[Any] = (),
    cv: Any = 5,
    *,
    name: str = "value",
    groups: Any = None,
    stratify: Any = None,
    metrics: Any = None,
    seed: int = 0,
    together: bool = True,
    verbose: Any = "auto",
    **fit_arguments: Any,
) -> ScoreCurve:
    """Return how scores change with a setting: the number of units, a penalty, a dropout rate.

    For each value and each fold, a new model is trained, and evaluated on the training rows and on the held-out rows.
    All values have the same folds and seeds.

    Args:
        build_fn: Called as `build_fn(x, y, value)`; else as for `cross_validate`.
        x: Inputs of all rows.
        y: Targets of all rows.
        values: Values of the setting, numbers or anything else.
        cv: As for `cross_validate`. Default 5.
        name: Name of the setting, for the plot and the table. Default `"value"`.
        groups: Group of each row.
        stratify: As for `cross_validate`.
        metrics: As for `cross_validate`.
        seed: Seed of the folds and of the models: fold `i` has the same seed for all values. Default 0.
        together: As for `cross_validate`.
        verbose: As for `cross_validate`.
        fit_arguments: Arguments of `fit`, as for `cross_validate`.

    Returns:
        The scores.

    Raises:
        ValueError: There are no values; and as for `cross_validate`.

    >>> from kerastorch import Sequential, layers
    >>> def build_fn(x, y, units):
    ...     model = Sequential([layers.Dense(units, "tanh"), layers.Dense(1)])
    ...     model.compile("adam", "mse")
    ...     return model
    >>> x = np.arange(20.0)[:, None]
    >>> curve = validation_curve(build_fn, x, x, [1, 4], cv=5, name="units", verbose=0)
    >>> curve.values, curve.test_scores["loss"].shape
    ((1, 4), (2, 5))
    """
    rows, seed = _checked_rows(x, y), check_int("seed", seed, 0)
    values = _listed(values)
    divisions = divide(cv, rows, x=x, y=_targets(x, y, stratify), groups=groups, stratify=stratify, seed=seed)
    run = _run("validation_curve", fit_arguments, rows, metrics, verbose, together)
    tasks = _tasks(divisions, [fold.train for fold in divisions.folds], seed)
    found, runs = [], []
    for at, value in enumerate(values):
        build = FoldBuilder("validation_curve", build_fn, value)
        runs.append(run.of_value(f"{name} {value}, ", f"value-{at + 1}"))
        found.append(list(runs[-1].folds(build, tasks, x, y)))
    for one in runs:
        one.delete_checkpoints(tasks)
    return _curve(name, tuple(values), found, divisions.splitter, run)


def _checked_rows(x: Any, y: Any) -> int:
    """Return the number of rows."""
    check_indexes(x, y)
    return count_rows(x=x, y=y)


def _listed(values: Any) -> list[Any]:
    """Return the values of the setting.

    Raises:
        ValueError: They are no list, or there are none.
    """
    try:
        items = iter(() if isinstance(values, (str, bytes)) else values)
    except TypeError:  # a number, an array without axes
        items = iter(())
    listed = list(items)
    if not listed:
        raise mismatch("values", values, "a list of values of the setting")
    return listed


def _targets(x: Any, y: Any, stratify: Any) -> Any:
    return read_targets(x, y) if stratify is True else targets_of(x, y)


def _run(
    owner: str, fit_arguments: Mapping[str, Any], rows: int, metrics: Any, verbose: Any, together: bool
) -> FoldRun:
    arguments = FoldArguments(owner, fit_arguments, rows)
    return FoldRun(arguments, parse_metrics(metrics), check_verbose(verbose), train_scores=True, together=together)


def _tasks(divisions: Divisions, train: Sequence[Rows], seed: int) -> list[FoldTask]:
    """Return the folds, with some of their training rows."""
    pairs = zip(train, divisions.folds, strict=True)
    return [FoldTask(at + 1, seed + at, rows, fold.test) for at, (rows, fold) in enumerate(pairs)]


def _numbers_of_rows(sizes: Any, most: int) -> list[int]:
    """Return the numbers of training rows, in ascending order, each once.

    Args:
        sizes: Fractions or numbers of rows.
        most: Number of training rows of the smallest fold.

    Raises:
        ValueError: A size is out of its range.
    """
    listed = list(sizes) if np.ndim(sizes) == 1 else [sizes]
    counts = set()
    for size in listed:
        if isinstance(size, bool) or not isinstance(size, numbers.Real):
            raise mismatch("sizes", sizes, "fractions in (0, 1], or numbers of rows")
        given: Any = size
        is_fraction = not isinstance(given, numbers.Integral)
        if is_fraction and not 0 < float(size) <= 1:
            raise mismatch("a fraction in sizes", size, "in (0, 1]")
        if not is_fraction and not 1 <= int(given) <= most:
            raise mismatch(
                "a number of rows in sizes", size, f"from 1 to {most}, the training rows of the smallest fold"
            )
        counts.add(max(1, int(float(size) * most)) if is_fraction else int(given))
    if not counts:
        raise ValueError(f"sizes must not be empty, got {shown(sizes)}.")
    return sorted(counts)


def _curve(
    name: str, values: tuple[Any, ...], found: Sequence[Sequence[Fold]], splitter: str, run: FoldRun
) -> ScoreCurve:
    """Return the scores of all folds for all values."""
    names = list(found[0][0].scores)
    test = {one: np.array([[fold.scores[one] for fold in folds] for folds in found]) for one in names}
    train = {one: np.array([[(fold.train_scores or {})[one] for fold in folds] for folds in found]) for one in names}
    known = {n: one.larger_is_better for n, one in run.metrics.items() if one.larger_is_better is not None}
    directions = {**found[0][0].history.metric_directions, **known}
    return ScoreCurve(name, values, train, test, splitter, directions)
