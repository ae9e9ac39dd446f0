"""Recorded graphs, put as Inductor compiles them right and well."""

from __future__ import annotations

import operator

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from kerastorch.core.torch_private import inductor_realize


def draw_apart(graph: GraphModule) -> None:
    """Dropout's masks from a kernel that returns them.

    Inductor (2.13) may draw in place only after it has read the mask, when it fuses what lies around. `native_dropout`
    draws the same numbers.
    """
    aten = torch.ops.aten
    for node in graph.graph.nodes:
        if node.target is not aten.bernoulli_.float or node.kwargs.get("generator") is not None:
            continue
        into, keep = node.args[0], node.args[1] if len(node.args) > 1 else 0.5
        with graph.graph.inserting_before(node):
            drawn = graph.graph.call_function(aten.native_dropout.default, (into, 1 - keep, True))
            mask = graph.graph.call_function(operator.getitem, (drawn, 1))
            filled = graph.graph.call_function(aten.copy_.default, (into, mask))
        node.replace_all_uses_with(filled)
        graph.graph.erase_node(node)
    graph.recompile()


def compute_once(graph: GraphModule) -> None:
    """Single numbers in buffers of their own.

    Inductor computes them anew for each vector of the tensors they go into; an optimizer's `1 - beta ** step` then
    takes longer than the rest of its update.
    """
    store = inductor_realize()
    for node in list(graph.graph.nodes):
        if not _single(node) or not _costly(node):
            continue
        wide = [user for user in node.users if not _single(user)]
        if not wide:
            continue
        with graph.graph.inserting_after(node):
            stored = graph.graph.call_function(store, (node,))
        for user in wide:
            user.replace_input_with(node, stored)
    graph.recompile()


def _single(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.ndim == 0 and node.op == "call_function"


def _costly(node: Node) -> bool:
    """Whether a single number is made of others by more than sums and products."""
    name = str(node.target)
    if any(word in name for word in (".pow.", ".pow_.", ".sqrt.", ".sqrt_.", ".exp.", ".log.")):
        return True
    return any(_costly(one) for one in node.all_input_nodes if _single(one))
