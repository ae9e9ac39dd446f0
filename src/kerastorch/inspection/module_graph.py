"""Trace the graph of a model: modules, functions of torch between them, and the tensors that connect them.

Tensors are followed from box to box by their identity while the model runs. Unlike symbolic tracing, this works for
every kind of model.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kerastorch.core.module_tree import module_within
from kerastorch.core.name_lookup import own_name
from kerastorch.core.nested import map_structure
from kerastorch.core.ownership import is_from, is_own
from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES
from kerastorch.core.torch_private import disable_torch_function, write_count
from kerastorch.inspection.call_recorder import Shape, merge_shapes, shapes, tensors_in
from kerastorch.inspection.summary_rows import class_name
from kerastorch.runtime.dry_run import DryRun, with_possible_sizes


@dataclass
class Node:
    """One box of the picture: an input, a module, or a function.

    Attributes:
        name: Name of the module or input, or path of the module; empty for a function.
        kind: Name of the class or function; `"Input"` for an input.
        module: The module; `None` for an input or a function.
        groups: Paths of the expanded modules around it, outermost first, which are drawn as frames.
        input_shapes: Shapes of the tensors that it takes.
        output_shapes: Shapes of the tensors that it returns.
        dtype: Dtype of its output, without `torch.`.
    """

    name: str
    kind: str
    module: nn.Module | None = None
    groups: tuple[str, ...] = ()
    input_shapes: list[Shape] = field(default_factory=list)
    output_shapes: list[Shape] = field(default_factory=list)
    dtype: str = ""


@dataclass
class Graph:
    """Boxes in the order of the calls, and arrows as pairs of indices of boxes."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)


def graph_of(module: nn.Module, specs: Any, *, expand: bool) -> Graph:
    """Return the graph of one call of a module in evaluation mode; the module is not changed.

    Args:
        module: A module.
        specs: Specs of the inputs, in their structure; `None` if they are not known. Then only a chain can be drawn, as
            its children, one after the other.
        expand: Whether to show the parts of modules, except those of layers of torch and kerastorch.

    Raises:
        ValueError: The inputs are not known and the module is no chain; the module cannot take the inputs.
    """
    if specs is None:
        return _graph_of_chain(module)
    return with_possible_sizes(specs, partial(_trace_specs, module, expand))


def _trace_specs(module: nn.Module, expand: bool, specs: Any) -> Graph:
    """Return the graph of one call on inputs of these specs."""
    with suppress(Exception):  # the forward needs values, or the inputs are wrong
        return _trace_shapes(DryRun(module, specs, fake=True), expand)
    return _trace_shapes(DryRun(module, specs, fake=False), expand)  # whose errors have the better message


def _graph_of_chain(module: nn.Module) -> Graph:
    """Return the children of a chain of modules, one after the other, without shapes."""
    inner = module_within(module)
    if not (getattr(module, "is_chain", False) or isinstance(inner, nn.Sequential)):
        raise ValueError(
            "plot_model needs the shapes of the model's inputs: pass input_shape=(None, 64), or input_data=x."
        )
    graph = Graph([Node("", "Input")])
    for name, part in inner._modules.items():
        if part is not None:
            graph.edges.append((len(graph.nodes) - 1, len(graph.nodes)))
            graph.nodes.append(Node(own_name(part) or name, class_name(part), part))
    return graph


def _trace_shapes(dry_run: DryRun, expand: bool) -> Graph:
    """Return the graph of two calls with different sizes, with `None` for the sizes that differ."""
    first, second = (_trace(dry_run, *sizes, expand) for sizes in zip(TRIAL_BATCH_SIZES, TRIAL_SIZES, strict=True))
    if [node.kind for node in first.nodes] == [node.kind for node in second.nodes]:
        for node, other in zip(first.nodes, second.nodes, strict=True):
            node.input_shapes = merge_shapes(node.input_shapes, other.input_shapes)
            node.output_shapes = merge_shapes(node.output_shapes, other.output_shapes)
    return first


def _trace(dry_run: DryRun, batch_size: int, varying: int, expand: bool) -> Graph:
    """Return the graph of one call on zeros of these sizes."""
    tracer = _Tracer()
    with tracer.hooked(dry_run.module, expand), tracer:
        dry_run.run(dry_run.inputs(batch_size, varying))
    return tracer.graph


class _Tracer(TorchFunctionMode):
    """A mode that adds a box for each module and function, and follows tensors from one box to the next.

    Attributes:
        graph: The boxes and arrows so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graph = Graph()
        self._sources: dict[int, int] = {}  # id of a tensor -> index of the box that returned it
        self._tensors: list[Tensor] = []  # keeps traced tensors alive, so that their ids are not used again
        self._groups: list[str] = []  # paths of the expanded modules that are being called
        self._is_running = False  # the root module is being called
        self._open_boxes = 0  # boxes that are being called; calls within them have no boxes

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self._is_running or self._open_boxes:
            return func(*args, **kwargs)
        inputs, versions = tensors_in((args, kwargs)), _versions((args, kwargs))
        output = func(*args, **kwargs)
        if any(id(tensor) in self._sources for tensor in inputs) and tensors_in(output):
            output = self._add_box(Node("", _function_name(func)), inputs, output, versions)
        return output

    @contextmanager
    def hooked(self, root: nn.Module, expand: bool) -> Iterator[None]:
        """Install hooks on `root` and its submodules; with `expand`, only leaves get a box."""
        with ExitStack() as stack:
            for path, part in root.named_modules():
                if isinstance(part, torch.jit.ScriptModule):
                    continue
                has_box = not expand or _is_leaf(part)
                before, after = self._root_hooks() if part is root else self._hooks(path, has_box)
                stack.callback(part.register_forward_pre_hook(before, with_kwargs=True, prepend=True).remove)
                stack.callback(part.register_forward_hook(after, with_kwargs=True).remove)
            yield

    def _root_hooks(self) -> tuple[Any, Any]:
        """Return a pre-hook that adds boxes for the inputs, and a hook that ends tracing."""

        def before(part: nn.Module, args: Any, kwargs: Any) -> None:
            self._is_running = True
            for name, leaf in [*zip(_input_names(part, len(args)), args, strict=True), *kwargs.items()]:
                for tensor in tensors_in(leaf):
                    self._add_box(Node(name, "Input"), [], tensor, {})
            if not list(part.children()):  # a single layer is the only box of its graph
                self._open_boxes += 1

        def after(part: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if self._open_boxes:
                self._open_boxes -= 1
                self._add_box(Node("", class_name(part), part), tensors_in((args, kwargs)), output, {})
            self._is_running = False

        return before, after

    def _hooks(self, path: str, has_box: bool) -> tuple[Any, Any]:
        """Return a pre-hook and a hook of a submodule, which add its box or open a group for the boxes in it."""
        versions: list[dict[int, int]] = []

        def before(_: nn.Module, args: Any, kwargs: Any) -> None:
            versions.append(_versions((args, kwargs)))
            if has_box:
                self._open_boxes += 1
            else:
                self._groups.append(path)

        def after(part: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            known = versions.pop()
            if not has_box:
                self._groups.pop()
                return None
            self._open_boxes -= 1
            if self._open_boxes:
                return None
            node = Node(own_name(part) or path, class_name(part), part)
            return self._add_box(node, tensors_in((args, kwargs)), output, known)

        return before, after

    def _add_box(self, node: Node, inputs: list[Tensor], output: Any, versions: dict[int, int]) -> Any:
        """Add a box and the arrows to it, and return its output.

        A tensor that was handed through unchanged is returned as another object, so that it has two ids and the arrow
        to the next box begins at this box.

        Args:
            node: The box.
            inputs: The tensors that it takes.
            output: What it returns.
            versions: Version counters of the inputs before the call, by id; a changed one is an in-place operation.
        """
        number = len(self.graph.nodes)
        for source in dict.fromkeys(self._sources[id(tensor)] for tensor in inputs if id(tensor) in self._sources):
            self.graph.edges.append((source, number))
        if any(versions.get(id(tensor)) == write_count(tensor) for tensor in tensors_in(output)):
            output = map_structure(lambda leaf: _alias(leaf) if isinstance(leaf, Tensor) else leaf, output)
        node.groups = tuple(self._groups)
        node.input_shapes, node.output_shapes = shapes(inputs), shapes(output)
        for tensor in tensors_in(output):
            self._sources[id(tensor)] = number
            self._tensors.append(tensor)
            node.dtype = str(tensor.dtype).removeprefix("torch.")
        self.graph.nodes.append(node)
        return output


def _versions(value: Any) -> dict[int, int]:
    """Return the version counters of tensors by id."""
    return {id(tensor): write_count(tensor) for tensor in tensors_in(value)}


def _alias(tensor: Tensor) -> Tensor:
    """Return another object for the same tensor."""
    with disable_torch_function():
        return tensor.view_as(tensor)


def _input_names(part: nn.Module, n: int) -> list[str]:
    """Return the names of the first `n` parameters of `forward`; a single one has no name."""
    parameters = inspect.signature(module_within(part).forward).parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:n] if 1 < n <= len(names) else [""] * n


def _is_leaf(part: nn.Module) -> bool:
    """Return whether a module is drawn as one box: it has no children, or is a layer of torch or kerastorch."""
    if not list(part.children()):
        return True
    name = type(part).__name__
    is_library_layer = is_own(part, "layers") or is_from(part, "torch.nn", "torch.ao")
    return is_library_layer and not name.startswith(("Sequential", "Transformer"))


def _function_name(func: Any) -> str:
    """Return a short name: `add` for `torch.add`, `Tensor.add_`, `+` and `+=`; for a property its name."""
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        return str(func.__self__.__name__)
    if name.startswith("__") and name[2:3] in "ri" and name[3:-2] in _OPERATORS:
        return name[3:-2]
    return name.strip("_")


_OPERATORS = frozenset({"add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"})
