"""Where a plot is drawn and saved: checks of `ax` and `to_file` before the work starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kerastorch.core.errors import mismatch
from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import check_writable, parse_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_LEGEND = 5  # entries of a legend within the axes


class Target:
    """The place of a plot: a new figure or the user's axes, and the file that it is saved to.

    Args:
        who: Name of the function, for messages.
        to_file: Path of the file; `None` saves nothing.
        ax: Axes to draw in; `None` makes a new figure.
        name: Name of the argument `to_file` in messages.

    Raises:
        ImportError: Matplotlib is missing.
        TypeError: `to_file` is no path, or `ax` no axes.
        ValueError: The suffix of `to_file` is unknown.
    """

    def __init__(
        self, who: str, to_file: str | os.PathLike[str] | None, ax: Axes | None = None, name: str = "to_file"
    ) -> None:
        require_package(who, "matplotlib")
        from matplotlib.axes import Axes

        from kerastorch.core.pyplot_figure import check_suffix

        self.path: Path | None = None
        if to_file is not None:
            self.path = parse_path(name, to_file)
            check_suffix(name, self.path)
            check_writable(self.path)
        if ax is not None and not isinstance(ax, Axes):
            raise TypeError(str(mismatch("ax", ax, "matplotlib axes, such as plt.gca()")))
        self.ax = ax

    def axes(self, width: float, height: float) -> Axes:
        """Return the user's axes, or those of a new figure of this size in inches."""
        from kerastorch.core.pyplot_figure import new_panels

        return new_panels(1, 1, width, height)[1][0] if self.ax is None else self.ax

    def save(self, figure: Figure) -> Figure:
        """Save a figure if there is a file to save it to, and return it."""
        from kerastorch.core.pyplot_figure import DPI

        if self.path is not None:
            figure.savefig(self.path, dpi=DPI)
        return figure


def figure_of(axes: Axes) -> Figure:
    """Return the figure of axes, also if they are in a part of it."""
    figure: Figure = axes.figure.figure  # `axes.figure` may be a SubFigure
    return figure


def add_legend(axes: Axes, title: str | None = None) -> None:
    """Add a legend in which a `$` of a name does not begin a formula; a long one is beside the axes."""
    is_long = len(axes.get_legend_handles_labels()[0]) > LONGEST_LEGEND
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if is_long else {"loc": "best"}
    for text in axes.legend(title=title, **place).get_texts():
        text.set_parse_math(False)
