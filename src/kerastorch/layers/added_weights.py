"""Weights from `add_weight` until they are registered, with their regularizers and constraints."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kerastorch import initializers
from kerastorch.constraints import Constraint
from kerastorch.core.module_tree import modules, tensors
from kerastorch.core.serialization import current_codec
from kerastorch.regularizers import Regularizer


class AddedWeight(NamedTuple):
    """A weight that a layer has made.

    Attributes:
        weight: A weak reference to it, since a layer may drop it.
        name: The name that `add_weight` was given, or `None`.
        regularizer: Its penalty, or `None`.
        constraint: Its constraint, or `None`.
    """

    weight: weakref.ref[nn.Parameter]
    name: str | None
    regularizer: Regularizer | None
    constraint: Constraint | None


_added: weakref.WeakKeyDictionary[nn.Module, list[AddedWeight]] = weakref.WeakKeyDictionary()


def note_added(layer: nn.Module, added: AddedWeight) -> None:
    """Note a weight that a layer has made."""
    _added.setdefault(layer, []).append(added)


def take_added(layer: nn.Module, weight: nn.Parameter) -> AddedWeight | None:
    """Return what was noted about a weight, and forget it; `None` if the layer has not made it."""
    noted = _added.get(layer, [])
    for position, one in enumerate(noted):
        if one.weight() is weight:
            return noted.pop(position)
    return None


def register_rest(layer: nn.Module) -> None:
    """Register the weights that a layer has made and keeps in lists, dicts or other objects, under their names."""
    if not _added.get(layer):
        return
    known = {id(one) for one in tensors(modules(layer))}
    for added in list(_added.pop(layer)):
        weight = added.weight()
        if weight is not None and id(weight) not in known:
            _added[layer] = [added]  # for `take_added`
            layer.register_parameter(_free_name(layer, added.name or "weight"), weight)


def _free_name(layer: nn.Module, name: str) -> str:
    """Return a name, numbered if the layer has an attribute of this name."""
    name = name.replace(".", "_").replace("/", "_")
    number, free = 0, name
    attributes: Any = layer
    while hasattr(attributes, free):
        number += 1
        free = f"{name}_{number}"
    return free


def initial_values(
    shape: tuple[int, ...],
    initializer: Any,
    dtype: torch.dtype | str | None,
    like: Tensor,
    keras_layout: bool = False,
) -> Tensor:
    """Return the first values of a weight; zeros if it is loaded afterwards.

    Args:
        shape: Size on each axis.
        initializer: Name or callable; `None` for Glorot uniform, or zeros for integers.
        dtype: A dtype of torch or its name; `None` for that of `like`.
        like: A tensor on the device of the weight.
        keras_layout: Whether the weight has the layout `(*kernel, in, out)`, by which an initializer counts inputs.

    Raises:
        ValueError: The dtype is unknown.
    """
    kind = like.dtype if dtype is None else _to_dtype(dtype)
    codec = current_codec()
    values = torch.zeros(shape, dtype=kind, device=like.device)
    if codec is None or codec.initializes_weights:
        default = "glorot_uniform" if kind.is_floating_point else "zeros"
        with torch.no_grad():
            fill = initializers.get(default if initializer is None else initializer)
            is_other = keras_layout and isinstance(fill, initializers.VarianceScaling)
            fill(initializers.torch_view(values) if is_other else values)
    return values


def _to_dtype(dtype: torch.dtype | str) -> torch.dtype:
    """Return a dtype for its name."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype must be a dtype of torch or its name, such as 'float32', got {dtype!r}.")
    return found
