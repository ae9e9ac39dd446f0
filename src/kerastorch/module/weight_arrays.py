"""The weights of a module as a list of arrays, in the layout of torch or in that of Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from kerastorch.core.keras_variable import KerasVariable, as_it_is, shape_of, tensors_of
from kerastorch.core.module_tree import named_modules


def weight_arrays(
    module: nn.Module, held: Mapping[str, Tensor], keras_layout: bool | None = None
) -> list[KerasVariable]:
    """Return the arrays that a module's weights are listed as.

    They are in the order of its tensors. If layers list the arrays of Keras, the layers of functional models are in the
    order of Keras, that of `model.layers`.

    Args:
        module: A built module.
        held: Its tensors by name, in the order of `state_dict()`.
        keras_layout: Whether layers list the arrays of Keras. Default: those do that were made by `kerastorch.keras`,
            or read from a file of Keras.
    """
    of_tensor = _arrays_of_keras(module, keras_layout)
    known = {id(held[name]) for name in of_tensor if name in held}
    found: dict[str, KerasVariable] = {}
    for name, tensor in held.items():
        alone = [] if id(tensor) in known else [as_it_is(name, name)]  # a shared layer has its tensors under two names
        found |= {one.place: one for one in of_tensor.get(name, alone)}
    return _in_order(module, [*found.values()]) if of_tensor else [*found.values()]


def number_of_parameters(module: nn.Module, held: Mapping[str, Tensor]) -> int:
    """Return the number of elements in the parameters of a module, and in all arrays of layers in Keras' layout.

    Args:
        module: A built module.
        held: Its tensors by name.
    """
    of_tensor = _arrays_of_keras(module, None)
    shapes = {name: value.shape for name, value in held.items()}
    known = {id(held[name]) for name in of_tensor if name in held}
    arrays = {one.place: one for name in held for one in of_tensor.get(name, ())}
    others = {id(one): one for one in held.values() if isinstance(one, nn.Parameter) and id(one) not in known}
    return sum(shape_of(one, shapes).numel() for one in arrays.values()) + sum(one.numel() for one in others.values())


def _in_order(module: nn.Module, arrays: Sequence[KerasVariable]) -> list[KerasVariable]:
    """Return arrays in the order of Keras' layers; those of one layer stay in their order."""
    places = {path: index for index, path in enumerate(_paths_in_order(module, ""))}

    def index_of(array: KerasVariable) -> int:
        path = array.place
        while path not in places:
            path = path.rpartition(".")[0]
        return places[path]

    return sorted(arrays, key=index_of)


def _paths_in_order(module: nn.Module, path: str) -> Iterator[str]:
    """Yield the paths of a module and of those in it, each before those within it."""
    yield path
    prefix = f"{path}." if path else ""
    children = getattr(module, "_children_in_keras_order", module.named_children)
    for name, child in children():
        yield from _paths_in_order(child, prefix + name)


def _arrays_of_keras(module: nn.Module, keras_layout: bool | None) -> dict[str, list[KerasVariable]]:
    """Return the arrays of layers in the layout of Keras, by the name of each tensor that is in one of them.

    Args:
        module: A built module.
        keras_layout: As for `weight_arrays`.
    """
    of_tensor: dict[str, list[KerasVariable]] = {}
    in_layout: set[str] = set()  # paths of layers in the layout of Keras, and of what they hold
    for path, part in named_modules(module):
        of_part = getattr(part, "keras_layout", False) or (bool(path) and path.rpartition(".")[0] in in_layout)
        if of_part if keras_layout is None else keras_layout:
            in_layout |= {path} if of_part else set()
            find: Any = getattr(part, "keras_variables", list)
            prefix = f"{path}." if path else ""
            arrays = [_within(prefix, one) for one in find()]
            names = [*(name for one in arrays for name in one.tensors), *(prefix + name for name in _own_names(part))]
            of_tensor |= {name: arrays for name in names if name not in of_tensor}
    return of_tensor


def tensors_for(
    arrays: Sequence[KerasVariable], values: Sequence[Tensor], held: Mapping[str, Tensor]
) -> dict[str, Tensor] | None:
    """Return the tensors for the values of arrays, by name; `None` if the number or a shape differs.

    Args:
        arrays: What `weight_arrays` returned.
        values: A value for each of them.
        held: The tensors of the module by name.
    """
    shapes = {name: value.shape for name, value in held.items()}
    if [shape_of(one, shapes) for one in arrays] != [value.shape for value in values]:
        return None
    found: dict[str, Tensor] = {}
    for one, value in zip(arrays, values, strict=True):
        found |= tensors_of(one, value, shapes)
    return found


def _own_names(part: nn.Module) -> list[str]:
    """Return the names of tensors of a layer itself; those that no array holds are not listed, as in Keras."""
    return [*part._parameters, *part._buffers] if hasattr(part, "keras_variables") else []


def _within(prefix: str, variable: KerasVariable) -> KerasVariable:
    """Return the variable of a module within another one."""
    return variable._replace(place=prefix + variable.place, tensors=tuple(prefix + name for name in variable.tensors))
