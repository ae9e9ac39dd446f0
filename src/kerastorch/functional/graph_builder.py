"""Building a `torch.fx.GraphModule` from the calls recorded between symbolic inputs and outputs."""

from __future__ import annotations

import keyword
import re
import unicodedata
import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx, nn

from kerastorch.core.channel_tracking import names_of_nodes
from kerastorch.core.name_lookup import own_name, snake_case
from kerastorch.core.torch_private import pytree, rename_node
from kerastorch.functional.call_signature import CallSignature
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.recording_errors import display_name
from kerastorch.symbolic.symbolic_tensor import Symbol, call, collect_symbols, map_symbols


def build_graph_module(inputs: Any, outputs: Any, name: str) -> tuple[fx.GraphModule, CallSignature]:
    """Return the graph from symbolic inputs to outputs, and its signature; the modules it calls are its children.

    Args:
        inputs: Symbols, alone or in a nested structure.
        outputs: Symbols computed from them, alone or in a nested structure.
        name: The name of the class of the graph module.

    Raises:
        TypeError: Something among the inputs or outputs is not a symbol.
        ValueError: An input is given twice, the outputs need an `Input` that is not among the inputs, or two modules
            have the same name.
    """
    begin, end = pytree.tree_leaves(inputs), pytree.tree_leaves(outputs)
    for kind, some in (("inputs", begin), ("outputs", end)):
        if not some or not all(isinstance(one, Symbol) for one in some):
            wrong = next((one for one in some if not isinstance(one, Symbol)), None)
            raise TypeError(
                f"Model: {kind} must be symbolic tensors, as Input(...) or the call of a layer returns, got {wrong!r}."
            )
    if len(set(begin)) < len(begin):
        raise ValueError("Model: an input is given twice.")
    order = calls_between(begin, end)
    keys = _keys(inputs, begin)
    module, nodes = _graph_module(begin, keys, order, outputs, name)
    names = tuple(str(nodes[symbol].target) for symbol in begin)
    several = isinstance(outputs, (list, tuple))
    plan = CallSignature(
        names,
        tuple(keys),
        tuple(tuple(None if isinstance(size, Symbol) else size for size in symbol.shape[1:]) for symbol in begin),
        tuple(symbol.dtype for symbol in begin),
        pytree.tree_map({symbol: number for number, symbol in enumerate(begin)}.__getitem__, inputs),
        names_of_nodes([nodes[symbol] for symbol in end]) if several else None,
        tuple(name for name, symbol in zip(names, begin, strict=True) if getattr(symbol, "optional", False)),
    )
    return module, plan


def mask_graph(inputs: Any, masks: Any) -> fx.GraphModule:
    """Return the graph that computes masks from inputs; some inputs may have no effect on them."""
    begin = pytree.tree_leaves(inputs)
    order = calls_between(begin, pytree.tree_leaves(masks))
    return _graph_module(begin, _keys(inputs, begin), order, masks, "Mask")[0]


def masks_on(inputs: Any, outputs: Any, given: list[Any], model: nn.Module) -> Any:
    """Return the masks of the outputs of a functional model; a list if there are several outputs.

    Args:
        inputs: The symbolic inputs of the model.
        outputs: Its symbolic outputs.
        given: The values that stand for the inputs, in their order.
        model: The model, for the warning.

    Warns:
        UserWarning: A mask depends on outputs of layers inside of the model, which would have to run twice; it is
            dropped.
    """
    found: list[Any] = []
    for end in pytree.tree_leaves(outputs):
        mask = end.mask
        if mask is not None:
            graph = mask_graph(inputs, mask)
            if all(isinstance(child, Constant) for child in graph.children()) and len(given) == len(
                _input_nodes(graph.graph)
            ):
                mask = fx.Interpreter(graph).run(*given)
            else:
                warnings.warn(
                    f"{display_name(model)}: a mask that is computed inside this model is dropped at its output.",
                    stacklevel=2,
                )
                mask = None
        found.append(mask)
    return found[0] if len(found) == 1 else found


def _input_nodes(graph: fx.Graph) -> list[fx.Node]:
    return [node for node in graph.nodes if node.op == "placeholder"]


def input_symbols(plan: CallSignature) -> list[Symbol]:
    """Return new symbols for the inputs of a copied model."""
    facts = zip(plan.sizes, plan.dtypes, plan.names, strict=True)
    return [Input(sizes, dtype, name, optional=name in plan.optional) for sizes, dtype, name in facts]


def replay(module: fx.GraphModule, plan: CallSignature, inputs: list[Symbol]) -> tuple[Any, Any]:
    """Record the calls of a graph anew, for a copied model, and return its symbolic inputs and outputs.

    Args:
        module: The graph.
        plan: Its signature.
        inputs: The symbols of its inputs.
    """
    return pytree.tree_map(inputs.__getitem__, plan.structure), _Recorder(module).run(*inputs)


class _Recorder(fx.Interpreter):
    """Interpreter that runs a graph on symbols, so that its calls are recorded."""

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        return call(self.fetch_attr(target), *args, **kwargs)


# --- the graph -------------------------------------------------------------------------------------------------


def calls_between(begin: list[Symbol], end: list[Symbol]) -> list[Symbol]:
    """Return the calls that lead from inputs to outputs, in the order of recording.

    Args:
        begin: The symbolic inputs.
        end: The symbolic outputs.

    Raises:
        ValueError: The outputs need an `Input` that is not among the inputs.
    """
    known = set(begin)
    found: set[Symbol] = set()
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
        waiting += [one for one in needed if one not in known]
    return sorted(found, key=lambda symbol: symbol.serial)


def _graph_module(
    begin: list[Symbol], keys: list[Any], order: list[Symbol], outputs: Any, name: str
) -> tuple[fx.GraphModule, dict[Symbol, fx.Node]]:
    """Return the graph module of some calls, and the graph node of each symbol.

    Args:
        begin: The symbolic inputs.
        keys: A name for each input.
        order: The calls, each after those it depends on.
        outputs: The symbolic outputs, in their structure.
        name: The name of the class of the graph module.
    """
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
    """Rename input nodes whose name is that of the parameter of another input.

    torch.fx names the node of a parameter `input` `input_1`, because `input` is a builtin; a second parameter may have
    that name.
    """
    placeholders = _input_nodes(graph)
    parameters = {str(node.target) for node in placeholders}
    for node in placeholders:
        while node.name != node.target and node.name in parameters:
            rename_node(node, f"{node.name}_given")


def _nodes(value: Any, made: Mapping[Symbol, fx.Node], children: _Children, graph: fx.Graph) -> Any:
    """Return the arguments of a call with a graph node for each symbol and each tensor.

    A tensor becomes the buffer of a `Constant`, a child of the graph module.
    """
    value = map_symbols(value, made.__getitem__)

    def constant(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return graph.call_module(children.name_of(Constant(leaf)))
        return leaf

    return fx.node.map_aggregate(value, constant)


class Constant(nn.Module):
    """A constant tensor in a functional model: a buffer that moves with the model and is not in its state dict."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value.detach().clone(), persistent=False)

    def forward(self) -> Tensor:
        """Return the tensor."""
        return self.value  # type: ignore[return-value]


class _Children:
    """The modules that a graph calls, by the names that they have as its children."""

    def __init__(self) -> None:
        self.modules: dict[str, nn.Module] = {}
        self._names: dict[nn.Module, str] = {}

    def name_of(self, module: nn.Module) -> str:
        """Return the name of a module in the graph, and add the module on its first call.

        The name is the module's own, else its class name in snake case, numbered from the second on, as in Keras.

        Raises:
            ValueError: Another module has the same own name.
        """
        if module in self._names:
            return self._names[module]
        own = own_name(module)
        name = _identifier(snake_case(type(module).__name__) if own is None else own)
        if own is not None and name in self.modules and own_name(self.modules[name]) == own:
            raise ValueError(
                f"Model: two layers are named {own!r} ({display_name(module)} is the second); names must be unique."
            )
        number, free = 0, name
        while free in self.modules or hasattr(fx.GraphModule, free):
            number += 1
            free = f"{name}_{number}"
        self._names[module], self.modules[free] = free, module
        return free


def _identifier(name: str) -> str:
    """Return a name as a valid Python identifier, other characters replaced by underscores."""
    word = re.sub(r"\W", "_", unicodedata.normalize("NFKC", name)) or "_"  # the form in which Python compares names
    if not f"_{word}".isidentifier():
        word = re.sub(r"[^A-Za-z0-9_]", "_", word)
    return f"_{word}" if not word.isidentifier() or keyword.iskeyword(word) or word == "self" else word


def _keys(inputs: Any, begin: list[Symbol]) -> list[Any]:
    """Return a unique key for each input: its key in the dict of inputs, its name, or `input`, numbered."""
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
