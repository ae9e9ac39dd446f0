"""`plot_weights`: the weights of a model as histograms or images."""

from __future__ import annotations

import fnmatch
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from kerastorch.core.errors import check_choice, check_int, mismatch
from kerastorch.core.module_tree import is_built
from kerastorch.core.traceback_filter import public_api
from kerastorch.plots.arrays import Array, to_array
from kerastorch.plots.target import Target, figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_BINS = 40
KINDS = ("histogram", "image")
MAX_ASPECT = 25.0  # of the panel of a unit


@public_api
def plot_weights(
    model: nn.Module,
    kind: str = "histogram",
    name: str | None = None,
    *,
    n: int = 25,
    image_shape: Sequence[int] | None = None,
    to_file: str | os.PathLike[str] | None = None,
) -> Figure:
    """Plot the weights of a model: the distribution of each tensor, or the units of one layer as images.

    Histograms show how layers were initialized, whether weights grow or vanish, and what a penalty does to them.
    Images show what the units of the first layer respond to: red pixels raise the output of a unit, blue ones lower
    it. Weights of three color channels are shown in color, with gray for zero. The plot needs matplotlib:
    `pip install matplotlib`.

    Args:
        model: A model of kerastorch or any `nn.Module`.
        kind: `"histogram"` (default) or `"image"`.
        name: Name of a weight, as in `model.named_parameters()`, or a pattern such as `"*.weight"`. Default: all
            weights for histograms, the first one with several axes for images.
        n: Largest number of panels: weights for histograms, units for images. Default 25; the first ones are shown.
        image_shape: Shape of the images that a dense layer takes, `(h, w)`, `(1, h, w)` or `(3, h, w)`. Default: square
            if it is the first layer, and its number of inputs a square number or three times one. If not, the weight
            is one image with a row for each unit.
        to_file: Path of a file to save the plot to, whose suffix chooses the format. Default: nothing is saved.

    Returns:
        The matplotlib figure, which `plt.show()` shows in a script, and which a notebook displays.

    Raises:
        ValueError: The model has no weights yet, or none of that name; a weight contains NaN or infinity; or
            `image_shape` does not fit.
        ImportError: Matplotlib is missing.

    >>> import matplotlib.pyplot as plt
    >>> model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> figure = plot_weights(model)
    >>> [axes.get_title().splitlines()[0] for axes in figure.axes]
    ['0.weight  (8, 64)', '0.bias  (8,)', '2.weight  (3, 8)', '2.bias  (3,)']
    >>> plt.close(figure)
    >>> figure = plot_weights(model, "image")  # 8 images of 8 x 8 pixels, and the color bar
    >>> len(figure.axes)
    9
    >>> plt.close(figure)
    """
    target = Target("plot_weights", to_file)
    if not isinstance(model, nn.Module):
        raise mismatch("model", model, "a torch.nn.Module")
    kind, n = check_choice("kind", kind, KINDS), check_int("n", n)
    found = _weights(model, name)
    if kind == "histogram":
        return target.save(_draw_histograms(found, n))
    chosen = next(((key, value) for key, value in found.items() if value.ndim > 1), None)
    if chosen is None:
        raise ValueError(f"{', '.join(found)}: no weight has two axes or more; use kind='histogram'.")
    key, weight = chosen
    is_first = key == next(one for one, value in model.named_parameters() if value.ndim > 1)
    images = _unit_images(key, weight, image_shape, is_first)
    return target.save(_draw_matrix(key, weight) if images is None else _draw_units(key, weight.shape, images[:n]))


def _weights(model: nn.Module, name: str | None) -> dict[str, Array]:
    """Return the weights of a model by name.

    Raises:
        ValueError: There are none, or none that `name` fits.
    """
    if not is_built(model):
        raise ValueError("the model has no weights yet: call it on a batch, or begin it with an Input.")
    parameters = dict(model.named_parameters())
    if not parameters:
        raise ValueError("the model has no weights.")
    chosen = [key for key in parameters if name is None or fnmatch.fnmatchcase(key, name)]
    if not chosen:
        raise ValueError(f"no weight fits the name {name!r}. Known: {', '.join(parameters)}.")
    weights = {key: to_array(key, parameters[key]).astype(np.float64) for key in chosen}
    diverged = [key for key, value in weights.items() if not np.isfinite(value).all()]
    if diverged:
        raise ValueError(f"these weights contain NaN or infinity: {', '.join(diverged)}.")
    return weights


def _draw_histograms(weights: dict[str, Array], n: int) -> Figure:
    """Draw the histogram of each weight, with its mean and standard deviation."""
    from matplotlib.ticker import MaxNLocator

    from kerastorch.core.pyplot_figure import COLORS, new_panels

    shown = list(weights.items())[:n]
    panels = new_panels(len(shown), 2 if len(shown) in (2, 4) else 3, 3.4, 2.6)[1]
    for axes, (name, values) in zip(panels, shown, strict=True):
        bins = min(N_BINS, max(8, values.size // 4))
        axes.hist(values.ravel(), bins=bins, color=COLORS[0], edgecolor="white", linewidth=0.3)
        axes.axvline(0, color="#444444", linewidth=0.8, linestyle=":")
        title = f"{name}  {values.shape}\nmean {values.mean():.2g}, std {values.std():.2g}"
        axes.set_title(title, fontsize=9, parse_math=False)
        axes.set_xlabel("value")
        axes.set_ylabel("count")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure_of(panels[0])


def _unit_images(name: str, weight: Array, image_shape: Sequence[int] | None, is_first: bool) -> Array | None:
    """Return the weights of each unit as an image, or `None` if they have no shape of an image.

    The inputs of a dense layer may be an image if it is the first layer, or if `image_shape` says so.

    Returns:
        An array `(units, h, w)`, or `(units, h, w, 3)` for three color channels.

    Raises:
        ValueError: `image_shape` does not fit.
    """
    if weight.ndim == 2:
        shape = _dense_shape(name, weight.shape[1], image_shape) if is_first or image_shape is not None else None
        if shape is None:
            return None
        weight = weight.reshape(len(weight), *shape)  # (units, channels, h, w)
    elif image_shape is not None:
        raise ValueError(f"image_shape is for dense layers; {name} has the shape {weight.shape}.")
    if weight.ndim == 3:
        return weight  # of a convolution over steps: (units, channels, steps)
    if weight.ndim != 4:
        return None
    if weight.shape[1] == 3:
        return np.moveaxis(weight, 1, -1)
    # the channels side by side, with an empty column between them
    padded = np.pad(weight, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    images: Array = padded.swapaxes(1, 2).reshape(len(weight), weight.shape[2], -1)[..., :-1]
    return images


def _dense_shape(name: str, n_inputs: int, given: Sequence[int] | None) -> tuple[int, int, int] | None:
    """Return channels, height and width of the images that a dense layer takes, if its inputs may be images."""
    if given is None:
        for channels in (1, 3):
            side = math.isqrt(n_inputs // channels)
            if channels * side * side == n_inputs and side > 1:
                return channels, side, side
        return None
    shape = tuple(check_int("image_shape", size) for size in given)
    if len(shape) not in (2, 3) or math.prod(shape) != n_inputs or shape[:-2] not in ((), (1,), (3,)):
        raise ValueError(
            f"image_shape must be (h, w), (1, h, w) or (3, h, w) with {n_inputs} values, the inputs of {name}; "
            f"got {tuple(given)}."
        )
    return (*((1,) if len(shape) == 2 else ()), *shape)


def _draw_units(name: str, shape: tuple[int, ...], images: Array) -> Figure:
    """Draw the weights of each unit as an image.

    Args:
        name: Name of the weight.
        shape: Shape of the weight.
        images: As `_unit_images` returns them.
    """
    from kerastorch.core.pyplot_figure import new_panels

    ratio = min(max(images.shape[1] / images.shape[2], 1 / MAX_ASPECT), MAX_ASPECT)  # height by width
    columns = max(1, math.ceil(math.sqrt(len(images)) * min(ratio, 1.0)))
    width = 1.1 if ratio >= 1 else min(1.1 / ratio, 6.0)
    figure, panels = new_panels(len(images), columns, width, width * ratio + 0.25)
    largest = max(float(np.nanmax(np.abs(images))), 1e-12)
    for number, (axes, image) in enumerate(zip(panels, images, strict=True)):
        if images.ndim == 4:
            axes.imshow(0.5 + 0.5 * image / largest)
        else:
            shown = axes.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set_title(f"unit {number}", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(f"{name}  {shape}", fontsize=10, parse_math=False)
    if images.ndim == 3:
        figure.set_size_inches(figure.get_figwidth() + 1.0, figure.get_figheight())
        figure.colorbar(shown, ax=panels, label="weight", fraction=0.5 / figure.get_figwidth(), aspect=25)
    return figure


def _draw_matrix(name: str, weight: Array) -> Figure:
    """Draw a weight as one image, with a row for each unit."""
    from kerastorch.core.pyplot_figure import new_panels

    figure, (axes,) = new_panels(1, 1, 5.5, 4.0)
    largest = max(float(np.abs(weight).max()), 1e-12)
    rows = weight.reshape(len(weight), -1)
    shown = axes.imshow(rows, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest")
    axes.set_title(f"{name}  {weight.shape}", fontsize=10, parse_math=False)
    axes.set_xlabel("input")
    axes.set_ylabel("unit")
    figure.colorbar(shown, ax=axes, label="weight")
    return figure
