"""Draw a graph with matplotlib; imported only when a picture is drawn.

There is no other renderer, so that a picture looks the same on every machine; Graphviz need not be installed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from kerastorch.inspection.graph_layout import Point, lay_out
from kerastorch.inspection.module_graph import Graph

POINT = 1 / 72  # inches
SIZE = 9.0  # of letters, in points
LINE = 1.45 * SIZE * POINT  # height of a line, in inches
PAD = 0.1  # between text and edge of a box, in inches
HEAD = 0.08  # length of an arrow's head, in inches
MAX_PIXELS = 30_000  # of a side
_FILL = {"input": "#fff3d6", "layer": "#dcebf7", "function": "#eeeeee"}
_EDGE = {"input": "#c9962b", "layer": "#3b76a8", "function": "#888888"}


def draw(graph: Graph, labels: Sequence[list[str]], rankdir: str) -> Figure:
    """Return a figure of a graph.

    Args:
        graph: Boxes and arrows.
        labels: Lines of text in each box; the first is bold.
        rankdir: Direction of the arrows: `'TB'` down, `'BT'` up, `'LR'` right, `'RL'` left.
    """
    boxes = [_size(lines) for lines in labels]
    sideways = rankdir in ("LR", "RL")
    frames = max((len(node.groups) for node in graph.nodes), default=0)
    layout = lay_out(
        [(tall, wide) if sideways else (wide, tall) for wide, tall in boxes],
        graph.edges,
        0.25 + 0.22 * frames,
        0.32 + 0.12 * min(frames, 3),
    )

    def place(point: Point) -> Point:
        across, along = point
        if sideways:
            return (along if rankdir == "LR" else -along, -across)
        return (across, -along if rankdir == "TB" else along)

    centres = [place(point) for point in layout.centres]
    figure = Figure()
    axes = figure.add_axes((0, 0, 1, 1))
    left, right, low, high = _frames(axes, graph, centres, boxes)
    for (source, target), path in zip(graph.edges, layout.paths, strict=True):
        _arrow(axes, [place(point) for point in path], boxes[source], boxes[target], sideways)
        for x, y in map(place, path):
            left, right, low, high = min(left, x), max(right, x), min(low, y), max(high, y)
    for node, centre, box, lines in zip(graph.nodes, centres, boxes, labels, strict=True):
        kind = "layer" if node.module is not None else "input" if node.kind == "Input" else "function"
        _box(axes, kind, centre, box, lines)
    margin = 0.15
    axes.set(xlim=(left - margin, right + margin), ylim=(low - margin, high + margin))
    axes.set_axis_off()
    figure.set_size_inches(right - left + 2 * margin, high - low + 2 * margin)
    return figure


def limit_dpi(figure: Figure, dpi: int) -> float:
    """Return `dpi`, or less for a figure that would have a side of more than `MAX_PIXELS` pixels."""
    return min(float(dpi), MAX_PIXELS / float(max(figure.get_size_inches())))


def _size(lines: Sequence[str]) -> Point:
    """Return width and height of a box with lines of text, in inches."""
    wide = max(_width(line, bold=index == 0) for index, line in enumerate(lines))
    return max(wide + 2 * PAD, 0.6), len(lines) * LINE + 1.4 * PAD


@cache
def _width(line: str, *, bold: bool) -> float:
    """Return the width of a line of text, in inches."""
    if not line.strip():
        return 0.0
    font = FontProperties(weight="bold" if bold else "normal")
    return (
        float(TextPath((0, 0), line, size=SIZE, prop=font).get_extents().x1) * POINT * 1.05
    )  # hinting makes letters a little wider


def _box(axes: Axes, kind: str, centre: Point, box: Point, lines: Sequence[str]) -> None:
    """Draw a box with its text."""
    (x, y), (wide, tall) = centre, box
    _rounded(axes, x - wide / 2, y - tall / 2, wide, tall, facecolor=_FILL[kind], edgecolor=_EDGE[kind], zorder=3)
    top = y + (len(lines) - 1) * LINE / 2
    for index, line in enumerate(lines):
        weight, colour = ("bold", "#111111") if not index else ("normal", "#444444")
        axes.text(
            x, top - index * LINE, line, size=SIZE, weight=weight, color=colour, ha="center", va="center_baseline",
            zorder=4, parse_math=False,
        )  # fmt: skip


def _rounded(axes: Axes, x: float, y: float, wide: float, tall: float, **colours: Any) -> None:
    """Draw a rectangle with rounded corners."""
    style = "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch((x, y), wide, tall, boxstyle=style, linewidth=0.9, **colours))


def _arrow(axes: Axes, path: list[Point], source: Point, target: Point, sideways: bool) -> None:
    """Draw curves from the edge of one box to the edge of another, which are straight between the sides of a rank.

    Args:
        axes: Where to draw.
        path: Points at which the arrow enters and leaves each rank.
        source: Width and height of the first box.
        target: Width and height of the last box.
        sideways: Whether ranks are side by side.
    """
    axis = 0 if sideways else 1
    sign = 1.0 if path[-1][axis] > path[0][axis] else -1.0
    points = [list(point) for point in path]
    points[0][axis] = (points[0][axis] + points[1][axis]) / 2 + sign * source[axis] / 2
    points[-1][axis] = (points[-1][axis] + points[-2][axis]) / 2 - sign * (target[axis] / 2 + HEAD)
    vertices: list[Point] = [(points[0][0], points[0][1])]
    for a, b in itertools.pairwise(points):
        half = (b[axis] - a[axis]) / 2
        bends = ([a[0] + half, a[1]], [b[0] - half, b[1]]) if sideways else ([a[0], a[1] + half], [b[0], b[1] - half])
        vertices += [(bend[0], bend[1]) for bend in (*bends, b)]
    codes = [Path.MOVETO, *[Path.CURVE4] * (len(vertices) - 1)]
    colour = "#555555"
    axes.add_patch(PathPatch(Path(vertices, codes), facecolor="none", edgecolor=colour, linewidth=1.0, zorder=2))
    x, y = vertices[-1]
    length, half_width = sign * HEAD, HEAD * 0.45
    if sideways:
        head = [(x + length, y), (x, y - half_width), (x, y + half_width)]
    else:
        head = [(x, y + length), (x - half_width, y), (x + half_width, y)]
    axes.add_patch(Polygon(head, closed=True, facecolor=colour, edgecolor="none", zorder=2))


def _frames(
    axes: Axes, graph: Graph, centres: Sequence[Point], boxes: Sequence[Point]
) -> tuple[float, float, float, float]:
    """Draw frames around expanded modules, and return the left, right, low and high end of the picture."""
    inside: dict[tuple[str, ...], list[int]] = {(): list(range(len(boxes)))}
    for number, node in enumerate(graph.nodes):
        for level in range(1, len(node.groups) + 1):
            inside.setdefault(node.groups[:level], []).append(number)
    deepest = max(map(len, inside))
    limits = (0.0, 0.0, 0.0, 0.0)
    for groups, numbers in sorted(inside.items(), key=lambda item: len(item[0])):
        pad = 0.08 * (deepest - len(groups) + 1)
        left = min(centres[box][0] - boxes[box][0] / 2 for box in numbers) - pad
        right = max(centres[box][0] + boxes[box][0] / 2 for box in numbers) + pad
        low = min(centres[box][1] - boxes[box][1] / 2 for box in numbers) - pad
        high = max(centres[box][1] + boxes[box][1] / 2 for box in numbers) + 1.9 * pad  # room for the frame's name
        if not groups:
            limits = (left, right, low, high)
            continue
        _rounded(axes, left, low, right - left, high - low, facecolor="#00000008", edgecolor="#bbbbbb", zorder=1)
        axes.text(
            left + 0.04, high - 0.03, groups[-1], size=SIZE - 2.5, color="#888888", ha="left", va="top", zorder=1.5,
            parse_math=False,
        )  # fmt: skip
    return limits
