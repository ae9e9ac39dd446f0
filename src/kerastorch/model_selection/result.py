"""CrossValidation: scores, predictions and curves of all folds, which `cross_validate` returns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastorch.callbacks.history import History
from kerastorch.core.errors import unknown
from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.optional_dependency import require_package
from kerastorch.model import Model
from kerastorch.model_selection.interval import corrected_interval
from kerastorch.model_selection.rows import Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Fold:
    """One fold of a cross-validation.

    Attributes:
        number: Number of the fold, from 1.
        seed: Seed of Python, NumPy and torch before its model was built.
        train: Numbers of the training rows, `(n,)`.
        test: Numbers of the held-out rows, `(m,)`.
        history: Logs of its training.
        scores: Loss and metrics on the held-out rows, after training.
        train_scores: The same on the training rows; `None` without `return_train_score=True`.
        curves: Loss and metrics on the held-out rows after each epoch; `None` without `held_out_curves=True`.
        predictions: What the model predicts for the held-out rows, in the order of `test`; `None` if the outputs have
            no row for each of them.
        model: The trained model; `None` without `return_models=True`.
        seconds: Duration of the training; of folds that were trained together, the share of this one; of a fold that
            was resumed, the part since then.
        alone_because: Why this fold was not trained together with others to the end; `None` if it was.
    """

    number: int
    seed: int
    train: Rows
    test: Rows
    history: History
    scores: Mapping[str, float]
    train_scores: Mapping[str, float] | None
    curves: Mapping[str, list[float]] | None
    predictions: Any
    model: Model | None
    seconds: float
    alone_because: str | None

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.4g}" for name, value in self.scores.items())
        return f"Fold({self.number}: {len(self.train)} training and {len(self.test)} held-out rows, {scores})"


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """Scores, predictions and curves of all folds of a cross-validation.

    Attributes:
        folds: The folds, in order.
        predictions: Predictions for the held-out rows, in the order of the rows: an array of shape `(rows, ...)`, or a
            tuple, list or dict of them. A row that was held out several times has the mean of its predictions, one that
            was never held out has NaN. `None` if the outputs have no row for each input.
        times_held_out: How often each row was held out, `(rows,)`.
        splitter: What divided the rows, in words.

    >>> from kerastorch import Sequential, layers
    >>> def build_fn(x, y):
    ...     model = Sequential([layers.Dense(1, kernel_initializer="zeros")])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> from kerastorch.model_selection import cross_validate
    >>> x = np.zeros((4, 1))
    >>> result = cross_validate(build_fn, x, np.array([2.0, 2.0, 2.0, 2.0]), cv=2, verbose=0, epochs=50)
    >>> result.scores["loss"].shape, bool(result.mean["loss"] < 1.0)
    ((2,), True)
    """

    folds: tuple[Fold, ...]
    predictions: Any
    times_held_out: Array
    splitter: str

    @property
    def scores(self) -> dict[str, Array]:
        """Scores on the held-out rows: name -> array of shape `(folds,)`."""
        return _columns([fold.scores for fold in self.folds])

    @property
    def train_scores(self) -> dict[str, Array]:
        """Scores on the training rows: name -> array of shape `(folds,)`.

        Raises:
            ValueError: `cross_validate` was called without `return_train_score=True`.
        """
        found = [fold.train_scores for fold in self.folds if fold.train_scores is not None]
        if not found:
            raise ValueError("there are no scores of the training rows; pass return_train_score=True.")
        return _columns(found)

    @property
    def histories(self) -> list[History]:
        """Logs of the training of each fold."""
        return [fold.history for fold in self.folds]

    @property
    def models(self) -> list[Model]:
        """Trained models of the folds.

        Raises:
            ValueError: `cross_validate` was called without `return_models=True`.
        """
        found = [fold.model for fold in self.folds if fold.model is not None]
        if not found:
            raise ValueError("the models were not kept; pass return_models=True.")
        return found

    @property
    def mean(self) -> dict[str, float]:
        """Mean score of the folds, by name."""
        return {name: float(values.mean()) for name, values in self.scores.items()}

    @property
    def spread(self) -> dict[str, float]:
        """Standard deviation of the scores of the folds (divided by their number minus one); NaN for one fold."""
        return {name: _spread(values) for name, values in self.scores.items()}

    def interval(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Return a confidence interval of each mean score, by name.

        Folds share training rows, so their scores are not independent. The interval is the corrected t interval of
        Nadeau and Bengio (Inference for the Generalization Error, Machine Learning 52, 2003): the variance of the mean
        of `k` scores is taken as `s^2 (1/k + m/n)`, with `n` training rows and `m` held-out rows, and there are
        `k - 1` degrees of freedom. It is an approximation that assumes that scores are about normal. It does not cover
        what a new sample of data of another kind would change.

        The interval does not know the bounds of a score. With few folds that differ much, an accuracy, AUC, F1 or R2
        may have an end above 1, and an error or an accuracy one below 0. Ends are not clipped, since an end out of
        bounds shows that the approximation is poor for these folds. The values out of bounds can be ignored.

        Args:
            level: Probability of the interval, between 0 and 1. Default 0.95.
        """
        train = float(np.mean([len(fold.train) for fold in self.folds]))
        test = float(np.mean([len(fold.test) for fold in self.folds]))
        return {name: corrected_interval(values, train, test, level) for name, values in self.scores.items()}

    def frame(self) -> Any:
        """Return a pandas DataFrame with a row for each fold (needs pandas).

        Columns are the numbers of rows, the seed, the scores, those of the training rows as `train_...`, and seconds.
        """
        require_package("CrossValidation.frame", "pandas")
        import pandas as pd

        rows = [
            {
                "train_rows": len(fold.train),
                "test_rows": len(fold.test),
                "seed": fold.seed,
                **fold.scores,
                **{f"train_{name}": value for name, value in (fold.train_scores or {}).items()},
                "seconds": fold.seconds,
            }
            for fold in self.folds
        ]
        return pd.DataFrame(rows, index=pd.Index([fold.number for fold in self.folds], name="fold"))

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Plot the score of each fold, their mean and its 95 % interval, a panel for each score (needs matplotlib).

        Args:
            path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: The suffix of `path` is unknown.
        """
        require_package("CrossValidation.plot", "matplotlib")
        from kerastorch.model_selection.score_plots import ScorePanel, plot_scores

        intervals = self.interval()
        training = {} if self.folds[0].train_scores is None else self.train_scores
        panels = {n: ScorePanel(values, training.get(n), intervals[n]) for n, values in self.scores.items()}
        return plot_scores(panels, path)

    def plot_curves(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Plot each log over the epochs: a thin line for each fold, and their mean (needs matplotlib).

        Beside the logs of the training are those of `validation_split`, and those of the held-out rows with
        `held_out_curves=True`. The mean ends with the shortest fold.

        Args:
            path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: The suffix of `path` is unknown.
        """
        require_package("CrossValidation.plot_curves", "matplotlib")
        from kerastorch.model_selection.score_plots import FoldLogs, plot_fold_curves

        return plot_fold_curves([FoldLogs(fold.history, fold.curves) for fold in self.folds], path)

    def __str__(self) -> str:
        return "\n".join([self._headline(), *self._table(), *self._notes()])

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.4g} ± {self.spread[name]:.2g}" for name, value in self.mean.items())
        return f"CrossValidation({len(self.folds)} folds: {scores})"

    def __getitem__(self, name: str) -> Array:
        """Return the scores of a name, `result["accuracy"]`, as `result.scores["accuracy"]` does.

        Raises:
            ValueError: There is no score of this name.
        """
        if name not in self.scores:
            raise unknown("score", name, self.scores)
        return self.scores[name]

    def _headline(self) -> str:
        folds = f"{len(self.folds)} fold{'s' if len(self.folds) > 1 else ''}"
        return f"{folds} of {len(self.times_held_out)} rows, {self.splitter}"

    def _table(self) -> list[str]:
        mean, spread, interval = self.mean, self.spread, self.interval()
        width = max(map(len, mean))
        lines = [f"{'':{width}}  {'mean':>9}  {'spread':>9}  95 % interval of the mean"]
        for name in mean:
            low, high = interval[name]
            ends = "" if low != low else f"{low:.4g} to {high:.4g}"
            lines.append(f"{name:{width}}  {mean[name]:>9.4g}  {spread[name]:>9.3g}  {ends}".rstrip())
        return lines

    def _notes(self) -> list[str]:
        never = int((self.times_held_out == 0).sum())
        rows = f"{never} row{'s were' if never > 1 else ' was'}"
        return [f"{rows} never held out; the predictions for them are NaN."] if never else []


def out_of_fold(folds: Sequence[Fold], rows: int) -> tuple[Any, Array]:
    """Return the predictions for all rows, and how often each row was held out.

    Args:
        folds: The folds.
        rows: Number of rows.

    Raises:
        ValueError: The outputs of two folds differ in shape.
    """
    counts = np.zeros(rows, int)
    for fold in folds:
        counts[fold.test] += 1
    if any(fold.predictions is None for fold in folds):
        return None, counts
    for fold in folds:
        for (name, first), (_, other) in zip(leaves(folds[0].predictions), leaves(fold.predictions), strict=True):
            if first.shape[1:] != other.shape[1:]:
                raise ValueError(
                    f"the models of the folds have outputs{name} of different shapes: {first.shape[1:]} in fold 1, "
                    f"{other.shape[1:]} in fold {fold.number}. Does build_fn count the classes of its rows? Use the "
                    "number of classes of all rows."
                )
    tests = [fold.test for fold in folds]
    return map_structure(lambda *parts: _joined(parts, tests, counts), *(fold.predictions for fold in folds)), counts


def _joined(parts: Sequence[Array], tests: Sequence[Rows], counts: Array) -> Array:
    """Return the mean prediction for each row, NaN for rows without one."""
    shape = (len(counts), *parts[0].shape[1:])
    if (counts == 1).all():
        joined = np.empty(shape, parts[0].dtype)
        for part, test in zip(parts, tests, strict=True):
            joined[test] = part
        return joined
    sums = np.zeros(shape)
    for part, test in zip(parts, tests, strict=True):
        sums[test] += part
    divisor = np.where(counts > 0, counts, np.nan).reshape(-1, *[1] * (len(shape) - 1))
    return (sums / divisor).astype(np.result_type(parts[0].dtype, np.float32))


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """Return the values of each name as an array, NaN where a fold has none."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def _spread(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
