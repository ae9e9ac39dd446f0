"""Figures of pyplot that a notebook displays once, their colors and files; imported when the first plot is made."""

from __future__ import annotations

import io
import math
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerastorch.core.errors import mismatch

# the palette of Okabe & Ito 2008, which people with any kind of color blindness can tell apart, without its yellow
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
# ten colors of Petroff 2021 (arXiv:2107.02270), chosen for the same purpose
_TEN_COLORS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
_MOST_WITH_MARKERS = 30  # points of a curve with a marker for each
DPI = 150  # pixels per inch of saved pictures
_INLINE = ("inline", "module://matplotlib_inline.backend_inline")


class PyplotFigure(Figure):
    """A figure of pyplot that a notebook displays once.

    The inline backend of notebooks displays all open figures at the end of a cell. A figure that is also the value of
    the last line would be displayed a second time.
    """

    def _ipython_display_(self) -> None:
        """Close the figure in pyplot, and let IPython display it as any other figure.

        Raises:
            NotImplementedError: Always; IPython then displays the figure in the formats that the user has chosen.
        """
        if _is_inline():
            pyplot.close(self)
        raise NotImplementedError

    def _repr_png_(self) -> bytes | None:
        """Return the figure as PNG for notebooks without the inline backend, which has formats of its own."""
        if _is_inline():
            return None
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=100)
        return picture.getvalue()


def _is_inline() -> bool:
    return matplotlib.get_backend() in _INLINE


def new_figure(width: float, height: float) -> Figure:
    """Return a new figure of pyplot.

    Args:
        width: In inches.
        height: In inches.
    """
    figure: Figure = pyplot.figure(figsize=(width, height), layout="constrained", FigureClass=PyplotFigure)
    return figure


def new_panels(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a new figure of pyplot with panels, row by row.

    Args:
        count: Number of panels.
        columns: Largest number of panels side by side.
        width: Of a panel, in inches.
        height: Of a panel, in inches.
    """
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    figure = new_figure(width * columns, height * rows)
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]


def set_epoch_axis(axes: Axes, first: int, last: int) -> None:
    """Show the epochs from `first` to `last`, counted from 1, with whole numbers at the ticks."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    margin = max(0.5, 0.03 * (last - first))
    axes.set_xlim(first - min(margin, 0.9), last + margin)  # without an epoch 0
    axes.grid(alpha=0.3)


def point_marker(points: int) -> str | None:
    """Return the marker of the points of a curve, which one with many points does not have."""
    return "." if points < _MOST_WITH_MARKERS else None


def check_suffix(name: str, path: Path) -> None:
    """Check that matplotlib can write a file of this kind.

    Args:
        name: Name of the argument, for the message.
        path: The path of the file.

    Raises:
        ValueError: The suffix is missing or unknown.
    """
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in known:
        raise mismatch(name, str(path), "a file name that ends in .png, .svg, .pdf, .jpg or another format of images")


def distinct_colors(count: int) -> list[str]:
    """Return colors that differ from each other; more than ten come from a color map, and neighbors are similar."""
    for colors in (COLORS, _TEN_COLORS):
        if count <= len(colors):
            return list(colors[:count])
    viridis = matplotlib.colormaps["viridis"]  # without its yellow end, which is hard to see on white
    return [matplotlib.colors.to_hex(viridis(0.9 * number / (count - 1))) for number in range(count)]
