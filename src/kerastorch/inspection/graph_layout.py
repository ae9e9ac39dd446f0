"""Lay out a graph in ranks, with few crossings of arrows and arrows as straight as possible.

The steps are those of Sugiyama, Tagawa and Toda (1981): the rank of a box is the length of the longest path to it;
arrows over several ranks get a point in each; boxes are ordered in each rank, then placed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
SWEEPS = 12  # passes over the ranks to order boxes; four times as many to place them
_STRAIGHTNESS = 16.0  # weight of an arrow to the next rank; an arrow over several ranks has weight 1


@dataclass
class Layout:
    """Positions of boxes and arrows, in the units of the given sizes.

    The first coordinate of a point is its position within a rank, the second one its position along the ranks.

    Attributes:
        centres: The centre of each box.
        paths: For each arrow the points where it enters and leaves each rank, from that of its source to that of its
            target.
    """

    centres: list[Point]
    paths: list[list[Point]]


def lay_out(sizes: Sequence[Point], edges: Sequence[tuple[int, int]], across: float, along: float) -> Layout:
    """Place boxes in ranks, so that all arrows point in one direction and few of them cross.

    Args:
        sizes: The size of each box, within its rank and along the ranks.
        edges: Arrows as pairs of indices of boxes, of which the first is smaller.
        across: Minimum gap between boxes of a rank.
        along: Gap between ranks.
    """
    rank = [0] * len(sizes)
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        rank[target] = max(rank[target], rank[source] + 1)
    _move_inputs_down(rank, edges)
    # an arrow over several ranks gets a point, which is a box without size, in each rank between
    widths, places, chains = [size[0] for size in sizes], list(rank), []
    for source, target in edges:
        chain = [source]
        for between in range(rank[source] + 1, rank[target]):
            chain.append(len(places))
            places.append(between)
            widths.append(0.0)
        chains.append([*chain, target])
    links = [pair for chain in chains for pair in itertools.pairwise(chain)]
    layers = _order(places, links)
    x = _place(layers, links, widths, across, len(sizes))
    for line in [*_find_lines(edges, rank), *(chain[1:-1] for chain in chains)]:
        _straighten(line, x, [layers[places[point]] for point in line], widths, across)
    middles, depths, y = [], [], 0.0
    for layer in layers:
        depths.append(max(sizes[box][1] for box in layer if box < len(sizes)))
        middles.append(y + depths[-1] / 2)
        y += depths[-1] + along
    return Layout(
        [(x[box], middles[rank[box]]) for box in range(len(sizes))],
        [
            [
                (x[point], middles[places[point]] + side * depths[places[point]] / 2)
                for point in chain
                for side in (-1, 1)
            ]
            for chain in chains
        ],
    )


def _move_inputs_down(rank: list[int], edges: Sequence[tuple[int, int]]) -> None:
    """Move boxes without inputs to the rank before the first box that they go to."""
    targets = {target for _, target in edges}
    for box in range(len(rank)):
        ranks_after = [rank[target] for source, target in edges if source == box]
        if box not in targets and ranks_after:
            rank[box] = min(ranks_after) - 1


def _order(places: Sequence[int], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return the boxes of each rank, in the order with the fewest crossings of several sweeps.

    A sweep sorts the boxes of each rank by the mean position of their neighbours in the rank before or after it.

    Args:
        places: The rank of each box or point.
        links: Pairs of boxes or points in adjacent ranks.
    """
    layers: list[list[int]] = [[] for _ in range(max(places, default=-1) + 1)]
    for box, place in enumerate(places):
        layers[place].append(box)
    before, after = _neighbours(len(places), links)
    best, fewest = [list(layer) for layer in layers], _count_crossings(layers, after)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for number in range(len(layers)) if down else reversed(range(len(layers))):
            neighbours = before if down else after
            adjacent = number - 1 if down else number + 1
            position = {box: index for index, box in enumerate(layers[adjacent] if 0 <= adjacent < len(layers) else ())}
            current = {box: index for index, box in enumerate(layers[number])}
            layers[number].sort(key=lambda box: _mean([position[one] for one in neighbours[box]], current[box]))
        n_crossings = _count_crossings(layers, after)
        if n_crossings < fewest:
            best, fewest = [list(layer) for layer in layers], n_crossings
        if not fewest:
            break
    return best


def _place(
    layers: Sequence[Sequence[int]], links: Sequence[tuple[int, int]], widths: Sequence[float], gap: float, n_boxes: int
) -> list[float]:
    """Return the position of each box or point in its rank, as near to its neighbours as the others there allow.

    Args:
        layers: Boxes and points of each rank, in order.
        links: Pairs of boxes or points in adjacent ranks.
        widths: Width of each box; that of a point is 0.
        gap: Minimum gap between boxes of a rank.
        n_boxes: Number of boxes; larger indices are points.
    """
    x = [0.0] * len(widths)
    for layer in layers:
        left = 0.0
        for box in layer:
            x[box] = left + widths[box] / 2
            left += widths[box] + gap
        for box in layer:
            x[box] -= (left - gap) / 2
    before_and_after = _neighbours(len(widths), links)
    for sweep in range(SWEEPS * 4):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            # the first half of the sweeps considers neighbours on one side only, so that all boxes move
            sides = before_and_after if sweep >= SWEEPS * 2 else before_and_after[sweep % 2 : sweep % 2 + 1]
            wanted = [_preferred(box, [one for side in sides for one in side[box]], x, n_boxes) for box in layer]
            weights = [_STRAIGHTNESS if box < n_boxes else 1.0 for box in layer]
            gaps = [(widths[a] + widths[b]) / 2 + gap for a, b in itertools.pairwise(layer)]
            for box, place in zip(layer, _keep_gaps(wanted, weights, gaps), strict=True):
                x[box] = place
    return x


def _preferred(box: int, neighbours: Sequence[int], x: Sequence[float], n_boxes: int) -> float:
    """Return the weighted mean position of a box's neighbours; those of its kind, box or point, weigh more."""
    weights = [_STRAIGHTNESS if (one < n_boxes) == (box < n_boxes) else 1.0 for one in neighbours]
    if not weights:
        return x[box]
    return sum(x[one] * weight for one, weight in zip(neighbours, weights, strict=True)) / sum(weights)


def _find_lines(edges: Sequence[tuple[int, int]], rank: Sequence[int]) -> list[list[int]]:
    """Return chains of boxes in adjacent ranks, in which each box is the only successor of the one before."""
    before, after = _neighbours(len(rank), [edge for edge in edges if rank[edge[1]] == rank[edge[0]] + 1])
    single = {box: ends[0] for box, ends in enumerate(after) if len(ends) == 1 and len(before[ends[0]]) == 1}
    lines = []
    for box in sorted(set(single) - set(single.values())):
        line = [box]
        while line[-1] in single:
            line.append(single[line[-1]])
        lines.append(line)
    return lines


def _straighten(
    line: Sequence[int], x: list[float], layers: Sequence[Sequence[int]], widths: Sequence[float], gap: float
) -> None:
    """Give the boxes of a chain, or the points of an arrow, one position in all their ranks if there is room for it."""
    low, high = -math.inf, math.inf
    for point, layer in zip(line, layers, strict=True):
        at = layer.index(point)
        for side, other in ((-1, at - 1), (1, at + 1)):
            if 0 <= other < len(layer):
                edge = x[layer[other]] - side * ((widths[layer[other]] + widths[point]) / 2 + gap)
                low, high = (max(low, edge), high) if side < 0 else (low, min(high, edge))
    if line and low <= high:
        place = min(max(sum(x[point] for point in line) / len(line), low), high)
        for point in line:
            x[point] = place


def _keep_gaps(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Return the positions with the least weighted squared distance to `wanted` that keep order and gaps.

    This is isotonic regression of the positions minus the gaps, by the pool-adjacent-violators algorithm.

    Args:
        wanted: Preferred positions, in order.
        weights: Weight of each position.
        gaps: Minimum distance of each position to the one before, from the second one on.

    >>> _keep_gaps([0.0, 0.0], [1.0, 1.0], [2.0])
    [-1.0, 1.0]
    """
    shifts = [0.0]
    for gap in gaps:
        shifts.append(shifts[-1] + gap)
    pools: list[tuple[float, float, int]] = []  # position, weight, number of boxes
    for want, weight, shift in zip(wanted, weights, shifts, strict=True):
        pool = (want - shift, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            place, heavy, count = pools.pop()
            total = heavy + pool[1]
            pool = ((place * heavy + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    places = [place for place, _, count in pools for _ in range(count)]
    return [place + shift for place, shift in zip(places, shifts, strict=True)]


def _count_crossings(layers: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> int:
    """Return the number of crossings of links between adjacent ranks."""
    n_crossings = 0
    for layer, following in itertools.pairwise(layers):
        position = {box: index for index, box in enumerate(following)}
        ends = [end for box in layer for end in sorted(position[one] for one in after[box])]
        n_crossings += sum(a > b for index, a in enumerate(ends) for b in ends[index + 1 :])
    return n_crossings


def _neighbours(count: int, links: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Return, for each of `count` boxes, the boxes linked before it and those linked after it."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in links:
        before[target].append(source)
        after[source].append(target)
    return before, after


def _mean(values: Sequence[float], default: float) -> float:
    """Return the mean of values, or `default` if there are none."""
    return sum(values) / len(values) if values else default
