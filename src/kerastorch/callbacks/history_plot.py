"""The plot of a History: each log over the epochs, training and validation in one panel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kerastorch.callbacks.learning_rate import LEARNING_RATE
from kerastorch.callbacks.log_values import as_float
from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import check_writable, parse_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 3, 4.8, 3.4  # largest number of panels side by side; their size in inches
_FIRST_PANELS = ("loss", "data_loss")


class Curve(NamedTuple):
    """The numbers of one log.

    Attributes:
        epochs: Epochs that logged it, counted from 1.
        values: Its value after each of them.
    """

    epochs: list[int]
    values: list[float]


Best = Callable[[str], tuple[int, float] | None]


def plot_curves(
    curves: Mapping[str, Curve],
    best: Best,
    path: str | os.PathLike[str] | None,
    starts: Sequence[int] = (),
    mark: Callable[[Figure, Mapping[str, Axes]], None] | None = None,
) -> Figure:
    """Plot curves, with training and validation of a log in one panel.

    Args:
        curves: Curves by the names of their logs, at least one.
        best: Returns the best epoch of a log, counted from 1, and the value; `None` if its direction is unknown.
        path: File to save the plot to; `None` saves nothing.
        starts: First epochs of the fits after the first one, counted from 1; a line is drawn before each. Default:
            none.
        mark: Called with the figure and the panels by their names, to draw more. Default: nothing.

    Raises:
        ValueError: There is no curve, or the suffix of `path` is unknown.
    """
    file = plot_file(path)
    from kerastorch.core.pyplot_figure import DPI, new_panels

    names = panel_names(curves)
    if not names:
        raise ValueError("There is no epoch to plot yet.")
    figure, panels = new_panels(len(names), COLUMNS, PANEL_WIDTH, PANEL_HEIGHT)
    for axes, name in zip(panels, names, strict=True):
        _draw(axes, name, curves, best)
        for start in starts:
            axes.axvline(start - 0.5, color="#999999", linestyle=":", linewidth=1, zorder=0)
    if mark is not None:
        mark(figure, dict(zip(names, panels, strict=True)))
    if file is not None:
        figure.savefig(file, dpi=DPI)
    return figure


def plot_file(path: str | os.PathLike[str] | None, who: str = "History.plot") -> Path | None:
    """Return the file to save a plot to, checked before the plot is made.

    Args:
        path: Path of the file, or `None`.
        who: Name of the function, for messages.

    Raises:
        ImportError: Matplotlib is not installed.
        ValueError: The suffix is unknown.
    """
    require_package(who, "matplotlib")
    from kerastorch.core.pyplot_figure import check_suffix

    if path is None:
        return None
    file = parse_path("path", path)
    check_suffix("path", file)
    check_writable(file)
    return file


def numeric_curves(logs: Mapping[str, tuple[Sequence[int], Sequence[Any]]]) -> dict[str, Curve]:
    """Return the curves of the logs that are one number an epoch; learning rates that stay the same are left out.

    Args:
        logs: Name of a log -> its epochs, counted from 0, and its values.
    """
    curves = {}
    for name, (epochs, values) in logs.items():
        numbers = [number for number in map(as_float, values) if number is not None]
        if len(numbers) == len(values) and not _is_constant_rate(name, numbers):
            curves[name] = Curve([epoch + 1 for epoch in epochs], numbers)
    return curves


def panel_names(curves: Iterable[str]) -> list[str]:
    """Return the names of the panels of a plot: `loss`, `data_loss`, and the others in alphabetical order."""
    names = {name.removeprefix("val_") for name in curves}
    order = _FIRST_PANELS
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def marker_of(curve: Curve) -> str | None:
    """Return the marker of the points of a curve, which a long one does not have."""
    from kerastorch.core.pyplot_figure import point_marker

    return point_marker(len(curve.epochs))


def _draw(axes: Axes, name: str, curves: Mapping[str, Curve], best: Best) -> None:
    """Draw a log of the training, that of the validation, and the best epoch."""
    from kerastorch.core.pyplot_figure import COLORS, set_epoch_axis

    validation = f"val_{name}"
    for key, label, color in ((name, "training", COLORS[0]), (validation, "validation", COLORS[1])):
        if key in curves:
            axes.plot(*curves[key], color=color, marker=marker_of(curves[key]), label=label)
    found = best(validation) if validation in curves else None
    if found is not None:
        axes.plot(
            *found, marker="o", markersize=9, markerfacecolor="none", markeredgecolor="#333333", markeredgewidth=1.6,
            linestyle="none", label=f"best: epoch {found[0]}",
        )  # fmt: skip
    axes.set_ylabel(name, parse_math=False)
    everything = [epoch for curve in curves.values() for epoch in curve.epochs]
    set_epoch_axis(axes, min(everything), max(everything))
    if validation in curves or not any(key.startswith("val_") for key in curves):
        axes.legend()


def _is_constant_rate(name: str, values: list[float]) -> bool:
    """Return whether a log is a learning rate that stayed the same."""
    return name.startswith(LEARNING_RATE) and len(set(values)) == 1
