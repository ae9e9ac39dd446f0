"""Where the boxes of a graph go: ranks by the longest way to them, orders with few crossings, straight arrows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
SWEEPS = 12


@dataclass
class Plan:
    """Positions, in the units of the sizes given.

    Attributes:
        centres: of the boxes: across the ranks, along them.
        ways: for each arrow where it enters and leaves each rank, from that of its source to that of its target.
    """

    centres: list[Point]
    ways: list[list[Point]]


def arrange(sizes: Sequence[Point], edges: Sequence[tuple[int, int]], across: float, along: float) -> Plan:
    """Place boxes in ranks, so that arrows point along and few of them cross.

    Args:
        sizes: of the boxes: across the ranks, along them.
        edges: pairs of numbers of boxes, the first always smaller.
        across: the least gap between neighbours.
        along: the gap between ranks.
    """
    rank = [0] * len(sizes)
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        rank[target] = max(rank[target], rank[source] + 1)
    _pull(rank, edges)
    # an arrow over several ranks passes a point, a box without size, in each
    widths, places, chains = [size[0] for size in sizes], list(rank), []
    for source, target in edges:
        chain = [source]
        for between in range(rank[source] + 1, rank[target]):
            chain.append(len(places))
            places.append(between)
            widths.append(0.0)
        chains.append([*chain, target])
    links = [pair for chain in chains for pair in itertools.pairwise(chain)]
    layers = _ordered(places, links)
    x = _positions(layers, links, widths, across, len(sizes))
    for line in [*_lines(edges, rank), *(chain[1:-1] for chain in chains)]:
        _straighten(line, x, [layers[places[point]] for point in line], widths, across)
    middles, depths, y = [], [], 0.0
    for layer in layers:
        depths.append(max(sizes[box][1] for box in layer if box < len(sizes)))
        middles.append(y + depths[-1] / 2)
        y += depths[-1] + along
    return Plan(
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


def _pull(rank: list[int], edges: Sequence[tuple[int, int]]) -> None:
    """Inputs stand directly before what they go into, not all at the top."""
    fed = {target for _, target in edges}
    for box in range(len(rank)):
        after = [rank[target] for source, target in edges if source == box]
        if box not in fed and after:
            rank[box] = min(after) - 1


def _ordered(places: Sequence[int], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The boxes of each rank, in the order with the fewest crossings that some sweeps find."""
    layers: list[list[int]] = [[] for _ in range(max(places, default=-1) + 1)]
    for box, place in enumerate(places):
        layers[place].append(box)
    before, after = _neighbours(len(places), links)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, after)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for number in range(len(layers)) if down else reversed(range(len(layers))):
            beside = before if down else after
            near = number - 1 if down else number + 1
            at = {box: index for index, box in enumerate(layers[near] if 0 <= near < len(layers) else ())}
            here = {box: index for index, box in enumerate(layers[number])}
            layers[number].sort(key=lambda box: _mean([at[one] for one in beside[box]], here[box]))
        count = _crossings(layers, after)
        if count < fewest:
            best, fewest = [list(layer) for layer in layers], count
        if not fewest:
            break
    return best


def _positions(
    layers: Sequence[Sequence[int]], links: Sequence[tuple[int, int]], widths: Sequence[float], gap: float, boxes: int
) -> list[float]:
    """Across the ranks: each as near to the middle of its neighbours as the boxes beside it let it be."""
    x = [0.0] * len(widths)
    for layer in layers:
        left = 0.0
        for box in layer:
            x[box] = left + widths[box] / 2
            left += widths[box] + gap
        for box in layer:
            x[box] -= (left - gap) / 2
    beside = _neighbours(len(widths), links)
    for sweep in range(SWEEPS * 4):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            # first from one side, so that all move, then from both
            sides = beside if sweep >= SWEEPS * 2 else beside[sweep % 2 : sweep % 2 + 1]
            wanted = [_pulled(box, [one for side in sides for one in side[box]], x, boxes) for box in layer]
            weights = [_STRAIGHT if box < boxes else 1.0 for box in layer]
            gaps = [(widths[a] + widths[b]) / 2 + gap for a, b in itertools.pairwise(layer)]
            for box, place in zip(layer, _apart(wanted, weights, gaps), strict=True):
                x[box] = place
    return x


_STRAIGHT = 16.0  # how much more an arrow to the next rank wants to be straight than one over several


def _pulled(box: int, others: Sequence[int], x: Sequence[float], boxes: int) -> float:
    """Where its neighbours want a box: those of its kind, boxes or points of long arrows, most of all."""
    pulls = [_STRAIGHT if (one < boxes) == (box < boxes) else 1.0 for one in others]
    return sum(x[one] * pull for one, pull in zip(others, pulls, strict=True)) / sum(pulls) if pulls else x[box]


def _lines(edges: Sequence[tuple[int, int]], rank: Sequence[int]) -> list[list[int]]:
    """Boxes that follow each other, rank by rank, each the only one that does."""
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
    """The same place in all ranks for boxes in line, or for the points of an arrow, where there is room."""
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


def _apart(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The places nearest to those wanted, by weighted squares, that keep the order and the gaps.

    >>> _apart([0.0, 0.0], [1.0, 1.0], [2.0])
    [-1.0, 1.0]
    """
    shifts = [0.0]
    for gap in gaps:
        shifts.append(shifts[-1] + gap)
    pools: list[tuple[float, float, int]] = []  # where, weight, how many
    for want, weight, shift in zip(wanted, weights, shifts, strict=True):
        pool = (want - shift, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            place, heavy, count = pools.pop()
            total = heavy + pool[1]
            pool = ((place * heavy + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    places = [place for place, _, count in pools for _ in range(count)]
    return [place + shift for place, shift in zip(places, shifts, strict=True)]


def _crossings(layers: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> int:
    found = 0
    for layer, following in itertools.pairwise(layers):
        at = {box: index for index, box in enumerate(following)}
        ends = [end for box in layer for end in sorted(at[one] for one in after[box])]
        found += sum(a > b for index, a in enumerate(ends) for b in ends[index + 1 :])
    return found


def _neighbours(count: int, links: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in links:
        before[target].append(source)
        after[source].append(target)
    return before, after


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
