"""The weights of a model from the lists of an `.h5` file, one list for each layer of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.keras_variable import KerasVariable, array_of, shape_of, tensors_of
from kerastorch.layers.input_layer import InputLayer
from kerastorch.module.weight_arrays import weight_arrays
from kerastorch.saving.keras_format.weights_reader import Found


def find_in_lists(model: nn.Module, weights: Mapping[str, list[Tensor]]) -> Found:
    """Return values for the tensors of a model, and what does not fit.

    Layers are matched by their order, and arrays by their order within the layer, as Keras does.

    Args:
        model: The model, which may be on fake tensors.
        weights: For each layer that has weights, by name, its arrays.
    """
    found = Found({}, [])
    held = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    shapes = {name: value.shape for name, value in held.items()}
    expected = [listed for layer in _layers(model) if (listed := _listed(model, layer, held))]
    if len(expected) != len(weights):
        found.misfits.append(f"{len(weights)} layers have weights, expected {len(expected)}")
        return found
    for (name, arrays), variables in zip(weights.items(), expected, strict=True):
        wanted = [shape_of(one, shapes) for one in variables]
        if [array.shape for array in arrays] != wanted:
            given = ", ".join(str(tuple(array.shape)) for array in arrays)
            found.misfits.append(
                f"{name} has arrays of shapes {given}, expected {', '.join(map(str, map(tuple, wanted)))}"
            )
            continue
        for variable, array in zip(variables, arrays, strict=True):
            found.tensors.update(tensors_of(variable, array, shapes))
    return found


def names_in_lists(model: nn.Module) -> set[str]:
    """Return the names of the tensors of a model for which such a file has values."""
    held = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    return {name for layer in _layers(model) for one in _listed(model, layer, held) for name in one.tensors}


def lists_of_weights(model: nn.Module, name_of: Callable[[nn.Module], str]) -> dict[str, dict[str, Tensor]]:
    """Return the arrays of each layer of a built model by name, those that are trained first.

    Args:
        model: The model.
        name_of: Returns the name of a layer.
    """
    held = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    found: dict[str, dict[str, Tensor]] = {}
    for layer in _layers(model):
        name = layer.name if isinstance(layer, InputLayer) else name_of(layer)
        arrays = [
            (one.place.rpartition(".")[2], array_of(one, {key: held[key].detach().cpu() for key in one.tensors}))
            for one in _listed(model, layer, held)
        ]
        found[str(name)] = {f"{name}/{number}_{place}": array for number, (place, array) in enumerate(arrays)}
    return found


def _layers(made: Any) -> list[nn.Module]:
    layers: list[nn.Module] = made.layers
    return layers


def _listed(model: nn.Module, layer: nn.Module, held: Mapping[str, Tensor]) -> list[KerasVariable]:
    """Return the variables of a layer of a model: those that are trained first."""
    own = {id(value) for value in layer.state_dict(keep_vars=True).values()}
    of_layer = {name: value for name, value in held.items() if id(value) in own}
    arrays = weight_arrays(model, of_layer, keras_layout=True)
    return sorted(arrays, key=lambda one: not any(held[name].requires_grad for name in one.tensors))
