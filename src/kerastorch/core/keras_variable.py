"""KerasVariable: an array of Keras, and the tensors of a module that hold it in the layout of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Shapes = Sequence[torch.Size]


class KerasVariable(NamedTuple):
    """An array of a layer of Keras, and the tensors of a module that hold it.

    Attributes:
        place: Where Keras' files have it, from the group of the layer on, such as `"vars/0"` or `"cell/vars/2"`.
        tensors: Names of the tensors in the module; none for an array that has no meaning in torch.
        to_keras: Returns the array for the tensors.
        to_torch: Returns the tensors for an array, given the shapes of the tensors.
    """

    place: str
    tensors: tuple[str, ...]
    to_keras: Callable[[Sequence[Tensor]], Tensor]
    to_torch: Callable[[Tensor, Shapes], Sequence[Tensor]]


def as_it_is(place: str, tensor: str) -> KerasVariable:
    """Return the variable of a tensor that both libraries have in the same layout."""
    return KerasVariable(place, (tensor,), lambda held: held[0], lambda array, shapes: [array])


def array_of(variable: KerasVariable, held: Mapping[str, Tensor]) -> Tensor:
    """Return the array of Keras.

    Args:
        variable: The variable.
        held: The tensors of the module by name.
    """
    return variable.to_keras([held[name] for name in variable.tensors])


def shape_of(variable: KerasVariable, shapes: Mapping[str, torch.Size]) -> torch.Size:
    """Return the shape of the array of Keras.

    Args:
        variable: The variable.
        shapes: Shapes of the tensors of the module by name.
    """
    return variable.to_keras([torch.empty(shapes[name], device="meta") for name in variable.tensors]).shape


def tensors_of(variable: KerasVariable, array: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Return the tensors that an array of Keras stands for, by name.

    Args:
        variable: The variable.
        array: The array of Keras, of the shape that `shape_of` returns.
        shapes: Shapes of the tensors of the module by name.
    """
    made = variable.to_torch(array, [shapes[name] for name in variable.tensors])
    return dict(zip(variable.tensors, made, strict=True))
