"""`plot_confusion_matrix`: how often each class was predicted for each true class."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastorch.core.errors import check_choice
from kerastorch.core.traceback_filter import public_api
from kerastorch.plots.arrays import Array, check_same_rows
from kerastorch.plots.labels import check_class_names, check_same_kind, to_labels, to_predicted_labels
from kerastorch.plots.target import Target, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

SMALLEST_TEXT, SMALLEST_NAME = 3.5, 5.0  # points of the numbers in cells, and of the names of classes
_TITLES = {"true": "fraction of each true class", "pred": "fraction of each predicted class", "all": "fraction of all"}


@public_api
def plot_confusion_matrix(
    y_true: Any,
    y_pred: Any,
    class_names: Sequence[str] | None = None,
    normalize: str | None = None,
    *,
    to_file: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot a confusion matrix: a row for each true class, a column for each predicted class.

    The numbers are those of `sklearn.metrics.confusion_matrix`. The plot needs matplotlib: `pip install matplotlib`.

    Args:
        y_true: True classes: numbers or names, shape `(n,)` or `(n, 1)`, or one-hot rows `(n, k)`.
        y_pred: Predicted classes as numbers or names, shape `(n,)`; or what a model predicts: an output for each class,
            shape `(n, k)`, of which the largest counts, or the probability of the second class, shape `(n,)` or
            `(n, 1)`, which counts above 0.5.
        class_names: Names of classes 0, 1, ... for the axes. Default: the numbers. If classes are names themselves, the
            names to show, in this order; default: all in alphabetical order.
        normalize: `'true'` shows fractions of each row, `'pred'` of each column, `'all'` of all samples. Default:
            counts.
        to_file: Path of a file to save the plot to, whose suffix chooses the format. Default: nothing is saved.
        ax: Matplotlib axes to draw in. Default: a new figure.

    Returns:
        The matplotlib figure, which `plt.show()` shows in a script, and which a notebook displays.

    Raises:
        ValueError: The arguments have different lengths; a class has no name; or a single column of outputs is not in
            0..1.
        ImportError: Matplotlib is missing.

    >>> import matplotlib.pyplot as plt
    >>> figure = plot_confusion_matrix([0, 0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], ["no", "yes"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '1', '0', '2']
    >>> plt.close(figure)
    """
    target = Target("plot_confusion_matrix", to_file, ax)
    normalize = None if normalize is None else check_choice("normalize", normalize, _TITLES)
    true, predicted, n_outputs = to_labels("y_true", y_true), *to_predicted_labels(y_pred)
    check_same_rows("y_true", len(true), "y_pred", len(predicted))
    labels, names = _classes(true, predicted, n_outputs, class_names)
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(true, predicted, labels=labels, normalize=normalize)
    size = min(max(0.55 * len(names) + 2.0, 3.4), 20.0)
    axes = target.axes(size, size)
    draw_matrix(axes, matrix, names, normalize)
    return target.save(figure_of(axes))


def _classes(
    true: Array, predicted: Array, n_outputs: int | None, class_names: Sequence[str] | None
) -> tuple[Array, list[str]]:
    """Return the classes of the rows and columns, and their names."""
    check_same_kind(true, predicted)
    found = np.unique(np.concatenate([true, predicted]))
    if true.dtype.kind == "U":
        names = [str(one) for one in (found if class_names is None else class_names)]
        missing = sorted(set(found.tolist()) - set(names))
        if missing:
            raise ValueError(f"class_names lacks {', '.join(map(repr, missing))}.")
        return np.array(names), names
    if class_names is None and n_outputs is None:
        return found, [str(one) for one in found]
    count = max(n_outputs or 0, 0 if class_names is None else len(class_names))
    outside = found[(found < 0) | (found >= count)]
    if len(outside):
        what = "class_names has" if n_outputs is None else "y_pred has columns for"
        raise ValueError(f"there is a class {outside[0]}, but {what} {count}: the classes are 0 to {count - 1}.")
    return np.arange(count), check_class_names(class_names, count)


def draw_matrix(axes: Axes, matrix: Array, names: list[str], normalize: str | None) -> None:
    """Draw a confusion matrix, with its values in the cells if they are large enough to be read.

    Args:
        axes: Axes to draw in.
        matrix: A row for each true class, `(classes, classes)`.
        names: Names of the classes.
        normalize: As for `plot_confusion_matrix`.
    """
    count = len(names)
    image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1 if normalize else max(matrix.max(), 1))
    box = axes.get_window_extent().transformed(axes.figure.dpi_scale_trans.inverted())
    points = 72 * min(box.width, box.height) / count  # side of a cell
    texts = {place: _cell_text(value, normalize) for place, value in np.ndenumerate(matrix)}
    size = min(11.0, 1.2 * points / max(3, *map(len, texts.values())))
    if size >= SMALLEST_TEXT:
        for (row, column), text in texts.items():
            color = _text_color(image, float(matrix[row, column]))
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=color)
    else:
        axes.figure.colorbar(image, ax=axes, label="fraction" if normalize else "count", shrink=0.8)
    for line in range(1, count) if size >= SMALLEST_TEXT else ():
        axes.axhline(line - 0.5, color="white", linewidth=1.0)
        axes.axvline(line - 0.5, color="white", linewidth=1.0)
    _set_names(axes, names, points)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if normalize:
        axes.set_title(_TITLES[normalize])


def _cell_text(value: float, normalize: str | None) -> str:
    """Return the text of a cell: a fraction, or a count, which is no whole number if rows are weighted."""
    return f"{value:.2f}" if normalize else f"{value:g}" if float(value).is_integer() else f"{value:.1f}"


def _set_names(axes: Axes, names: list[str], points: float) -> None:
    """Set the names of the classes on both axes; of many classes, only some that have room.

    Args:
        axes: The axes of a matrix.
        names: Names of the classes.
        points: Side of a cell in points.
    """
    size = min(10.0, max(SMALLEST_NAME, 0.9 * points))
    shown = list(range(0, len(names), max(1, math.ceil(size * 1.2 / points))))
    labels = [names[one] for one in shown]
    is_long = max(map(len, names)) > 3
    axes.set_xticks(
        shown, labels, rotation=45 if is_long else 0, ha="right" if is_long else "center",
        rotation_mode="anchor" if is_long else None, parse_math=False, fontsize=size,
    )  # fmt: skip
    axes.set_yticks(shown, labels, parse_math=False, fontsize=size)


def _text_color(image: AxesImage, value: float) -> str:
    """Return the color of a number in a cell: gray for 0, else the one with the higher contrast to the cell."""
    if value == 0:
        return "#707070"
    # relative luminance of sRGB, as in WCAG 2; black and white have the same contrast to a cell of 0.179
    parts = image.to_rgba(np.array([value]))[0, :3]
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return "white" if float(linear @ [0.2126, 0.7152, 0.0722]) < 0.179 else "black"
