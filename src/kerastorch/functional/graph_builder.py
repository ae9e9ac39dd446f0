"""From symbols to a `torch.fx.GraphModule`: what was recorded between some and others."""

from __future__ import annotations

import keyword
import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from kerastorch.core.name_lookup import snake_case
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.recording_errors import display_name
from kerastorch.symbolic.symbolic_tensor import Symbol, call, collect_symbols, map_symbols


class CallSignature(NamedTuple):
    """How a functional model is called.

    Attributes:
        names: of the inputs, in the order of the graph's `forward`.
        keys: under which they come in a dict: the names, or those of the dict that the model was made with.
        sizes: of one sample, `None` where one varies.
        dtypes: of the inputs.
        structure: in which they come, with their numbers in their places.
        outputs: the names of the outputs where they come in a list; `None` for one output, or a dict.
    """

    names: tuple[str, ...]
    keys: tuple[Any, ...]
    sizes: tuple[tuple[int | None, ...], ...]
    dtypes: tuple[torch.dtype, ...]
    structure: Any
    outputs: tuple[str, ...] | None

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """What a call was given, as the list of inputs.

        Raises:
            ValueError: an input that is missing, too many, or of another shape.
        """
        given: Any = args
        if len(args) == 1 and not kwargs and isinstance(args[0], (tuple, list, Mapping)):
            given = args[0]
        if kwargs or isinstance(given, Mapping):
            positional = given if isinstance(given, Mapping) else dict(zip(self.keys, args, strict=False))
            given = self._by_name({**positional, **kwargs})
        else:
            given = pytree.tree_leaves(_in_order(self.structure, given))
        if len(given) != len(self.names):
            raise ValueError(f"The model takes {self._inputs()}; got {len(given)}.")
        for name, sizes, x in zip(self.names, self.sizes, given, strict=True):
            if x is None:
                raise ValueError(f"Input {name!r} is None; the model needs a tensor of shape {(None, *sizes)}.")
            found = x.shape[1:]
            if found != sizes and (
                len(found) != len(sizes) or any(b is not None and a != b for a, b in zip(found, sizes, strict=True))
            ):
                raise ValueError(f"Input {name!r} has shape {(None, *sizes)}, got {tuple(x.shape)}.")
        return list(given)

    def _by_name(self, given: Mapping[Any, Any]) -> list[Any]:
        keys = self.keys if set(given) & set(self.keys) or set(given) - set(self.names) else self.names
        missing = [key for key in keys if key not in given]
        if missing:
            raise ValueError(f"The model takes {self._inputs()}; {missing[0]!r} is missing.")
        return [given[key] for key in keys]

    def _inputs(self) -> str:
        many = f"{len(self.names)} inputs" if len(self.names) > 1 else "1 input"
        return f"{many}: {', '.join(map(repr, self.keys))}"


def _in_order(structure: Any, given: Any) -> Any:
    """`given` with its dicts in the order of those in `structure`; what has another structure stays."""
    if isinstance(structure, Mapping) and isinstance(given, Mapping) and set(structure) <= set(given):
        return {key: _in_order(structure[key], given[key]) for key in structure}
    if isinstance(structure, (tuple, list)) and isinstance(given, (tuple, list)) and len(structure) == len(given):
        return [_in_order(one, other) for one, other in zip(structure, given, strict=True)]
    return given


def build_graph_module(inputs: Any, outputs: Any, name: str) -> tuple[fx.GraphModule, CallSignature]:
    """The model from `inputs` to `outputs`, structures of symbols; its children are the modules called on the way.

    Raises:
        ValueError: nothing that leads from the inputs to the outputs; an `Input` that is not among the inputs; two
            modules of one name.
    """
    begin, end = pytree.tree_leaves(inputs), pytree.tree_leaves(outputs)
    for kind, some in (("inputs", begin), ("outputs", end)):
        if not some or not all(isinstance(one, Symbol) for one in some):
            wrong = next((one for one in some if not isinstance(one, Symbol)), None)
            raise TypeError(f"Model: {kind} are what Input(...) and calls on it return, got {wrong!r}.")
    if len(set(begin)) < len(begin):
        raise ValueError("Model: an input is given twice.")
    order, unused = between(begin, end)
    if unused:
        name_of = getattr(unused[0], "name", None) or str(unused[0])
        raise ValueError(f"Model: no output is computed from the input {name_of!r}; leave it out.")
    keys = _keys(inputs, begin)
    module, made = _written(begin, keys, order, outputs, name)
    names = tuple(str(made[symbol].target) for symbol in begin)
    several = isinstance(outputs, (list, tuple))
    plan = CallSignature(
        names,
        tuple(keys),
        tuple(tuple(None if isinstance(size, Symbol) else size for size in symbol.shape[1:]) for symbol in begin),
        tuple(symbol.dtype for symbol in begin),
        pytree.tree_map({symbol: number for number, symbol in enumerate(begin)}.__getitem__, inputs),
        _output_names([made[symbol] for symbol in end]) if several else None,
    )
    return module, plan


def mask_graph(inputs: Any, masks: Any) -> fx.GraphModule:
    """What computes masks of `inputs`, which need not all have to do with them."""
    begin = pytree.tree_leaves(inputs)
    order, _ = between(begin, pytree.tree_leaves(masks))
    return _written(begin, _keys(inputs, begin), order, masks, "Mask")[0]


def masks_on(inputs: Any, outputs: Any, given: list[Any], model: nn.Module) -> Any:
    """The masks of the outputs of a model between symbols, for inputs given; a list where there are several outputs.

    Warns:
        UserWarning: one is made from what layers in the model return, which are not called twice for it.
    """
    found: list[Any] = []
    for end in pytree.tree_leaves(outputs):
        mask = end.mask
        if mask is not None:
            graph = mask_graph(inputs, mask)
            if all(isinstance(child, Constant) for child in graph.children()) and len(given) == len(
                _begins(graph.graph)
            ):
                mask = fx.Interpreter(graph).run(*given)
            else:
                warnings.warn(f"{display_name(model)}: a mask that is made inside of it ends with it.", stacklevel=2)
                mask = None
        found.append(mask)
    return found[0] if len(found) == 1 else found


def _begins(graph: fx.Graph) -> list[fx.Node]:
    return [node for node in graph.nodes if node.op == "placeholder"]


def replay(module: fx.GraphModule, plan: CallSignature) -> tuple[Any, Any]:
    """The inputs and outputs of a model as symbols, recorded anew: for a copy, which has none of its own."""
    inputs = [Input(*facts) for facts in zip(plan.sizes, plan.dtypes, plan.names, strict=True)]
    return pytree.tree_map(inputs.__getitem__, plan.structure), _Recorder(module).run(*inputs)


class _Recorder(fx.Interpreter):
    """Runs a graph on symbols."""

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        return call(self.fetch_attr(target), *args, **kwargs)


# --- the graph -------------------------------------------------------------------------------------------------


def between(begin: list[Symbol], end: list[Symbol]) -> tuple[list[Symbol], list[Symbol]]:
    """What has to be computed, in the order in which it was recorded, and the inputs that nothing is computed from."""
    known = set(begin)
    found: set[Symbol] = set()
    used = set(end)
    waiting = [symbol for symbol in end if symbol not in known]
    while waiting:
        symbol = waiting.pop()
        if symbol in found:
            continue
        if symbol.target is None:
            name = getattr(symbol, "name", None) or str(symbol)
            raise ValueError(f"Model: the outputs need {name!r}, which is not among the inputs; add it to them.")
        found.add(symbol)
        needed = collect_symbols((symbol.args, symbol.kwargs))
        used.update(needed)
        waiting += [one for one in needed if one not in known]
    order = sorted(found, key=lambda symbol: symbol.serial)
    return order, [symbol for symbol in begin if symbol not in used]


def _written(
    begin: list[Symbol], keys: list[Any], order: list[Symbol], outputs: Any, name: str
) -> tuple[fx.GraphModule, dict[Symbol, fx.Node]]:
    """The graph of calls in `order`, and the node of each symbol."""
    graph = fx.Graph()
    made = {symbol: graph.placeholder(_identifier(str(key))) for symbol, key in zip(begin, keys, strict=True)}
    keep_apart(graph)
    children = _Children()
    for symbol in order:
        args, kwargs = (_nodes(given, made, children, graph) for given in (symbol.args, symbol.kwargs))
        target = symbol.target
        if isinstance(target, nn.Module):
            made[symbol] = graph.call_module(children.name_of(target), args, kwargs)
        elif isinstance(target, str):
            made[symbol] = graph.call_method(target, args, kwargs)
        else:
            made[symbol] = graph.call_function(target, args, kwargs)
    graph.output(pytree.tree_map(made.__getitem__, outputs))
    graph.lint()
    return fx.GraphModule(children.modules, graph, class_name=name), made


def keep_apart(graph: fx.Graph) -> None:
    """Rename inputs: torch calls a parameter `input`, a builtin's name, `input_1` inside, which may be the second's."""
    placeholders = _begins(graph)
    parameters = {str(node.target) for node in placeholders}
    for node in placeholders:
        while node.name != node.target and node.name in parameters:
            node._rename(f"{node.name}_given")


def _nodes(value: Any, made: Mapping[Symbol, fx.Node], children: _Children, graph: fx.Graph) -> Any:
    """Arguments with nodes in the place of symbols, and of tensors, which a module of their own holds."""
    value = map_symbols(value, made.__getitem__)

    def constant(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return graph.call_module(children.name_of(Constant(leaf)))
        return leaf

    return fx.node.map_aggregate(value, constant)


class Constant(nn.Module):
    """A tensor that a functional model was written with: it follows the model to its device, and is no weight."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value.detach().clone(), persistent=False)

    def forward(self) -> Tensor:
        """The tensor."""
        return self.value  # type: ignore[return-value]


class _Children:
    """The modules of a graph under the names they have in it."""

    def __init__(self) -> None:
        self.modules: dict[str, nn.Module] = {}
        self._names: dict[nn.Module, str] = {}

    def name_of(self, module: nn.Module) -> str:
        """The name of a module: its own, else its class in snake case, numbered from the second on as Keras does."""
        if module in self._names:
            return self._names[module]
        own = getattr(module, "name", None)
        name = _identifier(own if isinstance(own, str) else snake_case(type(module).__name__))
        if isinstance(own, str) and name in self.modules and getattr(self.modules[name], "name", None) == own:
            raise ValueError(
                f"Model: two layers are named {own!r} ({display_name(module)} is the second); names are unique."
            )
        number, free = 0, name
        while free in self.modules or hasattr(fx.GraphModule, free):
            number += 1
            free = f"{name}_{number}"
        self._names[module], self.modules[free] = free, module
        return free


def _identifier(name: str) -> str:
    word = re.sub(r"\W", "_", unicodedata.normalize("NFKC", name)) or "_"  # as Python reads names
    if not f"_{word}".isidentifier():
        word = re.sub(r"[^A-Za-z0-9_]", "_", word)
    return f"_{word}" if not word.isidentifier() or keyword.iskeyword(word) or word == "self" else word


def _keys(inputs: Any, begin: list[Symbol]) -> list[Any]:
    if isinstance(inputs, Mapping) and len(inputs) == len(begin):
        return list(inputs)
    taken: dict[str, None] = {}
    for symbol in begin:
        own = getattr(symbol, "name", None)
        name, number = (own if isinstance(own, str) else "input"), 0
        while name in taken:
            number += 1
            name = f"{own or 'input'}_{number}"
        taken[name] = None
    return list(taken)


def _output_names(nodes: Iterable[fx.Node]) -> tuple[str, ...]:
    """The name of the layer that each output comes from, numbered where it comes again."""
    found: dict[str, None] = {}
    for node in nodes:
        base = str(node.target) if node.op in ("call_module", "placeholder") else node.name
        name, number = base, 0
        while name in found:
            number += 1
            name = f"{base}_{number}"
        found[name] = None
    return tuple(found)
