"""The graph of a model: which part, or function of torch between parts, gets its input from which."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kerastorch.core.name_lookup import own_name
from kerastorch.core.nested import map_structure
from kerastorch.core.ownership import is_from, is_own
from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES
from kerastorch.core.torch_private import disable_torch_function, write_count
from kerastorch.inspection.call_recorder import Shape, common, shapes, tensors_in
from kerastorch.inspection.summary_rows import kind
from kerastorch.runtime.dry_run import DryRun


@dataclass
class Node:
    """A box of the picture.

    Attributes:
        name: of the part in the model's tree, or of the input; empty for a function.
        kind: the name of the class or function.
        module: the part; `None` for an input and a function.
        groups: the paths of the parts around it that are drawn as frames, outermost first.
        taken: shapes that went in.
        made: shapes that came out.
        dtype: of what came out.
    """

    name: str
    kind: str
    module: nn.Module | None = None
    groups: tuple[str, ...] = ()
    taken: list[Shape] = field(default_factory=list)
    made: list[Shape] = field(default_factory=list)
    dtype: str = ""


@dataclass
class Graph:
    """Boxes in the order of the calls, and arrows as pairs of their numbers."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)


def graph_of(module: nn.Module, given: Any, *, expand: bool) -> Graph:
    """What happens in one call on inputs of these specs; without specs the children of a chain, one after the other.

    Args:
        module: any; nothing about it changes.
        given: specs of its inputs, `None` where nobody knows.
        expand: show the parts of parts, as far as they are no layers of torch or kerastorch.

    Raises:
        ValueError: nobody knows the inputs, and it is no chain; inputs it cannot take.
    """
    if given is None:
        return _chain(module)
    try:
        return _seen(DryRun(module, given, fake=True), expand)
    except Exception:  # the real thing runs where shapes are not enough, or says it best
        return _seen(DryRun(module, given, fake=False), expand)


def _chain(module: nn.Module) -> Graph:
    inner = vars(module).get("module_viewed") or module
    if not (getattr(module, "is_chain", False) or isinstance(inner, nn.Sequential)):
        raise ValueError(
            "plot_model needs to know what the model is given: pass input_shape=(None, 64), or input_data=x."
        )
    found = Graph([Node("", "Input")])
    for name, part in inner._modules.items():
        if part is not None:
            found.edges.append((len(found.nodes) - 1, len(found.nodes)))
            found.nodes.append(Node(own_name(part) or name, kind(part), part))
    return found


def _seen(subject: DryRun, expand: bool) -> Graph:
    one, other = (_traced(subject, *sizes, expand) for sizes in zip(TRIAL_BATCH_SIZES, TRIAL_SIZES, strict=True))
    if [node.kind for node in one.nodes] == [node.kind for node in other.nodes]:
        for node, twin in zip(one.nodes, other.nodes, strict=True):
            node.taken, node.made = common(node.taken, twin.taken), common(node.made, twin.made)
    return one


def _traced(subject: DryRun, batch: int, varying: int, expand: bool) -> Graph:
    trace = _Trace()
    with trace.hooked(subject.module, expand), trace:
        subject.run(subject.inputs(batch, varying))
    return trace.graph


class _Trace(TorchFunctionMode):
    """Follows tensors from one box to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = Graph()
        self._maker: dict[int, int] = {}  # by the id of a tensor, which is kept so that no other gets it
        self._kept: list[Tensor] = []
        self._groups: list[str] = []
        self._running = False  # the model has been called
        self._within = 0  # boxes that are open: what goes on inside is not shown

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self._running or self._within:
            return func(*args, **kwargs)
        taken, versions = tensors_in((args, kwargs)), self._versions((args, kwargs))
        made = func(*args, **kwargs)
        if any(id(leaf) in self._maker for leaf in taken) and tensors_in(made):
            made = self._box(Node("", _function(func)), taken, made, versions)
        return made

    @contextmanager
    def hooked(self, root: nn.Module, expand: bool) -> Iterator[None]:
        """For the time of a call of `root`."""
        with ExitStack() as stack:
            for path, part in root.named_modules():
                if isinstance(part, torch.jit.ScriptModule):
                    continue
                hooks = self._root_hooks() if part is root else self._hooks(path, not expand or _is_leaf(part))
                before, after = hooks
                stack.callback(part.register_forward_pre_hook(before, with_kwargs=True, prepend=True).remove)
                stack.callback(part.register_forward_hook(after, with_kwargs=True).remove)
            yield

    def _root_hooks(self) -> tuple[Any, Any]:
        def before(part: nn.Module, args: Any, kwargs: Any) -> None:
            self._running = True
            for name, leaf in [*zip(_positions(part, len(args)), args, strict=True), *kwargs.items()]:
                for tensor in tensors_in(leaf):
                    self._box(Node(name, "Input"), [], tensor, {})
            if not list(part.children()):  # a layer alone is the one box of its model
                self._within += 1

        def after(part: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if self._within:
                self._within -= 1
                self._box(Node("", kind(part), part), tensors_in((args, kwargs)), output, {})
            self._running = False

        return before, after

    def _hooks(self, path: str, shown: bool) -> tuple[Any, Any]:
        versions: list[dict[int, int]] = []

        def before(_: nn.Module, args: Any, kwargs: Any) -> None:
            versions.append(self._versions((args, kwargs)))
            if shown:
                self._within += 1
            else:
                self._groups.append(path)

        def after(part: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            known = versions.pop()
            if not shown:
                self._groups.pop()
                return None
            self._within -= 1
            if self._within:
                return None
            return self._box(Node(own_name(part) or path, kind(part), part), tensors_in((args, kwargs)), output, known)

        return before, after

    def _box(self, node: Node, taken: list[Tensor], made: Any, versions: dict[int, int]) -> Any:
        """Put a box, and arrows to it; what is made comes back, as other objects where it was only handed through."""
        number = len(self.graph.nodes)
        for source in dict.fromkeys(self._maker[id(tensor)] for tensor in taken if id(tensor) in self._maker):
            self.graph.edges.append((source, number))
        if any(versions.get(id(leaf)) == write_count(leaf) for leaf in tensors_in(made)):
            made = map_structure(lambda leaf: self._another(leaf) if isinstance(leaf, Tensor) else leaf, made)
        node.groups = tuple(self._groups)
        node.taken, node.made = shapes(taken), shapes(made)
        for leaf in tensors_in(made):
            self._maker[id(leaf)] = number
            self._kept.append(leaf)
            node.dtype = str(leaf.dtype).removeprefix("torch.")
        self.graph.nodes.append(node)
        return made

    def _versions(self, given: Any) -> dict[int, int]:
        return {id(leaf): write_count(leaf) for leaf in tensors_in(given)}

    def _another(self, tensor: Tensor) -> Tensor:
        with disable_torch_function():
            return tensor.view_as(tensor)


def _positions(part: nn.Module, count: int) -> list[str]:
    """What `forward` calls so many arguments; one alone needs no name."""
    takes = inspect.signature((vars(part).get("module_viewed") or part).forward).parameters.values()
    names = [one.name for one in takes if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return names[:count] if 1 < count <= len(names) else [""] * count


def _is_leaf(part: nn.Module) -> bool:
    """Whether a part is drawn whole: layers of torch and kerastorch that are not there to hold others."""
    if not list(part.children()):
        return True
    name = type(part).__name__
    ours = is_own(part, "layers") or is_from(part, "torch.nn", "torch.ao")
    return ours and not name.startswith(("Sequential", "Transformer"))


def _function(func: Any) -> str:
    """`add` for `torch.add`, `Tensor.add_`, `+` and `+=`; the name of a property."""
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        return str(func.__self__.__name__)
    if name.startswith("__") and name[2:3] in "ri" and name[3:-2] in _OPERATORS:
        return name[3:-2]
    return name.strip("_")


_OPERATORS = frozenset({"add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"})
