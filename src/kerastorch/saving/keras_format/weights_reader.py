"""The weights of a model from the groups of a file of Keras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kerastorch.checkpoint.module_state import own_modules
from kerastorch.core.errors import CheckpointError
from kerastorch.core.keras_variable import KerasVariable, shape_of, tensors_of
from kerastorch.layers.keras_variables import keras_variables
from kerastorch.saving.keras_format.weight_groups import join
from kerastorch.saving.keras_format.weights_h5 import Groups

_MOST_LISTED = 5


class Found(NamedTuple):
    """What a file has for the weights of a model.

    Attributes:
        tensors: Values for tensors of the model by name.
        misfits: A sentence for each array that is missing or has another shape.
    """

    tensors: dict[str, Tensor]
    misfits: list[str]


def find_weights(parts: Iterable[tuple[str, nn.Module]], model: nn.Module, groups: Groups) -> Found:
    """Return values for the tensors of a model, and what does not fit.

    Args:
        parts: The layers and models in the model, each with the name of its group.
        model: The model, which may be on fake tensors.
        groups: What the file holds.
    """
    found = Found({}, [])
    for place, variable, prefix, shapes in variables(parts, model):
        array = array_at(place, groups)
        wanted = shape_of(variable, shapes)
        if array is None:
            found.misfits.append(f"{place} is missing, an array of shape {tuple(wanted)}")
        elif array.shape != wanted:
            found.misfits.append(f"{place} has shape {tuple(array.shape)}, expected {tuple(wanted)}")
        else:
            found.tensors.update({prefix + name: value for name, value in tensors_of(variable, array, shapes).items()})
    return found


def check_fit(found: Found, where: str) -> dict[str, Tensor]:
    """Return the values.

    Raises:
        CheckpointError: An array is missing or has another shape.
    """
    misfits = found.misfits
    if misfits:
        more = f"; {len(misfits) - _MOST_LISTED} more" if len(misfits) > _MOST_LISTED else ""
        listed = "; ".join(misfits[:_MOST_LISTED])
        raise CheckpointError(f"{where}: the weights are not those of the model: {listed}{more}.")
    return found.tensors


def variables(
    parts: Iterable[tuple[str, nn.Module]], model: nn.Module
) -> Iterator[tuple[str, KerasVariable, str, Mapping[str, torch.Size]]]:
    """Yield the place of each array, its variable, the prefix of its tensors, and the shapes of the tensors."""
    paths = {part: path for path, part in reversed(own_modules(model))}
    for group, part in parts:
        path = paths.get(part)
        if path is None:
            continue
        shapes = {
            name: value.shape for name, value in part.state_dict(keep_vars=True).items() if isinstance(value, Tensor)
        }
        for variable in keras_variables(part):
            yield join(group, variable.place), variable, f"{path}." if path else "", shapes


def array_at(place: str, groups: Groups) -> Tensor | None:
    """Return the array at a place, or `None`."""
    group, _, name = place.rpartition("/")
    return groups.get(group, {}).get(name)
