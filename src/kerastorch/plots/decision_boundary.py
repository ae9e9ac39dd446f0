"""`plot_decision_boundary`: the class that a model predicts at each point of a plane."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kerastorch.core.errors import check_int, mismatch
from kerastorch.core.ownership import is_from
from kerastorch.core.traceback_filter import public_api
from kerastorch.plots.arrays import Array, check_same_rows, to_array
from kerastorch.plots.class_scores import ClassScores, predict_classes
from kerastorch.plots.labels import check_class_names, to_labels
from kerastorch.plots.target import Target, add_legend, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 0.08  # around the points, as a fraction of their range
MARKERS = "osD^vP*X"


class Grid(NamedTuple):
    """The points at which a model is evaluated: the centers of the cells of a picture.

    Attributes:
        points: Two features, shape `(rows * columns, 2)`, row by row from the lowest.
        x: First features of the columns.
        y: Second features of the rows.
        extent: Left, right, lower and upper edge of the picture.
    """

    points: Array
    x: Array
    y: Array
    extent: tuple[float, float, float, float]


@public_api
def plot_decision_boundary(
    model: Any,
    x: Any,
    y: Any,
    class_names: Sequence[str] | None = None,
    *,
    feature_names: Sequence[str] | None = None,
    resolution: int = 300,
    threshold: float | None = None,
    legend: bool = True,
    to_file: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot which class a model of two features predicts at each point, and the data on top.

    A model with one output for each class predicts the class with the largest output, be it a probability or a logit.
    A model with a single output predicts the second class above `threshold`. The model is evaluated in evaluation mode
    without gradients; its mode and the random state stay as they are, and a model that is not built stays so. The plot
    needs matplotlib: `pip install matplotlib`.

    Args:
        model: A model of kerastorch, any `nn.Module`, or an object with `predict`, as a classifier of scikit-learn.
        x: Two features of each point, shape `(n, 2)`: tensor, array, list or pandas DataFrame.
        y: Classes of the points, shape `(n,)` or `(n, 1)`, or one-hot rows `(n, k)`. For a network they are the numbers
            of its outputs, or -1 and 1; for an object with `predict` numbers or names.
        class_names: Names of the classes for the legend. Default: the values in `y`.
        feature_names: Names of the two axes, which may be formulas such as `"$x_1$"`. Default: the columns of a
            DataFrame, or x₁ and x₂.
        resolution: Points of the grid along each axis. Default 300.
        threshold: Output above which a model with a single output predicts the second class. Default: 0.5 if the
            outputs are probabilities, and 0 if they are logits. The loss of a compiled model or its last layer decides
            which they are; if neither is known, outputs that all are in 0..1 are taken for probabilities.
        legend: Whether to draw a legend of the classes. Default `True`.
        to_file: Path of a file to save the plot to, whose suffix chooses the format. Default: nothing is saved.
        ax: Matplotlib axes to draw in. Default: a new figure.

    Returns:
        The matplotlib figure, which `plt.show()` shows in a script, and which a notebook displays.

    Raises:
        ValueError: `x` does not have two columns; `x` and `y` have different lengths; or the outputs do not predict
            classes.
        ImportError: Matplotlib is missing.

    >>> import matplotlib.pyplot as plt
    >>> import torch
    >>> x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 0, 0, 1]
    >>> model = torch.nn.Linear(2, 1)
    >>> figure = plot_decision_boundary(model, x, y, feature_names=["first", "second"])
    >>> figure.axes[0].get_xlabel()
    'first'
    >>> plt.close(figure)
    """
    target = Target("plot_decision_boundary", to_file, ax)
    check_int("resolution", resolution, 2)
    points, labels = to_array("x", x), to_labels("y", y)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"plot_decision_boundary needs two features: x must have the shape (n, 2), got {points.shape}."
        )
    if points.dtype.kind == "U":
        raise TypeError("x must hold numbers, got strings.")
    check_same_rows("x", len(points), "y", len(labels))
    grid = _grid(points, resolution)
    scores = predict_classes(model, _like(x, grid.points), labels, threshold)
    names = _class_names(class_names, scores.classes)
    first, second = _feature_names(feature_names, x)
    axes = target.axes(5.2, 4.2)
    _draw_regions(axes, grid, scores)
    _draw_points(axes, points, labels, scores.classes, names)
    if legend:
        add_legend(axes, title="class" if names == [str(one) for one in scores.classes] else None)
    is_formula = feature_names is not None or not hasattr(x, "columns")
    axes.set_xlabel(first, parse_math=is_formula)
    axes.set_ylabel(second, parse_math=is_formula)
    return target.save(figure_of(axes))


def _grid(points: Array, resolution: int) -> Grid:
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("x contains NaN or infinity.")
    margin = np.where(high > low, MARGIN * (high - low), 0.5)
    low, high = low - margin, high + margin
    x, y = (low[i] + (np.arange(resolution) + 0.5) / resolution * (high[i] - low[i]) for i in (0, 1))
    columns, rows = np.meshgrid(x, y)
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    return Grid(np.stack([columns.ravel(), rows.ravel()], 1), x, y, extent)


def _like(x: Any, points: Array) -> Any:
    """Return points as a DataFrame of pandas if `x` is one, since models may be fitted to names of columns."""
    return type(x)(points, columns=x.columns) if is_from(x, "pandas") and hasattr(x, "columns") else points


def _class_names(given: Sequence[str] | None, classes: Array) -> list[str]:
    return [str(one) for one in classes] if given is None else check_class_names(given, len(classes))


def _feature_names(given: Sequence[str] | None, x: Any) -> tuple[str, str]:
    if given is not None:
        if isinstance(given, str) or len(given) != 2:
            raise mismatch("feature_names", given, "two names")
        return str(given[0]), str(given[1])
    if hasattr(x, "columns"):
        first, second = map(str, x.columns)
        return first, second
    return "$x_1$", "$x_2$"


def _draw_regions(axes: Axes, grid: Grid, scores: ClassScores) -> None:
    """Draw the predicted classes in light colors, and the boundaries between them."""
    from matplotlib.colors import ListedColormap, to_rgb

    from kerastorch.core.pyplot_figure import distinct_colors

    shape = (len(grid.y), len(grid.x))
    count = len(scores.classes)
    light = [tuple(1 - 0.3 * (1 - part) for part in to_rgb(color)) for color in distinct_colors(count)]
    axes.imshow(
        scores.numbers.reshape(shape), cmap=ListedColormap(light), vmin=-0.5, vmax=count - 0.5, extent=grid.extent,
        origin="lower", aspect="auto", interpolation="nearest", zorder=0,
    )  # fmt: skip
    for margin in scores.margins[1:] if count == 2 else scores.margins:
        if margin.min() < 0 < margin.max():
            axes.contour(grid.x, grid.y, margin.reshape(shape), [0.0], colors="#333333", linewidths=1.0, zorder=1)


def _draw_points(axes: Axes, points: Array, labels: Array, classes: Array, names: list[str]) -> None:
    """Draw the data, with a color and a marker for each class."""
    from kerastorch.core.pyplot_figure import distinct_colors

    for number, (value, color) in enumerate(zip(classes, distinct_colors(len(classes)), strict=True)):
        chosen = points[labels == value]
        axes.scatter(
            chosen[:, 0], chosen[:, 1], color=color, marker=MARKERS[number % len(MARKERS)], s=28, linewidths=0.6,
            edgecolors="white", label=names[number], zorder=2,
        )  # fmt: skip
