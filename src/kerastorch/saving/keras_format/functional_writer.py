"""Write the graph of a functional model in Keras' form: each layer with its calls, which name other calls."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kerastorch.core.torch_private import pytree
from kerastorch.functional.functional_model import Functional
from kerastorch.functional.graph_builder import calls_between
from kerastorch.saving.keras_format.operation_names import write_call
from kerastorch.saving.operations import name_of_operation
from kerastorch.saving.torch_allowlist import name_of
from kerastorch.symbolic.symbolic_tensor import Symbol, collect_symbols


class _Values(Protocol):
    """What translates the layers and arguments."""

    def module(self, module: nn.Module) -> dict[str, Any]: ...

    def value(self, value: Any) -> Any: ...

    def name(self, module: nn.Module) -> str: ...

    def operation_name(self, class_name: str) -> str: ...


class FunctionalWriter:
    """Translates one functional model.

    Args:
        values: Translates layers and arguments.
        model: The model.
    """

    def __init__(self, values: _Values, model: Functional) -> None:
        self._values = values
        self._inputs, self._outputs = model.symbols
        self._layers: Any = model.layers
        self._begin: dict[Symbol, None] = dict.fromkeys(pytree.tree_leaves(self._inputs))
        self._names: dict[Any, str] = {}
        self._calls: dict[Any, dict[Symbol, int]] = {}  # of each layer, input or operation, in their order

    def write(self) -> dict[str, Any]:
        """Return the config of the model.

        Raises:
            TypeError: Keras has no counterpart of a layer or operation.
        """
        ends: list[Symbol] = pytree.tree_leaves(self._outputs)
        needed = self._needed_by(ends)
        for symbol in (*self._begin, *calls_between([*self._begin], ends)):
            if symbol in needed or symbol in self._begin:
                calls = self._calls.setdefault(_owner_of(symbol), {})
                calls[symbol] = len(calls)
        places = {layer: place for place, layer in enumerate(self._layers)}  # weights are numbered in this order
        order = sorted(self._calls, key=lambda owner: places.get(owner, -1))
        written = {owner: self._operation(owner) for owner in order}  # names first, calls refer to them
        for owner, one in written.items():
            one["inbound_nodes"] = [] if owner in self._begin else [self._call(symbol) for symbol in self._calls[owner]]
        return {
            "layers": [*written.values()],
            "input_layers": self._structure(self._inputs),
            "output_layers": self._structure(self._outputs),
        }

    def _needed_by(self, ends: Iterable[Symbol]) -> set[Symbol]:
        """Return the calls that the outputs need, without those that only make masks."""
        found: set[Symbol] = set()
        waiting = [*map(_call_of, ends)]
        while waiting:
            symbol = waiting.pop()
            if symbol not in found:
                found.add(symbol)
                waiting += [] if symbol in self._begin else _parents_of(symbol)
        return found

    def _operation(self, owner: nn.Module | Symbol) -> dict[str, Any]:
        """Return a layer, an input or an operation, without its calls."""
        if isinstance(owner, nn.Module):
            self._names[owner] = self._values.name(owner)
            return self._values.module(owner) | {"name": self._names[owner]}
        if owner in self._begin:
            made = input_layer(owner, self._values)
            self._names[owner] = made["config"]["name"]
            return made | {"name": made["config"]["name"]}
        module, class_name, options, _, _ = self._translated(owner)
        name = self._names[owner] = self._values.operation_name(class_name)
        config = {"name": name, **{key: self._values.value(one) for key, one in options.items()}}
        made = {"module": module, "class_name": class_name, "config": config, "registered_name": class_name}
        return made | {"name": name}

    def _translated(self, symbol: Symbol) -> Any:
        """Return the module, class, options and arguments of an operation."""
        target = symbol.target
        own = None if isinstance(target, str) else name_of_operation(target) or name_of(target)
        return write_call(own or f"Tensor.{target}", [*symbol.args], symbol.kwargs)

    def _call(self, symbol: Symbol) -> dict[str, Any]:
        """Return the arguments of a call; masks that layers pass on by themselves are left out."""
        if isinstance(symbol.target, nn.Module):
            args = symbol.args
            kwargs = {name: one for name, one in symbol.kwargs.items() if not _is_mask(symbol, name)}
        else:
            _, _, _, args, kwargs = self._translated(symbol)
        return {
            "args": [self._argument(one) for one in args],
            "kwargs": {name: self._argument(one) for name, one in kwargs.items()},
        }

    def _argument(self, value: Any) -> Any:
        """Return an argument of a call, with the names of calls in the place of symbols."""
        if isinstance(value, Symbol):
            return self._tensor(value)
        if isinstance(value, (tuple, list)):
            return [self._argument(one) for one in value]
        if isinstance(value, Mapping):
            return {str(name): self._argument(one) for name, one in value.items()}
        return self._values.value(value)

    def _tensor(self, symbol: Symbol) -> dict[str, Any]:
        if not isinstance(symbol.values[0], Tensor):
            raise TypeError("a size of a tensor that varies is computed with, which files of Keras cannot hold.")
        sizes = [size if isinstance(size, int) else None for size in symbol.shape]
        about = {"shape": sizes, "dtype": dtype_name(symbol.dtype), "keras_history": self._history(symbol)}
        return {"class_name": "__keras_tensor__", "config": about}

    def _history(self, symbol: Symbol) -> list[Any]:
        """Return the name of the layer that made a tensor, the number of the call, and that of the tensor in it."""
        call = _call_of(symbol)
        owner = _owner_of(call)
        return [self._names[owner], self._calls[owner][call], _position(symbol, call)]

    def _structure(self, ends: Any) -> Any:
        """Return the inputs or outputs in their structure.

        There Keras counts the calls of functional models from 1, and those of layers from 0; in calls, all from 0.
        """
        if isinstance(ends, Symbol):
            name, number, index = self._history(ends)
            return [name, number + _is_graph(_owner_of(_call_of(ends))), index]
        if isinstance(ends, Mapping):
            return {str(name): self._structure(one) for name, one in ends.items()}
        return [self._structure(one) for one in ends]


_MASKS = ("mask", "query_mask", "value_mask", "key_mask")


def _is_graph(owner: Any) -> bool:
    """Return whether a layer is a functional model, which a `Sequential` is not."""
    return bool(getattr(owner, "is_functional", False)) and not getattr(owner, "is_chain", False)


def _owner_of(symbol: Symbol) -> nn.Module | Symbol:
    """Return the layer that a call is of; an input or operation is its own."""
    return symbol.target if isinstance(symbol.target, nn.Module) else symbol


def _parents_of(symbol: Symbol) -> list[Symbol]:
    """Return the calls whose results a call takes, without those that make masks."""
    given = {name: value for name, value in symbol.kwargs.items() if not _is_mask(symbol, name)}
    return [_call_of(one) for one in collect_symbols((symbol.args, given))]


def _is_mask(symbol: Symbol, argument: str) -> bool:
    """Return whether an argument of a call of a layer is the mask of its inputs, which layers pass on by themselves."""
    if not isinstance(symbol.target, nn.Module) or argument not in _MASKS:
        return False
    passed = {one.mask for one in collect_symbols(symbol.args) if one.mask is not None}
    return all(one in passed for one in collect_symbols(symbol.kwargs[argument]))


def _call_of(symbol: Symbol) -> Symbol:
    """Return the call that returned a symbol, which may be an item of what it returned."""
    while symbol.target is operator.getitem and not isinstance(symbol.args[0].values[0], Tensor):
        symbol = symbol.args[0]
    return symbol


def input_layer(symbol: Any, values: _Values) -> dict[str, Any]:
    """Return the `InputLayer` of a symbolic input."""
    sizes = [size if isinstance(size, int) else None for size in symbol.shape]
    own = symbol.__dict__.get("name")
    config = {
        "batch_shape": [None, *sizes[1:]],
        "dtype": dtype_name(symbol.dtype),
        "sparse": False,
        "ragged": False,
        "name": own if isinstance(own, str) else values.operation_name("InputLayer"),
    }
    return {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype in Keras, as `"float32"`."""
    return str(dtype).removeprefix("torch.")


def _paths_of(value: Any) -> Iterator[list[Any]]:
    """Yield the keys that lead to each tensor in what a layer returned, in the order of Keras: keys are sorted."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from ([key, *rest] for rest in _paths_of(value[key]))
    elif isinstance(value, (tuple, list)):
        for index, one in enumerate(value):
            yield from ([index, *rest] for rest in _paths_of(one))
    else:
        yield []


def _position(symbol: Symbol, call: Symbol) -> int:
    """Return the number of a tensor among those that a call returned."""
    if symbol is call:
        return 0
    path: list[Any] = []
    while symbol is not call:
        path.insert(0, symbol.args[1])
        symbol = symbol.args[0]
    return [*_paths_of(call.values[0])].index(path)
