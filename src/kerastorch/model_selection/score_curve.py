"""ScoreCurve: scores over the number of training rows or the values of a setting, which the curve functions return."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastorch.callbacks.monitor import check_mode, monitor_sign
from kerastorch.core.errors import unknown
from kerastorch.core.optional_dependency import require_package

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
SIZES = "training rows"  # what varies in a learning curve


@dataclass(frozen=True, eq=False, repr=False)
class ScoreCurve:
    """Scores of training rows and held-out rows over the number of training rows or the values of a setting.

    Attributes:
        name: Name of what varies: `"training rows"` or that of the setting.
        values: Numbers of training rows, or values of the setting.
        train_scores: Name of a score -> its values on the training rows, `(values, folds)`.
        test_scores: Name of a score -> its values on the held-out rows, `(values, folds)`.
        splitter: What divided the rows, in words.
        metric_directions: Scores, each with whether larger is better, as far as it is known.
    """

    name: str
    values: tuple[Any, ...]
    train_scores: Mapping[str, Array]
    test_scores: Mapping[str, Array]
    splitter: str
    metric_directions: Mapping[str, bool]

    @property
    def train_sizes(self) -> Array:
        """Numbers of training rows, as `learning_curve` of scikit-learn names them."""
        if self.name != SIZES:
            raise AttributeError("only the result of learning_curve has train_sizes.")
        return np.array(self.values)

    def best(self, score: str = "loss", mode: str = "auto") -> Any:
        """Return the value with the best mean score on the held-out rows.

        Args:
            score: Name of the score. Default `"loss"`.
            mode: `'min'` if smaller is better, `'max'` if larger is better, `'auto'` (default) to infer it from the
                metric or its name.

        Raises:
            ValueError: The score is unknown or always NaN, or `mode='auto'` and the direction is unknown.
        """
        if score not in self.test_scores:
            raise unknown("score", score, self.test_scores)
        sign = monitor_sign(score, check_mode(mode), self)
        means = sign * self.test_scores[score].mean(1)
        if np.isnan(means).all():
            raise ValueError(f"{score} was NaN for every value.")
        return self.values[int(np.nanargmax(means))]

    def frame(self) -> Any:
        """Return a pandas DataFrame with a row for each value and fold, and a column for each score (needs pandas).

        Scores on the training rows have names such as `train_loss`.
        """
        require_package("ScoreCurve.frame", "pandas")
        import pandas as pd

        n_folds = next(iter(self.test_scores.values())).shape[1]
        columns: dict[str, Any] = {
            self.name: [value for value in self.values for _ in range(n_folds)],
            "fold": [fold + 1 for _ in self.values for fold in range(n_folds)],
        }
        for prefix, scores in (("", self.test_scores), ("train_", self.train_scores)):
            columns |= {f"{prefix}{name}": values.ravel() for name, values in scores.items()}
        return pd.DataFrame(columns)

    def plot(self, path: str | os.PathLike[str] | None = None, *, scores: Sequence[str] | str | None = None) -> Figure:
        """Plot the mean scores of training and held-out rows, with bands of one standard deviation (needs matplotlib).

        Args:
            path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved.
            scores: Names of the scores to plot, a panel for each. Default: all.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: A score or the suffix of `path` is unknown.
        """
        require_package("ScoreCurve.plot", "matplotlib")
        from kerastorch.model_selection.score_plots import plot_score_curve

        names = list(self.test_scores) if scores is None else [scores] if isinstance(scores, str) else list(scores)
        for name in names:
            if name not in self.test_scores:
                raise unknown("score", name, self.test_scores)
        panels = {name: (self.train_scores[name], self.test_scores[name]) for name in names}
        return plot_score_curve(panels, self.values, self.name, path)

    def __str__(self) -> str:
        labels = [str(value) for value in self.values]
        width = max(len(self.name), *map(len, labels))
        names = list(self.test_scores)
        lines = [f"{self.name:>{width}}" + "".join(f"  {name:>22}" for name in names)]
        lines.append(" " * width + "  " + "  ".join(f"{'training':>10}  {'held out':>10}" for _ in names))
        for at, label in enumerate(labels):
            pairs = [(self.train_scores[name][at].mean(), self.test_scores[name][at].mean()) for name in names]
            lines.append(f"{label:>{width}}  " + "  ".join(f"{train:>10.4g}  {test:>10.4g}" for train, test in pairs))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"ScoreCurve({len(self.values)} values of {self.name}: {', '.join(self.test_scores)})"
