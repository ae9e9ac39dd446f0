"""Plots of cross-validation: the score of each fold, and the curves of the folds over the epochs."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerastorch.callbacks.history import History
from kerastorch.callbacks.history_plot import (
    COLUMNS,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    Curve,
    marker_of,
    panel_names,
    plot_file,
)
from kerastorch.core.pyplot_figure import COLORS, DPI, new_panels, set_epoch_axis

Array = np.ndarray[Any, Any]
_SOURCES = ("training", "validation", "held out")  # of a curve over the epochs, in the order of the colors
_MOST_TICKS = 8  # values of a logarithmic axis that are all labelled
_LEGEND_HEIGHT = 0.3  # inches


class ScorePanel(NamedTuple):
    """What a panel of `plot_scores` shows.

    Attributes:
        held_out: Score of each fold on its held-out rows.
        training: Score of each fold on its training rows, or `None`.
        interval: Ends of the interval of the mean; NaN if there is none.
    """

    held_out: Array
    training: Array | None
    interval: tuple[float, float]


class FoldLogs(NamedTuple):
    """The logs of one fold.

    Attributes:
        history: Logs of its training.
        held_out: Logs of the held-out rows, with a value for each epoch, or `None`.
    """

    history: History
    held_out: Mapping[str, Sequence[float]] | None


def plot_scores(panels: Mapping[str, ScorePanel], path: str | os.PathLike[str] | None) -> Figure:
    """Plot the score of each fold, with the mean and its interval.

    Args:
        panels: What to show, by the name of the score.
        path: File to save the plot to, or `None`.
    """
    file = plot_file(path)
    figure, all_axes = new_panels(len(panels), COLUMNS, PANEL_WIDTH, PANEL_HEIGHT)
    for axes, (name, panel) in zip(all_axes, panels.items(), strict=True):
        values, (low, high) = panel.held_out, panel.interval
        numbers = range(1, len(values) + 1)
        if low == low:
            axes.axhspan(low, high, color=COLORS[0], alpha=0.15, linewidth=0, label="95 % interval of the mean")
        axes.axhline(float(np.mean(values)), color=COLORS[0], linewidth=1.5, label="mean")
        spread = f", spread {values.std(ddof=1):.2g}" if len(values) > 1 else ""
        axes.set_title(f"mean {np.mean(values):.4g}{spread}", fontsize="medium")
        if panel.training is not None:
            axes.plot(numbers, panel.training, "o", markerfacecolor="none", color=COLORS[1], label="training rows")
        axes.plot(numbers, values, "o", color=COLORS[0], label="held-out rows")
        axes.set_xlabel("fold")
        axes.set_ylabel(name, parse_math=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(0.5, len(values) + 0.5)
        axes.grid(alpha=0.3)
    return _finished(figure, all_axes, file)


def plot_fold_curves(folds: Sequence[FoldLogs], path: str | os.PathLike[str] | None) -> Figure:
    """Plot the logs of all folds over the epochs, with their mean.

    Args:
        folds: The logs of each fold.
        path: File to save the plot to, or `None`.

    Raises:
        ValueError: No epoch was trained.
    """
    file = plot_file(path)
    curves = [_curves_of(fold) for fold in folds]
    names = panel_names(dict.fromkeys(name for one in curves for _, name in one))
    if not names:
        raise ValueError("There is no epoch to plot.")
    figure, panels = new_panels(len(names), COLUMNS, PANEL_WIDTH, PANEL_HEIGHT)
    longest = max(curve.epochs[-1] for one in curves for curve in one.values())
    for axes, name in zip(panels, names, strict=True):
        for source, color in zip(_SOURCES, COLORS, strict=False):
            _draw_curves(axes, [one[source, name] for one in curves if (source, name) in one], color, source)
        axes.set_ylabel(name, parse_math=False)
        set_epoch_axis(axes, 1, longest)
    return _finished(figure, panels, file)


def _curves_of(fold: FoldLogs) -> dict[tuple[str, str], Curve]:
    """Return the curves of a fold by their source and the name of the log."""
    found: dict[tuple[str, str], Curve] = {}
    for name, curve in fold.history.curves().items():
        found["validation" if name.startswith("val_") else "training", name.removeprefix("val_")] = curve
    for name, values in (fold.held_out or {}).items():
        found["held out", name] = Curve([epoch + 1 for epoch in fold.history.epoch], list(values))
    return found


def _draw_curves(axes: Axes, curves: Sequence[Curve], color: str, label: str) -> None:
    """Draw a thin line for each fold, and the mean over the epochs that all folds have."""
    if not curves:
        return
    for curve in curves:
        axes.plot(curve.epochs, curve.values, color=color, linewidth=0.8, alpha=0.35, marker=marker_of(curve))
    shared = sorted(set.intersection(*(set(curve.epochs) for curve in curves)))
    values = [[dict(zip(*curve, strict=True))[epoch] for epoch in shared] for curve in curves]
    mean = Curve(shared, np.mean(values, axis=0).tolist())
    axes.plot(*mean, color=color, linewidth=2, marker=marker_of(mean), label=f"{label}, mean of the folds")


def plot_score_curve(
    panels: Mapping[str, tuple[Array, Array]],
    positions: Sequence[Any],
    label: str,
    path: str | os.PathLike[str] | None,
) -> Figure:
    """Plot training and held-out scores over sizes or values: the mean, and a band of one standard deviation.

    Args:
        panels: Name of a score -> scores of the training rows and of the held-out rows, `(positions, folds)`.
        positions: Sizes or values; what is no number is spread evenly.
        label: Label of the horizontal axis.
        path: File to save the plot to, or `None`.
    """
    file = plot_file(path)
    are_numbers = all(isinstance(one, (int, float, np.number)) and not isinstance(one, bool) for one in positions)
    at = [float(one) for one in positions] if are_numbers else list(range(len(positions)))
    figure, axes_of = new_panels(len(panels), COLUMNS, PANEL_WIDTH, PANEL_HEIGHT)
    for axes, (name, (train, test)) in zip(axes_of, panels.items(), strict=True):
        for scores, color, source in ((train, COLORS[0], "training rows"), (test, COLORS[1], "held-out rows")):
            mean = scores.mean(1)
            if scores.shape[1] > 1:
                spread = scores.std(1, ddof=1)
                axes.fill_between(at, mean - spread, mean + spread, color=color, alpha=0.15, linewidth=0)
            axes.plot(at, mean, "o-", color=color, label=source)
        axes.set_xlabel(label, parse_math=False)
        axes.set_ylabel(name, parse_math=False)
        _set_value_axis(axes, at, None if are_numbers else [str(one) for one in positions])
    return _finished(figure, axes_of, file)


def _set_value_axis(axes: Axes, at: Sequence[float], labels: Sequence[str] | None) -> None:
    """Set the scale of the axis of sizes or values: logarithmic if they span more than a factor of 50.

    Args:
        axes: The panel.
        at: Positions of the points.
        labels: Their labels; `None` if the positions are the values.
    """
    axes.grid(alpha=0.3)
    if labels is not None:
        axes.set_xticks(at, labels)
        return
    positive = [one for one in at if one > 0]
    if min(at) < 0 or not positive or max(at) < 50 * min(positive):
        return
    if min(at) > 0:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=min(positive))
    if len(at) <= _MOST_TICKS:
        axes.set_xticks(at, [f"{one:g}" for one in at])
    axes.minorticks_off()


def _finished(figure: Figure, panels: Sequence[Axes], file: Any) -> Figure:
    """Return a figure with one legend above its panels, saved if there is a file."""
    known = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    width, height = figure.get_size_inches()
    rows = math.ceil(len(known) / (COLUMNS if len(panels) > 1 else 2))
    figure.set_size_inches(width, height + _LEGEND_HEIGHT * rows)
    columns = math.ceil(len(known) / rows)
    figure.legend(known.values(), known.keys(), loc="outside upper center", ncols=columns, frameon=False)
    if file is not None:
        figure.savefig(file, dpi=DPI)
    return figure
