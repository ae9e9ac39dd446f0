"""Running a recorded step of one model for several models, whose tensors are stacked on a new first axis."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from kerastorch.core.torch_private import operation_schema, pytree
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training_together.operation_recorder import OperationRecorder, SharedObject
from kerastorch.training_together.parameter_stack import whole_vectors

Operation = Any  # an operation of `torch.ops`

_ATEN = torch.ops.aten
# each of them sums over the elements of one model, in an order that does not depend on the other models
_REDUCTIONS = {
    _ATEN.sum.default, _ATEN.sum.dim_IntList, _ATEN.mean.default, _ATEN.mean.dim, _ATEN._softmax.default,
    _ATEN._log_softmax.default, _ATEN._softmax_backward_data.default, _ATEN._log_softmax_backward_data.default,
    _ATEN.bmm.default,
}  # fmt: skip
_COPIES = {  # they compute nothing
    _ATEN.empty_like.default, _ATEN.zeros_like.default, _ATEN.ones_like.default, _ATEN.full_like.default,
    _ATEN.new_empty.default, _ATEN.new_zeros.default, _ATEN.new_ones.default, _ATEN.new_full.default,
    _ATEN.clone.default, _ATEN._to_copy.default, _ATEN.copy_.default, _ATEN.fill_.Scalar, _ATEN.zero_.default,
    _ATEN.cat.default, _ATEN.stack.default, _ATEN._unsafe_view.default,
}  # fmt: skip
_EXACT = {  # on single elements, with results that IEEE 754 prescribes, so that each kernel gives the same
    "abs", "add", "add_", "bitwise_and", "bitwise_not", "bitwise_or", "clamp", "clamp_min", "clamp_max", "div", "div_",
    "eq", "ge", "gt", "isnan", "le", "logical_and", "logical_not", "logical_or", "lt", "masked_fill", "masked_fill_",
    "maximum", "minimum", "mul", "mul_", "ne", "neg", "relu", "relu_", "sgn", "sign", "sqrt", "square", "sub", "sub_",
    "threshold_backward", "where",
}  # fmt: skip
ALIGNED_BYTES = 64  # memory of a tensor begins at a multiple of these
SHARED, VIEWS, COPIES = 0, 1, 2  # how an argument is divided among the models
MAX_UNDIVIDED = 2**15  # elements of a result that torch computes in one thread
_VIEWS_BY_SIZE = (_ATEN.view.default, _ATEN._unsafe_view.default)


class Exactness(Enum):
    """How sure it is that stacked operations round as those of single models do."""

    LIKELY = auto()  # products of matrices, sums and functions of elements are computed for all models in one call
    SURE = auto()  # only arithmetic of elements is; the other operations are called once for each model


class Generators(SharedObject):
    """One random generator for each model.

    Args:
        generators: The generators.
    """

    def __init__(self, generators: Iterable[torch.Generator]) -> None:
        self.generators = list(generators)


class _Value(NamedTuple):
    """A value in the graph of one model: that of all models, stacked, or one that they share."""

    value: Any
    is_stacked: bool


def stack_graph(
    graph: GraphModule, inputs: Sequence[Tensor], generators: Generators, exactness: Exactness
) -> GraphModule:
    """Return the graph of one model for several models.

    Args:
        graph: Operations of a step of one model, from its tensors.
        inputs: The same tensors of all models, `(models, ...)`. The graph is run with them, so that it may change them.
        generators: Random generators of the models.
        exactness: Which operations are computed in one call for all models.

    Returns:
        A function of such tensors; its results have the models on their first axis, too.

    Raises:
        UntraceableError: An operation cannot be stacked.
    """
    recorder = OperationRecorder(inputs)
    with torch.no_grad(), recorder:
        try:
            outputs = _StackedRun(graph, recorder, generators, exactness).run(inputs)
        except (RuntimeError, IndexError, TypeError, NotImplementedError) as error:
            raise UntraceableError(f"an operation cannot be stacked: {str(error).splitlines()[0]}") from error
    return recorder.finish(outputs)


class _StackedRun:
    """One run of a graph with stacked tensors, in which the operations of the stacked graph are recorded."""

    def __init__(
        self, graph: GraphModule, recorder: OperationRecorder, generators: Generators, exactness: Exactness
    ) -> None:
        self._graph, self._recorder, self._generators = graph, recorder, generators
        self._is_sure = exactness is Exactness.SURE
        self._values: dict[Any, _Value] = {}

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the results, stacked."""
        remaining = iter(inputs)
        for node in self._graph.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = _Value(next(remaining), is_stacked=True)
            elif node.op == "get_attr":
                self._values[node] = _Value(getattr(self._graph, node.target), is_stacked=False)
            elif node.op == "call_function":
                self._values[node] = self._run_node(node)
        return [self._stacked(self._values[node]) for node in node.args[0]]

    def _stacked(self, value: _Value) -> Tensor:
        tensor: Tensor = value.value
        return tensor if value.is_stacked else tensor.expand(len(self._generators.generators), *tensor.shape)

    def _run_node(self, node: Node) -> _Value:
        function: Operation = node.target
        args: Any = node.args
        if function is operator.getitem:
            held = self._values[args[0]]
            return _Value(held.value[args[1]], held.is_stacked)
        if "out" in node.kwargs:
            found = self._run_operation(
                _overload_like(function.overloadpacket, function), node, {**node.kwargs, "out": None}
            )
            out = self._given(node.kwargs["out"])
            return _Value(out.value.copy_(found.value), out.is_stacked)
        if torch.Tag.inplace_view in function.tags:  # only the shape of the tensor object changes
            name = operation_schema(function).name.rpartition("::")[2].removesuffix("_")
            function = _overload_like(getattr(_ATEN, name), function)
        return self._run_operation(function, node, node.kwargs)

    def _run_operation(self, function: Operation, node: Node, keywords: Mapping[str, Any]) -> _Value:
        """Run an operation for all models.

        Args:
            function: The operation.
            node: Its call in the graph of one model.
            keywords: Its keyword arguments, `out` being left out.
        """
        args = node.args
        given = tuple(map(self._given, args))
        if any(self._given(one).is_stacked for one in keywords.values()):
            raise UntraceableError(f"{function} takes a tensor by keyword")
        kwargs = {name: self._given(one).value for name, one in keywords.items() if name != "out"}
        if torch.Tag.nondeterministic_seeded in function.tags:
            return self._draw(node, function, given, kwargs)
        values = tuple(one.value for one in given)
        if not any(one.is_stacked for one in given):
            return _Value(function(*values, **kwargs), is_stacked=False)
        if not self._is_sure and not kwargs and all(one.is_stacked for one in given):
            if function is _ATEN.mm.default:
                return _Value(torch.bmm(*values), is_stacked=True)
            if function is _ATEN.addmm.default and values[0].ndim == 2:
                return _Value(torch.baddbmm(values[0].unsqueeze(1), *values[1:]), is_stacked=True)
        if self._can_be_vmapped(function, given, kwargs):
            return _Value(_vmapped(function, node, values, kwargs, self._is_node_stacked), is_stacked=True)
        written = [
            one.alias_info is not None and one.alias_info.is_write for one in operation_schema(function).arguments
        ]
        rows = tuple(self._rows(one, is_written=flag) for one, flag in zip(args, written, strict=False))
        return _Value(self._recorder.call(call_each, function, rows, values, kwargs), is_stacked=True)

    def _can_be_vmapped(self, function: Operation, given: Sequence[_Value], kwargs: Mapping[str, Any]) -> bool:
        """Return whether an operation on stacked tensors rounds as that of single models, as far as is asked for."""
        if function.is_view or function in _COPIES:
            return True
        if function.overloadpacket.__name__ in _EXACT and kwargs.get("alpha", 1) == 1:
            return True
        if self._is_sure:
            return False
        tensors = [one.value for one in given if one.is_stacked and isinstance(one.value, Tensor)]
        if torch.get_num_threads() > 1 and any(one.numel() > MAX_UNDIVIDED for one in tensors):
            return False
        is_pointwise = torch.Tag.pointwise in function.tags
        return function in _REDUCTIONS or (
            is_pointwise and all(one[0].numel() % whole_vectors() == 0 for one in tensors)
        )

    def _draw(self, node: Node, function: Operation, given: Sequence[_Value], kwargs: Mapping[str, Any]) -> _Value:
        """Draw random numbers for each model with its own generator."""
        function = _with_generator(function)
        values, rows = tuple(one.value for one in given), tuple(self._rows(one, is_written=True) for one in node.args)
        if not any(one.is_stacked for one in given) and is_in_place(function):
            values = (self._stacked(given[0]).clone(), *values[1:])
            rows = (VIEWS, *rows[1:])
        others = {name: value for name, value in kwargs.items() if name != "generator"}
        drawn = _Value(self._recorder.call(draw_each, function, self._generators, rows, values, others), True)
        if is_in_place(function):
            self._values[node.args[0]] = drawn
        return drawn

    def _given(self, argument: Any) -> _Value:
        """Return the value of an argument; a list is stacked if an entry is."""
        if isinstance(argument, Node):
            return self._values[argument]
        if isinstance(argument, (list, tuple)):
            entries = [self._given(one) for one in argument]
            return _Value(type(argument)([one.value for one in entries]), any(one.is_stacked for one in entries))
        return _Value(argument, is_stacked=False)

    def _rows(self, argument: Any, *, is_written: bool) -> Any:
        """Return how an argument is divided among the models; for a list with tensors, how each entry is.

        Rows that do not begin where memory of their own would are copied, because kernels round by the alignment.

        Args:
            argument: Argument in the graph of one model.
            is_written: The operation changes it.
        """
        if isinstance(argument, (list, tuple)) and any(isinstance(one, Node) for one in argument):
            return tuple(self._rows(one, is_written=is_written) for one in argument)
        if not self._is_node_stacked(argument):
            return SHARED
        tensor = self._values[argument].value
        is_aligned = tensor.stride(0) * tensor.element_size() % ALIGNED_BYTES == 0
        return VIEWS if is_aligned or is_written else COPIES

    def _is_node_stacked(self, argument: Any) -> bool:
        return isinstance(argument, Node) and self._values[argument].is_stacked


def _vmapped(
    function: Operation,
    node: Node,
    values: Sequence[Any],
    kwargs: Mapping[str, Any],
    is_stacked: Callable[[Any], bool],
) -> Any:
    """Call an operation on tensors of all models.

    Args:
        function: The operation.
        node: Its call in the graph of one model.
        values: Its arguments, those of all models stacked.
        kwargs: Its keyword arguments.
        is_stacked: Returns whether an argument in the graph of one model is stacked.
    """
    leaves, structure = pytree.tree_flatten(tuple(values))
    flags = [is_stacked(one) for one in pytree.tree_leaves(node.args, is_leaf=lambda one: isinstance(one, Node))]
    at = [index for index, flag in enumerate(flags) if flag]

    def call(*tensors: Tensor) -> Any:
        given = list(leaves)
        for index, tensor in zip(at, tensors, strict=True):
            given[index] = tensor
        args = pytree.tree_unflatten(given, structure)
        if function in _VIEWS_BY_SIZE:
            return args[0].reshape(args[1])  # stacked tensors may have strides that do not allow a view
        return function(*args, **kwargs)

    found = torch.vmap(call)(*(leaves[index] for index in at))
    return values[0] if is_in_place(function) else found


def _overload_like(packet: Any, function: Operation) -> Operation:
    """Return the overload of an operation with the arguments of another one, `out` being left out."""
    wanted = [(one.name, str(one.type)) for one in operation_schema(function).arguments if one.name != "out"]
    for name in packet.overloads():
        found: Operation = getattr(packet, name)
        if [(one.name, str(one.type)) for one in operation_schema(found).arguments] == wanted:
            return found
    raise UntraceableError(f"{function} changes a tensor that it was given")


def is_in_place(function: Operation) -> bool:
    """Return whether an operation changes its first argument and returns it."""
    schema = operation_schema(function)
    changed = [one.alias_info for one in schema.arguments[:1] if one.alias_info is not None and one.alias_info.is_write]
    return bool(changed) and len(schema.returns) == 1 and schema.returns[0].alias_info is not None


def call_each(function: Operation, rows: Sequence[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call an operation for each model; stack the results.

    Args:
        function: The operation.
        rows: How each argument is divided among the models: `SHARED`, `VIEWS`, `COPIES`, or a tuple for a list.
        args: Its arguments.
        kwargs: Its keyword arguments, the same for all models.
    """
    results = [function(*given, **kwargs) for given in _divided(args, rows)]
    return args[0] if is_in_place(function) else _joined(results)


def _with_generator(function: Operation) -> Operation:
    """Return the overload of an operation that takes a random generator.

    Raises:
        UntraceableError: There is none.
    """
    first = str(function).rpartition(".")[2]
    for name in (first, "generator" if first == "default" else f"{first}_generator"):
        found = getattr(function.overloadpacket, name, None)
        if found is not None and any(one.name == "generator" for one in operation_schema(found).arguments):
            return found
    raise UntraceableError(f"{function} takes no random generator")


def draw_each(
    function: Operation, generators: Generators, rows: Sequence[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Draw random numbers for each model; arguments as for `call_each`, and the generators."""
    divided = _divided(args, rows) if any(rows) else itertools.repeat(args)
    drawn = zip(divided, generators.generators, strict=False)
    results = [function(*given, **kwargs, generator=generator) for given, generator in drawn]
    return args[0] if is_in_place(function) else _joined(results)


def _divided(args: Sequence[Any], rows: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
    """Return the arguments of each model."""
    return zip(*(_column(arg, how) for arg, how in zip(args, rows, strict=True)), strict=False)


def _column(arg: Any, how: Any) -> Iterable[Any]:
    if isinstance(how, tuple):
        return map(list, zip(*(_column(one, each) for one, each in zip(arg, how, strict=True)), strict=False))
    if how == COPIES:
        return [part.clone() for part in arg.unbind()]
    return arg.unbind() if how == VIEWS else itertools.repeat(arg)


def _joined(results: Sequence[Any]) -> Any:
    if isinstance(results[0], Tensor):
        return torch.stack(tuple(results))
    return tuple(
        torch.stack(column) if isinstance(column[0], Tensor) else None for column in zip(*results, strict=True)
    )
