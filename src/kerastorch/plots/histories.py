"""`plot_histories`: the curves of several trainings in one plot."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
from kerastorch.core.errors import shown, unknown
from kerastorch.core.traceback_filter import public_api

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES: dict[str, Any] = {"training": "--", "validation": "-"}
_KINDS = (
    "a History, the path of a saved one, a model or estimator that was trained, a dict of lists as history.history, or "
    "a list of these, such as the folds of a cross-validation"
)
_LINE_HEIGHT, _CHARACTER_WIDTH, _HANDLE_WIDTH = 0.22, 0.085, 0.6  # of a legend, in inches
_LONGEST_LABEL = 60  # characters of the name of a run


class _Run(NamedTuple):
    """A training, or several that are drawn in one color, such as the folds of a cross-validation.

    Attributes:
        label: Its name in the legend.
        curves: The curves of each training, by the names of their logs.
    """

    label: str
    curves: list[dict[str, Curve]]

    def find(self, name: str) -> list[Curve]:
        """Return the curves of a log."""
        return [one[name] for one in self.curves if name in one]


@public_api
def plot_histories(
    histories: Mapping[Any, Any] | Sequence[Any],
    logs: str | Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Plot the curves of several trainings: a panel for each log, a color for each training (needs matplotlib).

    Curves of the training are dashed, those of the validation are solid. If no training has a validation, all are
    solid. Several trainings under one name, such as the folds of a cross-validation, have one color: a thin line each,
    and a thick one for their mean, as far as all of them were trained.

    Args:
        histories: Dict from a name for the legend to a `History`, the path of a saved one, a model or estimator that
            was trained, or a dict of lists as `history.history`, also of Keras. A list of these is several trainings
            under one name, and so are an ensemble and the result of a cross-validation. A list instead of the dict gets
            numbers, or the names of the files.
        logs: Names of the logs to draw, such as `["loss", "accuracy"]`: `"loss"` has the validation in its panel, too,
            and `"val_loss"` is the validation alone. Default: all that are one number an epoch, without learning rates
            that stay the same.
        path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved.

    Returns:
        The matplotlib figure, which `plt.show()` shows in a script, and which a notebook displays.

    Raises:
        ImportError: Matplotlib is not installed.
        TypeError: `histories` is something else.
        ValueError: There is no training, none has an epoch, no training has one of `logs`, or the suffix of `path` is
            unknown.
        CheckpointError: A file is none of a history.

    >>> import matplotlib.pyplot as plt
    >>> runs = {"small": {"loss": [3.0, 2.0]}, "large": {"loss": [3.0, 1.0, 0.5], "val_loss": [3.0, 2.0, 2.5]}}
    >>> figure = plot_histories(runs)
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss']
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['small', 'large', 'training', 'validation']
    >>> plt.close(figure)
    """
    file = plot_file(path, "plot_histories")
    from kerastorch.core.pyplot_figure import DPI, distinct_colors, new_panels

    runs = [_Run(label, [found.curves() for found in _histories_of(label, run)]) for label, run in _named(histories)]
    wanted = _wanted_logs(logs, runs)
    names = panel_names(wanted)
    if not names:
        raise ValueError("There is no epoch to plot: no training has a log that is one number an epoch.")
    colors = distinct_colors(len(runs))
    figure, panels = new_panels(len(names), COLUMNS, PANEL_WIDTH, PANEL_HEIGHT)
    for axes, name in zip(panels, names, strict=True):
        _draw(axes, name, [one for one in (name, f"val_{name}") if one in wanted], runs, colors)
    _add_legend(figure, runs, colors, has_styles=any(name.startswith("val_") for name in wanted))
    if file is not None:
        figure.savefig(file, dpi=DPI)
    return figure


def _named(histories: Any) -> list[tuple[str, Any]]:
    """Return the trainings with their names.

    Raises:
        TypeError: They are neither a dict nor a list.
        ValueError: There is none.
    """
    if isinstance(histories, Mapping):
        if histories and all(map(_is_curve, histories.values())):
            raise TypeError(
                "histories must be a dict from names to trainings; these are the curves of one training. Write "
                "plot_histories({'name': curves})."
            )
        found = [(str(name), run) for name, run in histories.items()]
    elif isinstance(histories, (list, tuple)):
        found = [(_default_name(number, run), run) for number, run in enumerate(histories, 1)]
    else:
        advice = " history.plot() draws the curves of one training." if isinstance(histories, History) else ""
        raise TypeError(f"histories must be a dict from names to trainings, or a list, got {shown(histories)}.{advice}")
    if not found:
        raise ValueError("histories has no training.")
    return found


def _default_name(number: int, run: Any) -> str:
    return Path(run).stem if isinstance(run, (str, os.PathLike)) else f"run {number}"


def _is_curve(value: Any) -> bool:
    """Return whether a value is a list of numbers, and not of trainings."""
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(one, (int, float)) for one in value)


def _histories_of(label: str, run: Any) -> list[History]:
    """Return the histories of what stands under a name.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(run, History):
        return [run]
    if isinstance(run, (str, os.PathLike)):
        return [History.load(run)]
    if isinstance(run, Mapping):
        return [_from_dict(label, run)]
    if isinstance(run, (list, tuple)) and run:
        return [history for one in run for history in _histories_of(label, one)]
    folds = getattr(run, "histories", None)  # the result of a cross-validation
    if isinstance(folds, (list, tuple)):
        return _histories_of(label, folds)
    for name in ("history", "history_"):  # of a model, a history of Keras, an estimator
        inner = getattr(run, name, None)
        if isinstance(inner, History):
            return [inner]
        if isinstance(inner, Mapping):
            return [_from_dict(label, inner)]
    if hasattr(run, "fit"):
        raise TypeError(f"{label!r} is a model without a history: it was not trained by fit.")
    raise TypeError(f"{label!r} must be {_KINDS}; got {shown(run)}.")


def _from_dict(label: str, logs: Mapping[Any, Any]) -> History:
    """Return the history of a dict of lists.

    Raises:
        TypeError: It is another dict.
    """
    history = History()
    for name, values in logs.items():
        if not isinstance(name, str) or isinstance(values, str) or not hasattr(values, "__len__"):
            raise TypeError(f"{label!r} must be {_KINDS}; got a dict with {shown(name)}: {shown(values)}.")
        history.history[name] = list(values)
    return history


def _wanted_logs(logs: str | Sequence[str] | None, runs: Iterable[_Run]) -> list[str]:
    """Return the names of the logs to draw, validation included.

    Raises:
        ValueError: No training has one of them.
    """
    known = dict.fromkeys(name for run in runs for curves in run.curves for name in curves)
    if logs is None:
        return list(known)
    found: list[str] = []
    for name in [logs] if isinstance(logs, str) else logs:
        with_validation = [one for one in (name, f"val_{name}") if one in known]
        if not with_validation:
            raise unknown("log", name, known)
        found += with_validation
    return found


def _draw(axes: Axes, name: str, logs: Sequence[str], runs: Sequence[_Run], colors: Sequence[str]) -> None:
    """Draw a log of all trainings in a panel.

    Args:
        axes: The panel.
        name: Name of the log without `val_`.
        logs: Names of the logs of the panel: the training's, the validation's, or both.
        runs: The trainings.
        colors: Their colors.
    """
    from kerastorch.core.pyplot_figure import set_epoch_axis

    has_validation = f"val_{name}" in logs
    drawn = [curve for run in runs for log in logs for curve in run.find(log)]
    for run, color in zip(runs, colors, strict=True):
        for log in logs:
            style = _STYLES["training" if log == name and has_validation else "validation"]
            _draw_run(axes, run.find(log), {"color": color, "linestyle": style})
    axes.set_ylabel(name, parse_math=False)
    set_epoch_axis(axes, min(curve.epochs[0] for curve in drawn), max(curve.epochs[-1] for curve in drawn))


def _draw_run(axes: Axes, curves: Sequence[Curve], look: Mapping[str, Any]) -> None:
    """Draw a curve, or several with their mean."""
    if len(curves) == 1:
        axes.plot(*curves[0], marker=marker_of(curves[0]), **look)
        return
    values: dict[int, list[float]] = {}
    for curve in curves:
        axes.plot(*curve, linewidth=0.7, alpha=0.5, **look)
        for epoch, value in zip(*curve, strict=True):
            values.setdefault(epoch, []).append(value)
    epochs = sorted(epoch for epoch, found in values.items() if len(found) == len(curves))
    mean = Curve(epochs, [sum(values[epoch]) / len(curves) for epoch in epochs])
    if epochs:
        axes.plot(*mean, marker=marker_of(mean), linewidth=2, **look)


def _add_legend(figure: Figure, runs: Sequence[_Run], colors: Sequence[str], *, has_styles: bool) -> None:
    """Add a legend below the panels; the figure grows by its height."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color) for color in colors]
    labels = [_label(run) for run in runs]
    if has_styles:
        handles += [Line2D([], [], color="#444444", linestyle=style) for style in _STYLES.values()]
        labels += list(_STYLES)
    width, height = figure.get_size_inches()
    columns = max(1, int(width / (_HANDLE_WIDTH + _CHARACTER_WIDTH * max(map(len, labels)))))
    columns = min(columns, len(labels))
    figure.set_size_inches(width, height + _LINE_HEIGHT * (1 - (-len(labels) // columns)))
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _label(run: _Run) -> str:
    """Return the name of a run in the legend."""
    label = " ".join(run.label.split()) or "(no name)"
    label = label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 3]}..."
    label += "" if any(run.curves) else " (no epoch)"
    return f" {label}" if label.startswith("_") else label  # matplotlib leaves out labels that begin with `_`
