"""`plot_activation`: the curve of an activation, and of its derivative."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch import activations
from kerastorch.core.errors import check_float, mismatch
from kerastorch.core.lazy_build import copy_module
from kerastorch.core.module_tree import is_built
from kerastorch.core.name_lookup import public_name
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.traceback_filter import public_api
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.plots.arrays import Array
from kerastorch.plots.target import LONGEST_LEGEND, Target, add_legend, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIN_RISE = 0.01  # of the range of all values: smaller steps between two points are not examined
HALVINGS = 16  # of the interval between two points; a continuous curve then rises by less than a thousandth
N_POINTS = 1001  # odd, so that 0 is one of the points of a symmetric range
LONGEST_NAME = 40  # characters of the name of a module with its arguments
_ADVICE = (
    "plot_activation needs a function of one number. For a function of a vector, pass one output as a function of one "
    "input, such as lambda x: torch.softmax(torch.stack([x, 0 * x]), 0)[0]."
)


class Curve(NamedTuple):
    """The curve of an activation, and that of its derivative if it is wanted: arrays of x and of y."""

    name: str
    values: tuple[Array, Array]
    slopes: tuple[Array, Array] | None


@public_api
def plot_activation(
    activation: Any,
    derivative: bool = True,
    range: Sequence[float] = (-5.0, 5.0),  # noqa: A002
    *,
    together: bool = False,
    to_file: str | os.PathLike[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot the curve of an activation, and that of its derivative.

    The derivative is computed by autograd, so it is the one that training uses: at a corner it has torch's value. The
    plot needs matplotlib: `pip install matplotlib`.

    Args:
        activation: A name such as `"leaky_relu"`, a function of a tensor, a layer or a module of torch; or a list of
            them, which gives one panel each.
        derivative: Whether to draw the derivative. Default `True`.
        range: The smallest and the largest `x`. Default `(-5, 5)`.
        together: Whether to draw all activations of a list in one panel, and their derivatives in a second one. Default
            `False`.
        to_file: Path of a file to save the plot to, whose suffix chooses the format. Default: nothing is saved.
        ax: Matplotlib axes to draw in; all activations of a list are then drawn together. Default: a new figure.

    Returns:
        The matplotlib figure, which `plt.show()` shows in a script, and which a notebook displays.

    Raises:
        ValueError: A name is unknown; a function combines several values, as softmax does; autograd finds no
            derivative; or `range` is no range.
        ImportError: Matplotlib is missing.

    >>> import matplotlib.pyplot as plt
    >>> figure = plot_activation("leaky_relu")
    >>> figure = plot_activation(["sigmoid", "tanh", torch.nn.GELU()], range=(-3, 3))
    >>> [axes.get_title() for axes in figure.axes]
    ['sigmoid', 'tanh', 'GELU']
    >>> plt.close("all")
    """
    target = Target("plot_activation", to_file, ax)
    low, high = _check_range(range)
    several = isinstance(activation, (list, tuple))
    given = list(activation) if several else [activation]
    if not given:
        raise ValueError("plot_activation got an empty list; pass at least one activation.")
    curves = [_curve(one, low, high, derivative) for one in given]
    if several and (together or ax is not None):
        return target.save(_draw_together(target, curves))
    return target.save(_draw_panels(target, curves))


def _check_range(given: Any) -> tuple[float, float]:
    ends = given.tolist() if isinstance(given, (Tensor, np.ndarray)) else given
    if not isinstance(ends, (tuple, list)) or len(ends) != 2:
        raise mismatch("range", given, "two numbers, the smallest and the largest x, such as (-5, 5)")
    low = check_float("range[0]", ends[0])
    return low, check_float("range[1]", ends[1], above=low)


def _curve(given: Any, low: float, high: float, derivative: bool) -> Curve:
    """Return the values of an activation and of its derivative."""
    function = activations.get(given)
    name = given if isinstance(given, str) else _display_name(function)
    with torch.inference_mode(False), preserved_rng_states():
        if isinstance(function, nn.Module):
            function = function if is_built(function) else copy_module(function)
            with evaluation_mode(function):
                return _evaluate(name, function, low, high, derivative)
        return _evaluate(name, function, low, high, derivative)


def _evaluate(name: str, function: Callable[[Tensor], Tensor], low: float, high: float, derivative: bool) -> Curve:
    tensors = [*function.parameters(), *function.buffers()] if isinstance(function, nn.Module) else []
    like = next((one for one in tensors if one.is_floating_point()), torch.empty(0))

    def values_at(points: Array) -> Array:
        with torch.no_grad():
            return _to_numpy(_call(name, function, _column(points, like)))

    def slopes_at(points: Array) -> Array:
        return _to_numpy(_derivative(name, function, _column(points, like)))

    x = np.linspace(low, high, N_POINTS)
    values = values_at(x)
    _check_elementwise(name, function, _column(x, like), values)
    slopes = _break_at_jumps(slopes_at, x, slopes_at(x)) if derivative else None
    return Curve(name, _break_at_jumps(values_at, x, values), slopes)


def _call(name: str, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Call an activation on a column of numbers, which it may change in place."""
    try:
        y = function(x.clone())
    except Exception as error:
        raise ValueError(f"{name} cannot take single numbers: {str(error).rstrip('.')}. {_ADVICE}") from error
    if not isinstance(y, Tensor):
        raise TypeError(f"{name} must return a tensor, got {type(y).__name__}.")
    if y.shape != x.shape:
        raise ValueError(f"{name} turns shape {tuple(x.shape)} into {tuple(y.shape)}. {_ADVICE}")
    return y


def _check_elementwise(name: str, function: Callable[[Tensor], Tensor], x: Tensor, values: Array) -> None:
    """Raise if an activation combines values: if fewer of them, or the same in one row, give something else."""
    for part in (x[: len(x) // 3], x.T):  # (n / 3, 1) and (1, n)
        try:
            with torch.no_grad():
                y = function(part.clone())
        except Exception:  # it takes one feature only, as a layer that is built for it
            continue
        column = y if part.shape[1] == 1 else y.T
        is_same = np.allclose(_to_numpy(column), values[: len(column)], rtol=1e-3, atol=1e-5, equal_nan=True)
        if y.shape != part.shape or not is_same:
            raise ValueError(f"{name} combines several values. {_ADVICE}")


def _derivative(name: str, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the derivative of an activation at some points, by autograd."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = _call(name, function, x)
        found = torch.autograd.grad(y.sum(), x, allow_unused=True)[0] if y.requires_grad else None
    if found is None:
        raise ValueError(f"autograd finds no derivative of {name}; pass derivative=False.")
    return found


def _column(points: Array, like: Tensor) -> Tensor:
    return torch.from_numpy(points).to(like.dtype).to(like.device)[:, None]  # (n, 1)


def _to_numpy(column: Tensor) -> Array:
    array: Array = column.detach().squeeze(1).cpu().double().numpy()
    return array


def _display_name(function: Any) -> str:
    """Return the name of an activation: that of a function, or a module with its arguments."""
    if isinstance(function, nn.Module):
        text = repr(function).removesuffix("()")
        is_short = len(text) <= LONGEST_NAME and "\n" not in text
        return text if is_short and is_built(function) and not _has_defaults(function) else type(function).__name__
    name = public_name(function)
    if isinstance(function, partial):
        values = [*map(str, function.args), *(f"{key}={value}" for key, value in function.keywords.items())]
        text = f"{name}({', '.join(values)})"
        return text if len(text) <= LONGEST_NAME else name
    return "activation" if name == "<lambda>" else name


def _has_defaults(module: nn.Module) -> bool:
    """Return whether a module has the default arguments of its class."""
    try:
        return repr(type(module)()) == repr(module)
    except TypeError:  # an argument has no default
        return False


def _draw_panels(target: Target, curves: list[Curve]) -> Figure:
    """Draw each activation with its derivative in a panel."""
    from kerastorch.core.pyplot_figure import COLORS, new_panels

    if len(curves) == 1:
        panels = [target.axes(5.0, 3.6)]
    else:
        panels = new_panels(len(curves), 3 if len(curves) <= 9 else 4, 3.4, 2.7)[1]
    for axes, curve in zip(panels, curves, strict=True):
        _prepare(axes)
        axes.plot(*curve.values, color=COLORS[0], linewidth=2.0, label="f(x)")
        if curve.slopes is not None:
            axes.plot(*curve.slopes, color=COLORS[1], linewidth=1.6, linestyle="--", label="f'(x)")
        axes.set_title(curve.name, parse_math=False)
        axes.legend(frameon=False)
    return figure_of(panels[0])


def _draw_together(target: Target, curves: list[Curve]) -> Figure:
    """Draw all activations in one panel, and their derivatives in a second one if the user gave no axes."""
    from kerastorch.core.pyplot_figure import distinct_colors, new_panels

    has_slopes = curves[0].slopes is not None
    panels = [target.ax] if target.ax is not None else new_panels(2 if has_slopes else 1, 2, 4.6, 3.6)[1]
    for axes in panels:
        _prepare(axes)
    widths = np.linspace(3.4 if len(curves) > 1 else 2.0, 1.6, len(curves))  # so that a curve below others shows
    for curve, color, width in zip(curves, distinct_colors(len(curves)), widths, strict=True):
        panels[0].plot(*curve.values, color=color, linewidth=width, label=curve.name)
        if curve.slopes is not None:
            style = "--" if len(panels) == 1 else "-"
            label = f"{curve.name}, derivative" if len(panels) == 1 else curve.name
            panels[-1].plot(*curve.slopes, color=color, linewidth=width, linestyle=style, label=label)
    add_legend(panels[0] if len(curves) <= LONGEST_LEGEND else panels[-1])  # a long one is beside the axes
    if len(panels) == 2:
        panels[0].set_title("f(x)")
        panels[1].set_title("f'(x)")
    return figure_of(panels[0])


def _prepare(axes: Axes) -> None:
    """Draw the lines x = 0 and y = 0, and name the horizontal axis."""
    axes.axhline(0, color="#999999", linewidth=0.8, zorder=1)
    axes.axvline(0, color="#999999", linewidth=0.8, zorder=1)
    axes.grid(alpha=0.25)
    axes.set_xlabel("x")


def _break_at_jumps(function: Callable[[Array], Array], x: Array, y: Array) -> tuple[Array, Array]:
    """Return a curve with a point `(NaN, NaN)` wherever the function jumps between two points.

    An interval is halved again and again, and the half with the larger rise is kept. At a jump the rise stays; of a
    continuous function it becomes small.

    Args:
        function: Returns the values at any points.
        x: Points in ascending order.
        y: Values at these points; with NaN or infinity among them, the curve is returned unchanged.
    """
    if not np.isfinite(y).all():
        return x, y
    rises = np.abs(np.diff(y))
    (suspects,) = np.nonzero(rises > MIN_RISE * np.ptp(y))
    left, right, y_left, y_right = x[suspects], x[suspects + 1], y[suspects], y[suspects + 1]
    for _ in range(HALVINGS):
        middle = (left + right) / 2
        y_middle = function(middle)
        is_left = np.abs(y_middle - y_left) > np.abs(y_right - y_middle)
        left, y_left = np.where(is_left, left, middle), np.where(is_left, y_left, y_middle)
        right, y_right = np.where(is_left, middle, right), np.where(is_left, y_middle, y_right)
    jumps = suspects[np.abs(y_right - y_left) > rises[suspects] / 2] + 1
    return np.insert(x, jumps, np.nan), np.insert(y, jumps, np.nan)
