"""The state of optimizers: Keras has a list of arrays, torch a dict for each weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kerastorch.core.keras_variable import KerasVariable, array_of, shape_of, tensors_of
from kerastorch.module.weight_arrays import weight_arrays
from kerastorch.optimizers.learning_rate import torch_class
from kerastorch.optimizers.scheduled_rate import STEP_COUNT, scheduled_rate, step_count
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters

OPTIMIZER = "optimizer/vars"  # group of the state of the optimizer


class _Slots(NamedTuple):
    """What an optimizer keeps for each weight, by the names of torch.

    Attributes:
        each: Kept side by side, weight after weight.
        blocks: Kept for all weights, one after the other.
        per_rate: Those that Keras multiplies by the learning rate, with the sign.
        counts_steps: Whether torch counts the steps of each weight.
    """

    each: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    per_rate: Mapping[str, float] = {}
    counts_steps: bool = True


_ADAM = _Slots(("exp_avg", "exp_avg_sq"), ("max_exp_avg_sq",))
_SLOTS = {
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "Adamax": _Slots(("exp_avg", "exp_inf")),
    "Adagrad": _Slots(blocks=("sum",)),
    "RMSprop": _Slots(blocks=("square_avg", "momentum_buffer", "grad_avg"), per_rate={"momentum_buffer": 1.0}),
    "SGD": _Slots(blocks=("momentum_buffer",), per_rate={"momentum_buffer": -1.0}, counts_steps=False),
}


def read_state(
    optimizer: TorchOptimizer, model: nn.Module, groups: Mapping[str, Mapping[str, Tensor]]
) -> Mapping[str, Any] | None:
    """Return a state dict for an optimizer, from the groups of a file; `None` if Keras' state has no counterpart.

    Args:
        optimizer: An optimizer over the weights of the model.
        model: The model.
        groups: What the file holds.
    """
    slots = _SLOTS.get(torch_class(optimizer).__name__)
    arrays = [groups.get(OPTIMIZER, {})[name] for name in sorted(groups.get(OPTIMIZER, {}), key=int)]
    trained = _trained(model)
    if slots is None or not arrays:
        return None
    held = dict(model.named_parameters())
    shapes = {name: value.shape for name, value in model.state_dict(keep_vars=True).items()}
    steps, rest = float(arrays[0]), arrays[1:]
    if rest and rest[0].ndim == 0 and len(rest) % max(len(trained), 1) == 1:
        rest = rest[1:]  # the learning rate
    names = _names_in_order(slots, len(rest), len(trained))
    if names is None or [one.shape for one in rest] != [shape_of(trained[index], shapes) for _, index in names]:
        return None
    numbers = {id(weight): number for number, weight in enumerate(optimizer_parameters(optimizer))}
    state: dict[int, dict[str, Tensor]] = {}
    rate = float(optimizer.param_groups[0]["lr"])
    for (slot, index), array in zip(names, rest, strict=True):
        factor = slots.per_rate.get(slot, rate) / rate
        for name, value in tensors_of(trained[index], array, shapes).items():
            number = numbers.get(id(held.get(name)))
            if number is not None:
                counted = {"step": torch.tensor(steps)} if slots.counts_steps else {}
                state.setdefault(number, counted)[slot] = torch.empty_like(held[name]).copy_(value) * factor
    first, *others = optimizer.state_dict()["param_groups"]
    if scheduled_rate(optimizer) is not None:
        first = first | {STEP_COUNT: int(steps)}
    return {"state": state, "param_groups": [first, *others]}


def written_state(optimizer: TorchOptimizer, model: nn.Module, *, has_rate: bool) -> dict[str, Tensor] | None:
    """Return the arrays of Keras for the state of an optimizer, by name; `None` if Keras has no counterpart.

    Args:
        optimizer: An optimizer over the weights of the model.
        model: The model.
        has_rate: Whether Keras has the learning rate among them.
    """
    slots = _SLOTS.get(torch_class(optimizer).__name__)
    held = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    trained = _trained(model)
    states = {name: optimizer.state[value] for name, value in held.items() if value in optimizer.state}
    if slots is None or not trained or not all(one.tensors[0] in states for one in trained):
        return None
    first = states[trained[0].tensors[0]]
    present = [slot for slot in (*slots.each, *slots.blocks) if isinstance(first.get(slot), Tensor)]
    rate = float(optimizer.param_groups[0]["lr"])
    found = [
        torch.tensor(int(first.get("step", step_count(optimizer))), dtype=torch.int32),
        *([torch.tensor(rate)] if has_rate else []),
    ]
    for slot, index in _names_in_order(slots, len(present) * len(trained), len(trained)) or ():
        variable = trained[index]
        parts = {name: states.get(name, {}).get(slot, torch.zeros_like(held[name])) for name in variable.tensors}
        factor = rate / slots.per_rate.get(slot, rate)
        found.append(array_of(variable, parts).detach().cpu() * factor)
    return {str(number): array for number, array in enumerate(found)}


def _trained(model: nn.Module) -> list[KerasVariable]:
    """Return the variables that are trained, in Keras' order."""
    held = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    arrays = weight_arrays(model, held, keras_layout=True)
    return [one for one in arrays if one.tensors and held[one.tensors[0]].requires_grad]


def _names_in_order(slots: _Slots, count: int, weights: int) -> Sequence[tuple[str, int]] | None:
    """Return the slot and the number of the weight of each array; `None` for a number of arrays that does not fit."""
    n_slots, rest = divmod(count, weights)
    if rest or not len(slots.each) <= n_slots <= len(slots.each) + len(slots.blocks):
        return None
    side_by_side = [(slot, index) for index in range(weights) for slot in slots.each]
    return side_by_side + [
        (slot, index) for slot in slots.blocks[: n_slots - len(slots.each)] for index in range(weights)
    ]
