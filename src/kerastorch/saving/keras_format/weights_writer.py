"""The weights of a model as the groups of a file of Keras."""

from __future__ import annotations

from torch import Tensor, nn

from kerastorch.core.keras_variable import array_of
from kerastorch.saving.keras_format.weight_groups import weight_groups
from kerastorch.saving.keras_format.weights_reader import variables


def written_weights(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return the arrays of a built model by group and name."""
    state = {name: value.detach().cpu() for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    found: dict[str, dict[str, Tensor]] = {}
    for place, variable, prefix, shapes in variables(weight_groups(model, {}), model):
        group, _, name = place.rpartition("/")
        held = {one: state[prefix + one] for one in shapes if prefix + one in state}
        found.setdefault(group, {})[name] = array_of(variable, held)
    return found
