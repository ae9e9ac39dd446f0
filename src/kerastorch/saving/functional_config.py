"""Functional models as a list of calls, and made again by calling on symbols in that order."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from kerastorch.core.errors import unknown
from kerastorch.core.serialization import decode, encode
from kerastorch.functional.graph_builder import calls_between
from kerastorch.saving import torch_allowlist
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.serializer import Writer
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import Symbol, has_symbols, record_call


def written(writer: Writer, inputs: Any, outputs: Any) -> dict[str, Any]:
    """What lies between symbols.

    Raises:
        TypeError: something on the way cannot be written.
    """
    begin = pytree.tree_leaves(inputs)
    order, _ = calls_between(begin, pytree.tree_leaves(outputs))
    writer.begin([*begin, *order])
    try:
        return {
            "given": [input_config(symbol) for symbol in begin],
            "calls": [_call(symbol) for symbol in order],
            "inputs": encode(inputs),
            "outputs": encode(outputs),
        }
    finally:
        writer.end()


def input_config(symbol: Any) -> dict[str, Any]:
    """What makes an `Input`; a symbol in the middle of another model becomes one."""
    sizes = [size if isinstance(size, int) else None for size in symbol.shape[1:]]
    name = symbol.__dict__.get("name")
    return {"shape": sizes, "dtype": str(symbol.dtype).removeprefix("torch."), "name": name}


def input_from(config: Mapping[str, Any]) -> Input:
    """See `input_config`."""
    dtype = decode({"dtype": config["dtype"]})
    return Input(config["shape"], dtype, config["name"])


def _call(symbol: Symbol) -> dict[str, Any]:
    target = symbol.target
    if isinstance(target, nn.Module):
        return {"call": encode(target), "args": encode(tuple(symbol.args)), "kwargs": encode(dict(symbol.kwargs))}
    name = f"Tensor.{target}" if isinstance(target, str) else torch_allowlist.name_of(target)
    if name is None or (isinstance(target, str) and target not in torch_allowlist.METHODS):
        raise TypeError(
            f"{getattr(target, '__name__', target)}, which it calls on a symbol, is not in the list of functions that "
            "are written; put it into the forward of a layer."
        )
    return {"call": name, "args": encode(tuple(symbol.args)), "kwargs": encode(dict(symbol.kwargs))}


def symbols_from(reader: Reader, config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Inputs and outputs, recorded anew."""
    table: list[Any] = [input_from(one) for one in config["given"]]
    reader.begin(table)
    try:
        for call in config["calls"]:
            table.append(_called(reader, call["call"], decode(call["args"]), decode(call["kwargs"])))
        inputs, outputs = decode(config["inputs"]), decode(config["outputs"])
    finally:
        reader.end()
    for ends in (inputs, outputs):
        _check_ends(ends)
    return inputs, outputs


def _called(reader: Reader, target: Any, args: Any, kwargs: Any) -> Any:
    """One call, on symbols: all that comes into torch's generated code is checked here."""
    if type(args) is not tuple or type(kwargs) is not dict:
        raise ValueError("a call has a tuple of arguments and a dict of them by name.")
    if target == "operator.getitem" and isinstance(args[0], (tuple, list, dict)) and not kwargs:
        return args[0][args[1]]  # a part of what a module returned, which was taken apart already
    for name in kwargs:
        if not _is_name(name):
            raise ValueError(f"{name!r} is no name of an argument.")
    for one in (*args, *kwargs.values()):
        _check_argument(one)
    if isinstance(target, str):
        function = _function(target)
        if _pieces(target.rpartition(".")[2], args, kwargs) > _MOST_PIECES:
            raise ValueError(f"{target} makes more than {_MOST_PIECES} tensors of one.")
        if function is getattr and not (len(args) == 2 and args[1] in torch_allowlist.ATTRIBUTES and not kwargs):
            raise unknown("attribute of a tensor", str(args[1:]), torch_allowlist.ATTRIBUTES)
    else:
        function = decode(target)
        if not isinstance(function, nn.Module):
            raise ValueError(f"{function!r} is called, and is no module.")
    if not has_symbols((args, kwargs)):
        raise ValueError(f"{target if isinstance(target, str) else type(function).__name__} is called on no symbol.")
    reader.spend(function)
    return record_call(function, args, kwargs)


_MOST_PIECES = 10_000
_SECTIONS = ("chunk", "tensor_split", "hsplit", "vsplit", "dsplit")


def _pieces(name: str, args: Any, kwargs: Any) -> int:
    """How many tensors a function makes of one, at most."""
    whole = args[0] if args else next(iter(kwargs.values()), None)
    sizes = whole.values[0].shape if isinstance(whole, Symbol) and isinstance(whole.values[0], Tensor) else ()
    numbers = [abs(one) for one in (*args[1:], *kwargs.values()) if type(one) is int]
    if name in ("unbind", "split"):
        step = kwargs.get("split_size_or_sections", kwargs.get("split_size", 1))
        step = args[1] if name == "split" and len(args) > 1 else step
        return max(sizes, default=0) // step if type(step) is int and step > 0 else 0
    return max(numbers, default=0) if name in _SECTIONS else 0


def _function(name: str) -> Any:
    room, _, method = name.rpartition(".")
    if room == "Tensor" and method in torch_allowlist.METHODS:
        return method
    if name not in torch_allowlist.FUNCTIONS:
        raise unknown("function of a graph", name, torch_allowlist.FUNCTIONS)
    return torch_allowlist.FUNCTIONS[name]


def _is_name(name: Any) -> bool:
    known = isinstance(name, str) and name.isascii() and name.isidentifier()
    return known and not keyword.iskeyword(name) and not name.startswith("__")


_LEAVES = (type(None), bool, int, float, str, torch.dtype, torch.device, torch.memory_format, torch.layout)


def _check_argument(value: Any) -> None:
    """Of what torch writes into the text of a program, only what it writes as itself."""
    for one in _held(value):
        if type(one) is slice:
            _check_argument((one.start, one.stop, one.step))
        elif isinstance(one, tuple) and hasattr(one, "_fields"):  # what a module of the user's returned
            _check_argument(tuple(one))
        elif not (isinstance(one, (Symbol, Tensor)) or one is Ellipsis or type(one) in _LEAVES):
            raise ValueError(f"{type(one).__name__} is no argument of a call in a graph.")


def _check_ends(value: Any) -> None:
    for one in _held(value):
        if not isinstance(one, Symbol):
            raise ValueError(f"a model begins and ends in symbols, not in {type(one).__name__}.")


def _held(value: Any) -> Iterator[Any]:
    """What plain tuples, lists and dicts hold, within each other too."""
    if type(value) is dict:
        for key in value:
            _check_key(key)
        value = list(value.values())
    if type(value) in (tuple, list):
        for one in value:
            yield from _held(one)
    else:
        yield value


def _check_key(key: Any) -> None:
    if type(key) not in (str, int):
        raise ValueError(f"{key!r} is no key in a graph.")
