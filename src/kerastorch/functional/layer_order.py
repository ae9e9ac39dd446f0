"""The order of the layers of a functional model: by their distance from the outputs, as in Keras."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx


def layer_nodes(graph: fx.Graph) -> list[fx.Node]:
    """Return the first node of each module of a graph, and the nodes of its inputs, in the order of Keras.

    Calls farther away from the outputs come first, by the longest path. Those at the same distance are ordered as a
    depth-first search from the outputs meets them. Constants, which are computed from no input, are left out.

    Args:
        graph: The graph of a functional model.
    """
    ends = next(node for node in graph.nodes if node.op == "output")
    finished, ranks = _depth_first([_whole(node) for node in _in_order(ends.args[0])])
    depths = _depths(finished)
    unused = [node for node in graph.nodes if node.op == "placeholder" and node not in ranks]
    depths |= dict.fromkeys(unused, 0)
    ranks |= dict.fromkeys(unused, -1)
    nodes: dict[Any, fx.Node] = {}
    for node in filter(_is_layer, [*unused, *finished]):
        nodes.setdefault(_operation(node), node)
    return [nodes[one] for one in sorted(nodes, key=lambda one: (-depths[one], ranks[one]))]


def _is_layer(node: fx.Node) -> bool:
    return node.op == "placeholder" or (node.op == "call_module" and bool(node.all_input_nodes))


def _operation(node: fx.Node) -> Any:
    """Return what all calls of one module have in common; of other nodes, the node."""
    return node.target if node.op == "call_module" else node


def _in_order(outputs: Any) -> list[fx.Node]:
    """Return the nodes of outputs; those of a dict in the order of its sorted keys."""
    if isinstance(outputs, Mapping):
        return [node for key in sorted(outputs, key=str) for node in _in_order(outputs[key])]
    if isinstance(outputs, (tuple, list)):
        return [node for item in outputs for node in _in_order(item)]
    return [outputs] if isinstance(outputs, fx.Node) else []


def _sources(node: fx.Node) -> list[fx.Node]:
    """Return the nodes that a node is computed from; items of a structure count as the call that returned it."""
    return [_whole(source) for source in node.all_input_nodes]


def _whole(node: fx.Node) -> fx.Node:
    while node.target is operator.getitem and isinstance(node.args[1], (int, str)):
        node = node.args[0]  # type: ignore[assignment]
    return node


def _depth_first(ends: Sequence[fx.Node]) -> tuple[list[fx.Node], dict[Any, int]]:
    """Return the nodes, each after its sources, and the order in which operations are met on the way to the inputs."""
    finished: list[fx.Node] = []
    started: set[fx.Node] = set()
    ranks: dict[Any, int] = {}
    waiting = [(end, False) for end in reversed(ends)]
    while waiting:
        node, sources_done = waiting.pop()
        if sources_done:
            finished.append(node)
        elif node not in started:
            started.add(node)
            ranks.setdefault(_operation(node), len(ranks))
            waiting.append((node, True))
            waiting += [(source, False) for source in reversed(_sources(node))]
    return finished, ranks


def _depths(finished: Sequence[fx.Node]) -> dict[Any, int]:
    """Return the longest distance of each operation from the outputs."""
    of_nodes: dict[fx.Node, int] = {}
    depths: dict[Any, int] = {}
    for node in reversed(finished):
        operation = _operation(node)
        depth = depths[operation] = max(of_nodes.get(node, 0), depths.get(operation, 0))
        for source in _sources(node):
            of_nodes[source] = max(depth + 1, of_nodes.get(source, 0))
    return depths
