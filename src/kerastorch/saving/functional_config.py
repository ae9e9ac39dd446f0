"""Encode a functional model as a list of calls, and decode it by making these calls on symbolic tensors."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import unknown
from kerastorch.core.serialization import decode, encode
from kerastorch.core.torch_private import pytree
from kerastorch.functional.graph_builder import calls_between
from kerastorch.saving import torch_allowlist
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.operations import name_of_operation, operation_named, splits_into_a_number
from kerastorch.saving.serializer import Writer
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import Symbol, has_symbols, record_call

_MAX_PIECES = 10_000  # tensors that one call in a file may return
_SECTIONS = ("chunk", "tensor_split", "hsplit", "vsplit", "dsplit")  # functions that take a number of pieces
_LEAVES = (type(None), bool, int, float, str, torch.dtype, torch.device, torch.memory_format, torch.layout)


def encode_functional(writer: Writer, inputs: Any, outputs: Any) -> dict[str, Any]:
    """Return the calls between symbolic inputs and outputs, encoded.

    Args:
        writer: The codec in use.
        inputs: Symbolic tensors, alone or in tuples, lists and dicts.
        outputs: Symbolic tensors that calls on the inputs returned.

    Raises:
        TypeError: A function or an argument cannot be encoded.
    """
    begin = pytree.tree_leaves(inputs)
    order = calls_between(begin, pytree.tree_leaves(outputs))
    with writer.numbering([*begin, *order]):
        return {
            "given": [input_config(symbol) for symbol in begin],
            "calls": [_encode_call(symbol) for symbol in order],
            "inputs": encode(inputs),
            "outputs": encode(outputs),
        }


def input_config(symbol: Symbol) -> dict[str, Any]:
    """Return the arguments of an `Input` like `symbol`, which may also stand in the middle of another model."""
    sizes = [size if isinstance(size, int) else None for size in symbol.shape[1:]]
    name = symbol.__dict__.get("name")
    written = {"shape": sizes, "dtype": str(symbol.dtype).removeprefix("torch."), "name": name}
    return written | ({"optional": True} if symbol.__dict__.get("optional") else {})


def input_from(config: Mapping[str, Any]) -> Input:
    """Return the `Input` whose arguments `input_config` returned."""
    dtype = decode({"dtype": config["dtype"]})
    return Input(config["shape"], dtype, config["name"], optional=config.get("optional") is True)


def _encode_call(symbol: Symbol) -> dict[str, Any]:
    """Return the call that returned `symbol`: a module or the name of a function, and the arguments."""
    target = symbol.target
    arguments = {"args": encode(tuple(symbol.args)), "kwargs": encode(dict(symbol.kwargs))}
    if isinstance(target, nn.Module):
        return {"call": encode(target), **arguments}
    name = (
        f"Tensor.{target}" if isinstance(target, str) else name_of_operation(target) or torch_allowlist.name_of(target)
    )
    if name is None or (isinstance(target, str) and target not in torch_allowlist.METHODS):
        raise TypeError(
            f"{getattr(target, '__name__', target)}, which it calls on a symbol, is not in the list of functions that "
            "are written; put it into the forward of a layer."
        )
    return {"call": name, **arguments}


def decode_functional(reader: Reader, config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return symbolic inputs and outputs in their structures, after making the encoded calls on symbolic tensors.

    Raises:
        ValueError: A function is not in the closed tables, or an argument is not one that torch.fx can generate code
            for safely.
    """
    table: list[Any] = [input_from(one) for one in config["given"]]
    with reader.numbering(table):
        for call in config["calls"]:
            table.append(_make_call(reader, call["call"], decode(call["args"]), decode(call["kwargs"])))
        inputs, outputs = decode(config["inputs"]), decode(config["outputs"])
    for ends in (inputs, outputs):
        _check_ends(ends)
    return inputs, outputs


def _make_call(reader: Reader, target: Any, args: Any, kwargs: Any) -> Any:
    """Make one call on symbolic tensors and return its result.

    The name of the function and the arguments become part of the code that torch.fx generates, so all are checked here.
    """
    if type(args) is not tuple or type(kwargs) is not dict:
        raise ValueError("a call has a tuple of arguments and a dict of them by name.")
    if target == "operator.getitem" and isinstance(args[0], (tuple, list, dict)) and not kwargs:
        return args[0][args[1]]  # a module returned a structure, of which this is one item
    for name in kwargs:
        if not _is_argument_name(name):
            raise ValueError(f"{name!r} is no name of an argument.")
    for value in (*args, *kwargs.values()):
        _check_argument(value)
    if isinstance(target, str):
        function = _find_function(target)
        if _count_pieces(target, args, kwargs) > _MAX_PIECES:
            raise ValueError(f"{target} makes more than {_MAX_PIECES} tensors of one.")
        if function is getattr and not (len(args) == 2 and args[1] in torch_allowlist.ATTRIBUTES and not kwargs):
            raise unknown("attribute of a tensor", str(args[1:]), torch_allowlist.ATTRIBUTES)
    else:
        function = decode(target)
        if not isinstance(function, nn.Module):
            raise ValueError(f"{function!r} is called, and is no module.")
    if not has_symbols((args, kwargs)):
        raise ValueError(f"{target if isinstance(target, str) else type(function).__name__} is called on no symbol.")
    reader.count_call(function)
    return record_call(function, args, kwargs)


def _count_pieces(target: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Return an upper limit of the tensors that a function splits one into; 0 for a function that does not split."""
    name = target.rpartition(".")[2]
    whole = args[0] if args else next(iter(kwargs.values()), None)
    sizes = whole.values[0].shape if isinstance(whole, Symbol) and isinstance(whole.values[0], Tensor) else ()
    numbers = [abs(one) for one in (*args[1:], *kwargs.values()) if type(one) is int]
    if splits_into_a_number(target):
        return max(numbers, default=0)
    if name == "unstack":
        return max(sizes, default=0)
    if name in ("unbind", "split"):
        step = kwargs.get("split_size_or_sections", kwargs.get("split_size", 1))
        step = args[1] if name == "split" and len(args) > 1 else step
        return max(sizes, default=0) // step if type(step) is int and step > 0 else 0
    return max(numbers, default=0) if name in _SECTIONS else 0


def _find_function(name: str) -> Any:
    """Return a function of torch or of `kt.ops` from the closed tables, or the name of a method of `Tensor`.

    Raises:
        ValueError: The name is not in the table.
    """
    namespace, _, method = name.rpartition(".")
    if namespace == "Tensor" and method in torch_allowlist.METHODS:
        return method
    operation = operation_named(name)
    if operation is not None:
        return operation
    if name not in torch_allowlist.FUNCTIONS:
        raise unknown("function of a graph", name, torch_allowlist.FUNCTIONS)
    return torch_allowlist.FUNCTIONS[name]


def _is_argument_name(name: Any) -> bool:
    """Return whether a value is a valid name of an argument in Python code."""
    is_identifier = isinstance(name, str) and name.isascii() and name.isidentifier()
    return is_identifier and not keyword.iskeyword(name) and not name.startswith("__")


def _check_argument(value: Any) -> None:
    """Raise `ValueError` unless torch.fx writes all leaves of an argument as plain literals into generated code."""
    for leaf in _leaves(value):
        if type(leaf) is slice:
            _check_argument((leaf.start, leaf.stop, leaf.step))
        elif isinstance(leaf, tuple) and hasattr(leaf, "_fields"):  # a named tuple that a module of the user returned
            _check_argument(tuple(leaf))
        elif not (isinstance(leaf, (Symbol, Tensor)) or leaf is Ellipsis or type(leaf) in _LEAVES):
            raise ValueError(f"{type(leaf).__name__} is no argument of a call in a graph.")


def _check_ends(value: Any) -> None:
    """Raise `ValueError` unless inputs or outputs are all symbolic tensors."""
    for leaf in _leaves(value):
        if not isinstance(leaf, Symbol):
            raise ValueError(f"a model begins and ends in symbols, not in {type(leaf).__name__}.")


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what nested plain tuples, lists and dicts hold; raise `ValueError` for a key that is not text or integer.

    Subclasses, such as named tuples, are leaves.
    """
    if type(value) is dict:
        for key in value:
            if type(key) not in (str, int):
                raise ValueError(f"{key!r} is no key in a graph.")
        value = list(value.values())
    if type(value) in (tuple, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
