"""OperationRecorder: writes the operations of torch that a block executes into a graph, which can be run again."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.overrides import TorchFunctionMode

from kerastorch.core.torch_private import TorchDispatchMode
from kerastorch.training.jit.errors import UntraceableError

_DETACH = torch.ops.aten.detach.default
_VALUE_TAGS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_READS = {  # methods of a tensor that give Python its values
    getattr(Tensor, name)
    for name in ("item", "tolist", "numpy", "__array__", "__bool__", "__float__", "__int__", "__index__", "__complex__")
}


class OperationRecorder(TorchDispatchMode):
    """A mode within which operations are executed and recorded.

    The graph repeats the operations, not the Python code around them. Tensors that were neither inputs nor results of
    a recorded operation are constants of the graph.

    Args:
        inputs: Tensors that the graph takes, in this order.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph, self._constants = Graph(), dict[str, Any]()
        self._held: list[Any] = []  # so that no new tensor gets an `id` that is known
        self._nodes: dict[int, Node] = {}
        self._is_paused = False
        for number, tensor in enumerate(inputs):
            self._remember(tensor, self._graph.placeholder(f"input_{number}"))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._is_paused:
            return func(*args, **kwargs)
        if _depends_on_values(func, args):
            raise UntraceableError(f"a step depends on the values of tensors ({func})")
        out = func(*args, **kwargs)
        if func is _DETACH:
            self._remember(out, self._node(args[0]))
        else:
            self._record(func, args, kwargs, out)
        return out

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function and record it as one operation.

        Args:
            function: A function of a module, by whose name the graph calls it.
            args: Its arguments.
        """
        self._is_paused = True
        try:
            out = function(*args)
        finally:
            self._is_paused = False
        self._record(function, args, {}, out)
        return out

    def constants(self) -> list[Tensor]:
        """Return the tensors that were neither inputs nor results of recorded operations."""
        return [value for value in self._constants.values() if isinstance(value, Tensor)]

    def finish(self, outputs: Sequence[Tensor]) -> GraphModule:
        """Return the recorded operations as a function of the inputs, which returns a tuple.

        Args:
            outputs: Inputs, constants, or results of recorded operations, that the function returns.
        """
        self._graph.output(tuple(self._node(one) for one in outputs))
        self._held.clear()
        self._nodes.clear()
        return GraphModule(self._constants, self._graph)

    def _record(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> None:
        given = tuple(map(self._argument, args)), {name: self._argument(one) for name, one in kwargs.items()}
        node = self._graph.create_node("call_function", function, *given)
        if isinstance(out, Tensor):
            self._remember(out, node)
        elif isinstance(out, (tuple, list)):
            for index, one in enumerate(out):
                if isinstance(one, Tensor):
                    self._remember(one, self._graph.call_function(operator.getitem, (node, index)))

    def _argument(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(map(self._argument, value))
        if isinstance(value, Tensor):
            return self._node(value)
        return self._constant(value) if isinstance(value, (torch.Generator, SharedObject)) else value

    def _node(self, tensor: Tensor) -> Node:
        node = self._nodes.get(id(tensor))
        return self._remember(tensor, self._constant(tensor)) if node is None else node

    def _constant(self, value: Any) -> Node:
        name = f"constant_{len(self._constants)}"
        self._constants[name] = value
        return self._graph.create_node("get_attr", name)

    def _remember(self, tensor: Any, node: Node) -> Node:
        self._held.append(tensor)
        self._nodes[id(tensor)] = node
        return node


class SharedObject:
    """Base of objects that a graph holds and does not copy."""


class ForbidReads(TorchFunctionMode):
    """A mode within which Python code cannot read the values of tensors.

    Raises:
        UntraceableError: It does, as an `if` or a loop that depends on a tensor.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _READS:
            raise UntraceableError(f"a step reads the values of a tensor ({func.__name__})")
        return func(*args, **(kwargs or {}))


def _depends_on_values(func: Any, args: tuple[Any, ...]) -> bool:
    """Return whether an operation gives Python a value, or a tensor whose shape depends on values."""
    if not _VALUE_TAGS & set(func.tags):
        return False
    if func in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten.index_put.default):
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return True
