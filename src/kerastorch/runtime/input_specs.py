"""Specs of a model's inputs: given by the user, or known from the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from kerastorch.core.errors import check_int, mismatch
from kerastorch.core.nested import holds_tensors, is_object, is_record, leaves, map_structure
from kerastorch.core.tensor_spec import TensorSpec, specs_of
from kerastorch.data.arrays import is_array_like, to_tensor, to_tensors
from kerastorch.data.batch_reader import BatchReader
from kerastorch.data.prepared_batches import prepared_parts
from kerastorch.runtime.call_module import forward_inputs
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import Symbol, has_symbols, map_symbols


def resolve_input_specs(module: nn.Module, input_shape: Any, input_data: Any) -> Any:
    """Return the specs of a module's inputs in their structure, or `None` if they are unknown.

    Args:
        module: A module.
        input_shape: A shape such as `(None, 64)`, in which `None` varies, or a list or dict of shapes.
        input_data: Arrays as `fit` takes them, with any number of rows; or a batch.

    Raises:
        ValueError: Both arguments are given, or `input_shape` is no shape.
    """
    if input_shape is not None and input_data is not None:
        raise ValueError("Give one of input_shape and input_data.")
    if has_symbols(input_shape):
        return map_symbols(input_shape, _spec_of_symbol)
    if input_data is not None:
        return specs_of(_inputs_in(module, input_data))
    return known_input_specs(module) if input_shape is None else _specs_of_shape(input_shape)


def _inputs_in(module: nn.Module, data: Any) -> Any:
    """Return the inputs in a batch: arrays, an object, or what a loader yields if there is a function for it."""
    trainer = vars(module).get("_trainer")
    prepare = None if trainer is None else trainer.reader.prepare
    if prepare is not None and not is_array_like(data):
        data = prepared_parts(prepare, data, inputs_only=True)[0]
    elif isinstance(data, Mapping) and not is_object(data):
        data = BatchReader(forward_inputs(module), inputs_only=True).read_arrays(data).x
    if is_record(data) or any(map(_is_no_array, (leaf for _, leaf in leaves(data)))):
        return map_structure(lambda leaf: to_tensor(leaf, "input_data") if is_array_like(leaf) else leaf, data)
    return to_tensors(data, "input_data")


def _is_no_array(leaf: Any) -> bool:
    return isinstance(leaf, str) or is_object(leaf) or holds_tensors(leaf)


def last_input_specs(module: nn.Module) -> Any:
    """Return the specs of the last batch of inputs, or else those in the file the model was loaded from, or `None`."""
    trainer = vars(module).get("_trainer")
    return (None if trainer is None else trainer.state.input_specs) or vars(module).get("_seen")


def known_input_specs(module: nn.Module) -> Any:
    """Return the specs that a model knows from its `Input`, `build`, or the last data, or `None`."""
    for owner in (module, vars(module).get("module_viewed")):
        for given in _declared_inputs(owner):
            if has_symbols(given):
                found = map_symbols(given, _spec_of_symbol)
                return found[0] if isinstance(found, (tuple, list)) and len(found) == 1 else found
    seen = last_input_specs(module)
    if seen is not None:
        return seen
    first = next(iter(module.children()), None)
    return known_input_specs(first) if getattr(module, "is_chain", False) and first is not None else None


def _declared_inputs(owner: Any) -> Iterator[Any]:
    """Yield what may hold the symbols of a module's inputs, in their structure."""
    if getattr(owner, "is_functional", False):
        yield owner.symbols[0]
        return
    yield getattr(owner, "inputs", None)
    yield getattr(owner, "_input", None)


def _spec_of_symbol(symbol: Symbol) -> TensorSpec:
    if isinstance(symbol, Input):
        return TensorSpec((None, *symbol.sample_shape), symbol.dtype)
    return TensorSpec(tuple(size if isinstance(size, int) else None for size in symbol.shape), symbol.dtype)


def _specs_of_shape(shape: Any) -> Any:
    """Return the specs for the argument `input_shape`."""
    if isinstance(shape, Mapping):
        return {name: _specs_of_shape(one) for name, one in shape.items()}
    if isinstance(shape, (tuple, list)) and shape and all(isinstance(one, (tuple, list, Mapping)) for one in shape):
        return tuple(map(_specs_of_shape, shape))
    try:
        sizes = tuple(None if size is None else check_int("size", size) for size in shape)
    except (TypeError, ValueError):
        sizes = ()
    if not sizes:
        expected = "a tuple of sizes >= 1, the batch's first, None where one varies, as (None, 64); or a list or dict"
        raise mismatch("input_shape", shape, f"{expected} of such tuples")
    return TensorSpec(sizes)


def has_varying_axes(given: Any, *, beside_batch: bool = False) -> bool:
    """Return whether an axis of the inputs varies.

    Args:
        given: Specs, in the structure of the inputs.
        beside_batch: Whether the first axis that varies, which is the batch axis, does not count.
    """
    found: list[TensorSpec] = []
    map_structure(found.append, given)
    return any(spec.shape.count(None) > beside_batch for spec in found)
