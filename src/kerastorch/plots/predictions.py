"""`plot_predictions`: images with their true and predicted classes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kerastorch.core.errors import check_int
from kerastorch.core.traceback_filter import public_api
from kerastorch.plots.arrays import Array, check_same_rows
from kerastorch.plots.images import gray_limits, scale_colors, to_images
from kerastorch.plots.labels import check_same_kind, to_labels, to_names, to_predicted_labels
from kerastorch.plots.target import Target, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WRONG = "#D00000"


@public_api
def plot_predictions(
    images: Any,
    y_true: Any,
    y_pred: Any = None,
    class_names: Sequence[str] | None = None,
    n: int = 25,
    *,
    columns: int | None = None,
    cmap: str = "gray",
    to_file: str | os.PathLike[str] | None = None,
) -> Figure:
    """Plot the first images with their true and predicted classes; the titles of wrong predictions are red.

    The plot needs matplotlib: `pip install matplotlib`.

    Args:
        images: Gray images `(n, h, w)` or square ones as rows `(n, h * h)`; or images with 1, 3 or 4 channels,
            `(n, channels, h, w)` or `(n, h, w, channels)`. Values are 0..1 or 0..255; any other range is mapped to it.
        y_true: True classes: numbers or names, shape `(n,)` or `(n, 1)`, or one-hot rows `(n, k)`.
        y_pred: Predicted classes as numbers or names, shape `(n,)`; or what a model predicts, as for
            `plot_confusion_matrix`. Default: titles show the true class alone.
        class_names: Names of classes 0, 1, ... Default: the numbers.
        n: Largest number of images. Default 25.
        columns: Number of images side by side. Default: the grid is about square.
        cmap: Matplotlib's colormap of gray images. Default `"gray"`, large values white; `"gray_r"` draws them black.
        to_file: Path of a file to save the plot to, whose suffix chooses the format. Default: nothing is saved.

    Returns:
        The matplotlib figure, which `plt.show()` shows in a script, and which a notebook displays.

    Raises:
        ValueError: The shape is not that of images; the arguments have different lengths; or a class has no name.
        ImportError: Matplotlib is missing.

    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> images, classes = load_digits(return_X_y=True)  # images of 8 x 8 pixels as rows of 64
    >>> figure = plot_predictions(images[:2], classes[:2], [0, 7])
    >>> [axes.get_title() for axes in figure.axes]
    ['true: 0\\npredicted: 0', 'true: 1\\npredicted: 7']
    >>> plt.close(figure)
    """
    target = Target("plot_predictions", to_file)
    shown, true = to_images("images", images), to_labels("y_true", y_true)
    check_same_rows("images", len(shown), "y_true", len(true))
    predicted = true if y_pred is None else to_predicted_labels(y_pred)[0]
    check_same_rows("images", len(shown), "y_pred", len(predicted))
    check_same_kind(true, predicted)
    n = min(check_int("n", n), len(shown))
    columns = math.ceil(math.sqrt(n)) if columns is None else check_int("columns", columns)
    titles = to_names(true[:n], class_names)
    if y_pred is not None:
        both = zip(titles, to_names(predicted[:n], class_names), strict=True)
        titles = [f"true: {one}\npredicted: {other}" for one, other in both]
    limits = gray_limits(shown) if shown.ndim == 3 else None
    shown = (shown if limits else scale_colors(shown))[:n]
    return target.save(_draw(shown, limits, titles, true[:n] == predicted[:n], columns, cmap))


def _draw(
    images: Array, limits: tuple[float, float] | None, titles: list[str], is_right: Array, columns: int, cmap: str
) -> Figure:
    """Draw images in a grid.

    Args:
        images: Gray or color images.
        limits: Values of the two ends of the colormap, for gray images.
        titles: Text above each image.
        is_right: Whether each prediction is right.
        columns: Number of images side by side.
        cmap: Colormap of gray images.
    """
    from kerastorch.core.pyplot_figure import new_panels

    lines = titles[0].count("\n") + 1
    widest = max(len(line) for title in titles for line in title.splitlines())
    width = max(1.5, 0.085 * widest + 0.2)
    ratio = min(max(images.shape[1] / images.shape[2], 0.4), 2.5)
    panels = new_panels(len(images), columns, width, 1.4 * ratio + 0.2 * lines + 0.1)[1]
    for axes, image, title, right in zip(panels, images, titles, is_right, strict=True):
        if limits:
            axes.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1])
        else:
            axes.imshow(image)
        axes.set_xticks([])
        axes.set_yticks([])
        _set_title(axes, title, bool(right))
    return figure_of(panels[0])


def _set_title(axes: Axes, title: str, is_right: bool) -> None:
    """Set the title of an image; that of a wrong prediction is red and bold, with a red frame around the image."""
    if is_right:
        axes.set_title(title, fontsize=9, parse_math=False)
        return
    axes.set_title(title, fontsize=9, color=WRONG, fontweight="bold", parse_math=False)
    for spine in axes.spines.values():
        spine.set(color=WRONG, linewidth=2.0)
