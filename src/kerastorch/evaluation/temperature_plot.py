"""Plot of accuracy over confidence, before and after temperature scaling."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerastorch.core.path_checks import check_writable, parse_path
from kerastorch.core.pyplot_figure import COLORS, DPI, check_suffix, new_panels
from kerastorch.evaluation.calibration import Calibration

_GRAY = "#888888"


def plot_calibrations(panels: Sequence[tuple[str, Calibration]], path: str | os.PathLike[str] | None) -> Figure:
    """Plot accuracy over confidence, in a panel for each calibration.

    Args:
        panels: Titles and calibrations.
        path: File for the picture; `None` writes none.
    """
    file = None if path is None else parse_path("path", path)
    if file is not None:
        check_suffix("path", file)
        check_writable(file)
    figure, axes = new_panels(len(panels), len(panels), 4.2, 3.9)
    for axis, (title, bins), color in zip(axes, panels, COLORS, strict=False):
        _draw(axis, bins, color)
        axis.set_title(title, fontsize=10)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    if file is not None:
        figure.savefig(file, dpi=DPI)
    return figure


def _draw(axes: Axes, bins: Calibration, color: str) -> None:
    """Draw the accuracy of each bin as a bar, with the share of the rows as a line of dots."""
    widths = np.diff(bins.edges)
    is_filled = bins.counts > 0
    axes.bar(
        bins.edges[:-1][is_filled], bins.accuracy[is_filled], widths[is_filled], align="edge", color=color,
        alpha=0.75, edgecolor="white", label="accuracy",
    )  # fmt: skip
    share = bins.counts / bins.counts.sum()
    axes.plot(
        (bins.edges[:-1] + widths / 2)[is_filled],
        share[is_filled],
        "o",
        color="black",
        markersize=3.5,
        label="share of the targets",
    )
    axes.plot([0, 1], [0, 1], "--", color=_GRAY, label="confidence = accuracy")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
