"""The plots of a report: a figure with the panels that fit the task, or a single panel."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerastorch.core.errors import check_choice
from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import parse_path
from kerastorch.evaluation import class_panels, value_panels
from kerastorch.evaluation.predictions import ClassPredictions, ValuePredictions
from kerastorch.evaluation.report_data import ReportData
from kerastorch.plots.target import Target, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panel = Callable[["Axes", ReportData], None]
_WIDTH, _HEIGHT = 4.6, 4.0  # of a panel, in inches


def plot_report(report: ReportData, path: str | os.PathLike[str] | None, kind: str | None) -> Figure:
    """Return the figure of a report.

    Args:
        report: The report.
        path: File to save the figure to, or `None`; the name of a panel counts as `kind`.
        kind: Name of a single panel; `None` for all that fit the task.

    Raises:
        ImportError: Matplotlib is not installed.
        ValueError: The report has no such panel.
    """
    require_package("Report.plot", "matplotlib")
    path, kind = _path_or_kind(path, kind)
    target = Target("Report.plot", path, name="path")
    panels = _panels(report)
    known = _kinds(report)
    if kind is not None:
        kind = check_choice(f"kind of plot of this {report.task} report", kind, known)
    if kind == "worst":
        return target.save(_plot_worst(report))
    shown = panels if kind is None else {kind: panels[kind]}
    from kerastorch.core.pyplot_figure import new_panels

    columns = 2 if len(shown) in (2, 4) else 3
    width, height = _size(report, shown)
    figure, axes = new_panels(len(shown), columns, width, height)
    for one, panel in zip(axes, shown.values(), strict=True):
        panel(one, report)
    return target.save(figure)


def plot_reports(
    reports: Mapping[str, ReportData], path: str | os.PathLike[str] | None, kind: str | None
) -> dict[str, Figure]:
    """Return the figure of each report, by the name of its output.

    Args:
        reports: The reports.
        path: File to save the figures to, with the name of the output before the suffix; or `None`.
        kind: Name of a single panel, which at least one report has; `None` for all panels.

    Raises:
        ImportError: Matplotlib is not installed.
        ValueError: No report has such a panel.
    """
    path, kind = _path_or_kind(path, kind)
    having = {name: one for name, one in reports.items() if kind is None or kind in _kinds(one)} or reports
    file = None if path is None else parse_path("path", path)
    found = {}
    for name, one in having.items():
        text = re.sub(r"[^\w.-]", "_", name)
        own = None if file is None else file.with_name(f"{file.stem}-{text}{file.suffix}")
        found[name] = plot_report(one, own, kind)
    return found


def _path_or_kind(
    path: str | os.PathLike[str] | None, kind: str | None
) -> tuple[str | os.PathLike[str] | None, str | None]:
    """Return the path and the name of a panel, which may stand in the place of the path."""
    if isinstance(path, str) and kind is None and not Path(path).suffix:
        return None, path
    return path, kind


def _kinds(report: ReportData) -> list[str]:
    return [*_panels(report), *(["worst"] if _has_images(report) else [])]


def _panels(report: ReportData) -> dict[str, Panel]:
    """Return the panels that a report has, by name."""
    found: dict[str, Panel] = {}
    if isinstance(report.predictions, ValuePredictions):
        found = {
            "predictions": value_panels.draw_predictions,
            "residuals": value_panels.draw_residuals,
            "histogram": value_panels.draw_histogram,
        }
    else:
        if report.confusion is not None:
            found["confusion"] = class_panels.draw_confusion
        if report.predictions.scores is not None:
            found |= {"roc": class_panels.draw_roc, "precision_recall": class_panels.draw_precision_recall}
        if report.calibration is not None:
            found["calibration"] = class_panels.draw_calibration
        if report.task != "binary":
            found["classes"] = class_panels.draw_classes
    if report.slices:
        found["slices"] = value_panels.draw_slices
    return found


def _size(report: ReportData, shown: dict[str, Panel]) -> tuple[float, float]:
    """Return width and height of a panel in inches: a single confusion matrix of many classes is larger."""
    if list(shown) == ["confusion"]:
        size = min(max(0.55 * len(report.class_names) + 2.0, 3.6), 20.0)
        return size, size
    if list(shown) == ["classes"]:
        return _WIDTH, max(_HEIGHT, 0.22 * len(report.class_names) + 1.0)
    if list(shown) == ["slices"]:
        return 6.0, max(_HEIGHT, 0.25 * len(report.slices) + 1.0)
    return _WIDTH, _HEIGHT


def _has_images(report: ReportData) -> bool:
    """Return whether the inputs of the worst rows are images of classes."""
    inputs = [one.input for one in report.worst]
    if not inputs or not isinstance(report.predictions, ClassPredictions) or report.predictions.rows is not None:
        return False
    shapes = {None if one is None else one.shape for one in inputs}
    shape = next(iter(shapes))
    if len(shapes) > 1 or shape is None:
        return False
    return len(shape) == 2 or (len(shape) == 3 and (shape[0] in (1, 3, 4) or shape[-1] in (1, 3, 4)))


def _plot_worst(report: ReportData) -> Figure:
    """Return the images with the largest losses, with true and predicted classes."""
    from kerastorch.plots.predictions import plot_predictions

    images = np.stack([one.input for one in report.worst if one.input is not None])
    true, predicted = ([getattr(one, name) for one in report.worst] for name in ("target", "prediction"))
    figure = plot_predictions(images, true, predicted, n=len(images))
    for axes, one in zip(figure.axes, report.worst, strict=False):
        axes.set_xlabel(f"row {one.index}, loss {one.loss:.3g}", fontsize=8)
    return figure_of(figure.axes[0])
