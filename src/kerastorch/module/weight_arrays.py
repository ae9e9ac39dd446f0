"""The weights of a module as a list of arrays, in the layout of torch or in that of Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from kerastorch.core.keras_variable import KerasVariable, as_it_is, shape_of, tensors_of
from kerastorch.core.module_tree import named_modules


def weight_arrays(
    module: nn.Module, held: Mapping[str, Tensor], keras_layout: bool | None = None
) -> list[KerasVariable]:
    """Return the arrays that a module's weights are listed as.

    They are in the order of its tensors, but those of functional models in the layout of Keras in that of its layers.

    Args:
        module: A built module.
        held: Its tensors by name, in the order of `state_dict()`.
        keras_layout: Whether layers list the arrays of Keras. Default: those do that were made by `kerastorch.keras`,
            or read from a file of Keras.
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
    if in_layout:
        held = {name: held[name] for name in sorted(held, key=lambda name: _place(module, name))}
    known = {id(held[name]) for name in of_tensor if name in held}
    found: dict[str, KerasVariable] = {}
    for name, tensor in held.items():
        alone = [] if id(tensor) in known else [as_it_is(name, name)]  # a shared layer has its tensors under two names
        found |= {one.place: one for one in of_tensor.get(name, alone)}
    return [*found.values()]


def _place(root: nn.Module, name: str) -> list[int]:
    """Return the positions of the parts that lead to a tensor: among children, or `layers` of a functional model."""
    found: list[int] = []
    part = root
    for step in name.split(".")[:-1]:
        children = dict(part.named_children())
        if step not in children:
            break
        order = [*getattr(part, "layers", ())] if getattr(part, "is_functional", False) else [*children.values()]
        child = children[step]
        found.append(order.index(child) if child in order else -1)
        part = child
    return found


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
