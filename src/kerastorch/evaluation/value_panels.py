"""Panels of regressions: predictions, residuals and their histogram; and the panel of slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from kerastorch.evaluation.predictions import ValuePredictions
from kerastorch.evaluation.report_data import ReportData
from kerastorch.evaluation.report_text import main_metrics, number, shortened
from kerastorch.evaluation.slices import Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 5000  # of a scatter plot; of more, evenly spaced ones are drawn
MOST_COLUMNS = 6  # with a color
MOST_SLICES = 40
LONGEST_NAME, LONGEST_SLICE = 18, 40  # characters of a name in one of several panels, and of slices in a panel alone


def draw_predictions(axes: Axes, report: ReportData) -> None:
    """Draw targets over predictions, with the prediction interval."""
    _draw_points(axes, report, "actual_vs_predicted")
    found = report.prediction_intervals
    if found is not None and len(found.low) == 1:
        ends = np.array(axes.get_xlim())
        axes.fill_between(
            ends, ends + found.low[0], ends + found.high[0], color="#444444", alpha=0.1, linewidth=0,
            label=f"{100 * found.level:g} % interval",
        )  # fmt: skip
        axes.set_xlim(*ends)
    axes.set(xlabel="prediction", ylabel="target", title="targets over predictions")
    axes.set_aspect("auto")
    _add_legend(axes)


def draw_residuals(axes: Axes, report: ReportData) -> None:
    """Draw residuals over predictions."""
    _draw_points(axes, report, "residual_vs_predicted")
    axes.set(xlabel="prediction", ylabel="target - prediction", title="residuals")


def _draw_points(axes: Axes, report: ReportData, kind: str) -> None:
    """Draw the points of each column with scikit-learn's display."""
    from matplotlib.ticker import AutoLocator, ScalarFormatter
    from sklearn.metrics import PredictionErrorDisplay

    from kerastorch.core.pyplot_figure import COLORS

    found = report.predictions
    assert isinstance(found, ValuePredictions)
    step = max(1, -(-len(found.y) // MOST_POINTS))
    many = len(found.names) > 1
    for column, name in list(enumerate(found.names))[:MOST_COLUMNS]:
        options = {"color": COLORS[column], "s": 14, "alpha": 0.6, "linewidths": 0}
        if many and kind == "actual_vs_predicted":
            options["label"] = as_label(shortened(name, LONGEST_NAME))
        PredictionErrorDisplay(y_true=found.y[::step, column], y_pred=found.predicted[::step, column]).plot(
            ax=axes, kind=kind, scatter_kwargs=options, line_kwargs={"color": "#444444", "linewidth": 0.8}
        )
    for axis in (axes.xaxis, axes.yaxis):  # the display sets ticks at the ends of the data
        axis.set_major_locator(AutoLocator())
        axis.set_major_formatter(ScalarFormatter())
    axes.grid(alpha=0.3)


def draw_histogram(axes: Axes, report: ReportData) -> None:
    """Draw the histogram of the residuals."""
    from kerastorch.core.pyplot_figure import COLORS

    found = report.predictions
    assert isinstance(found, ValuePredictions)
    residuals = found.y - found.predicted
    low, high = float(residuals.min()), float(residuals.max())
    size = max(abs(low), abs(high)) or 1.0
    if high - low < 1e-9 * size:  # all are equal, but for rounding: too near for bins
        low, high = low - size / 2, high + size / 2
    bins = np.linspace(low, high, min(40, max(8, len(residuals) // 5)) + 1).tolist()
    for column, name in list(enumerate(found.names))[:MOST_COLUMNS]:
        label = as_label(shortened(name, LONGEST_NAME)) if len(found.names) > 1 else None
        kind: Literal["bar", "step"] = "bar" if len(found.names) == 1 else "step"
        axes.hist(residuals[:, column], bins=bins, histtype=kind, color=COLORS[column], alpha=0.7, label=label)
    intervals = report.prediction_intervals
    if intervals is not None and len(found.names) == 1:
        for end in (intervals.low[0], intervals.high[0]):
            axes.axvline(end, color="#444444", linewidth=0.9, linestyle="--")
    axes.axvline(0, color="#444444", linewidth=0.8, linestyle=":")
    axes.set(xlabel="target - prediction", ylabel="count", title="distribution of residuals")
    _add_legend(axes)


def as_label(name: str) -> str:
    """Return a name as a label of a legend, from which matplotlib leaves out those that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name


def _add_legend(axes: Axes) -> None:
    """Add a legend if something has a label; dollar signs in names stand for themselves."""
    if axes.get_legend_handles_labels()[0]:
        for text in axes.legend(fontsize=8).get_texts():
            text.set_parse_math(False)


def draw_slices(axes: Axes, report: ReportData) -> None:
    """Draw the main metric of each slice with its interval, and that of all rows as a line."""
    from kerastorch.core.pyplot_figure import COLORS

    name = main_metrics(report)[0]
    shown = [one for one in report.slices.values() if name in one.metrics][:MOST_SLICES]
    for place, one in enumerate(shown):
        color = "#888888" if one.is_small else COLORS[0]
        value = one.metrics[name]
        low, high = one.intervals.get(name, (value, value))
        axes.plot([low, high], [place, place], color=color, linewidth=1.6)
        axes.plot(value, place, "o", color=color, markersize=6)
    axes.axvline(report.metrics[name], color="#444444", linewidth=0.9, linestyle=":", label="all rows")
    size = LONGEST_SLICE if len(axes.figure.axes) == 1 else LONGEST_NAME
    labels = [f"{_slice_name(one, size)} ({one.n_rows})" for one in shown]
    axes.set_yticks(range(len(shown)), labels, parse_math=False, fontsize=8)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set(xlabel=name, title=f"slices, all rows: {number(report.metrics[name])}")
    axes.grid(alpha=0.3, axis="x")


def _slice_name(one: Slice, size: int) -> str:
    """Return the name of a slice with the column and the value cut off, and the column left out if both are long."""
    if len(one.name) <= size + 6:
        return one.name
    value = shortened(one.value, size)
    room = size + 6 - len(value) - 1
    return f"{shortened(one.column, room)}={value}" if room >= 4 else value
