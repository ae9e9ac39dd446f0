"""Passes over a traced graph, before Inductor compiles it."""

from __future__ import annotations

import operator

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from kerastorch.core.torch_private import inductor_realize


def replace_inplace_bernoulli(graph: GraphModule) -> None:
    """Replace `bernoulli_`, which dropout uses, by `native_dropout`.

    Both draw the same random numbers. When Inductor (2.13) fuses operations around `bernoulli_`, it may draw into a
    mask that it has read already. `native_dropout` returns its mask.
    """
    aten = torch.ops.aten
    for node in graph.graph.nodes:
        if node.target is not aten.bernoulli_.float or node.kwargs.get("generator") is not None:
            continue
        destination, probability = node.args[0], node.args[1] if len(node.args) > 1 else 0.5
        with graph.graph.inserting_before(node):
            dropout = graph.graph.call_function(aten.native_dropout.default, (destination, 1 - probability, True))
            mask = graph.graph.call_function(operator.getitem, (dropout, 1))
            filled = graph.graph.call_function(aten.copy_.default, (destination, mask))
        node.replace_all_uses_with(filled)
        graph.graph.erase_node(node)
    graph.recompile()


def materialize_scalars(graph: GraphModule) -> None:
    """Let Inductor compute each expensive scalar once, into a buffer.

    Otherwise Inductor inlines a scalar into the loops over the tensors that it is combined with. An optimizer's
    `1 - beta ** step` then takes longer than the rest of the update.
    """
    realize = inductor_realize()
    for node in list(graph.graph.nodes):
        if not _is_scalar(node) or not _is_expensive(node):
            continue
        tensor_users = [user for user in node.users if not _is_scalar(user)]
        if not tensor_users:
            continue
        with graph.graph.inserting_after(node):
            realized = graph.graph.call_function(realize, (node,))
        for user in tensor_users:
            user.replace_input_with(node, realized)
    graph.recompile()


def _is_scalar(node: Node) -> bool:
    """Return whether a node computes a tensor without axes."""
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.ndim == 0 and node.op == "call_function"


def _is_expensive(node: Node) -> bool:
    """Return whether a scalar comes from other scalars by powers, roots, `exp` or `log`."""
    name = str(node.target)
    if any(word in name for word in (".pow.", ".pow_.", ".sqrt.", ".sqrt_.", ".exp.", ".log.")):
        return True
    return any(_is_expensive(scalar) for scalar in node.all_input_nodes if _is_scalar(scalar))
