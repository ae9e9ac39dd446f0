"""The state of an optimizer by names of parameters, which stay the same when their numbers change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.checkpoint.foreign_optimizer_state import (
    captured_attributes,
    inner_optimizers,
    load_in_torch_form,
    restore_attributes,
)
from kerastorch.core.distributed_tensors import copy_values, replicate_like
from kerastorch.core.errors import CheckpointError, suggest
from kerastorch.core.module_tree import named_modules
from kerastorch.core.torch_private import pytree
from kerastorch.optimizers.base import TorchOptimizer


def capture_optimizer_state(optimizer: TorchOptimizer, names: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the state of an optimizer, by the names of its parameters, for `restore_optimizer_state`.

    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> state = capture_optimizer_state(torch.optim.SGD([weight], lr=0.1), {"weight": weight})
    >>> state["kind"], state["groups"][0]["params"], state["groups"][0]["lr"]
    ('SGD', ['weight'], 0.1)

    Args:
        optimizer: The optimizer.
        names: The parameters that the optimizer holds, by name.

    Raises:
        CheckpointError: The optimizer holds a parameter that has no name.
    """
    known = {id(weight): name for name, weight in names.items()}
    groups = [
        {**group, "params": [_name(weight, known) for weight in group["params"]]} for group in optimizer.param_groups
    ]
    state = {_name(weight, known): dict(about) for weight, about in optimizer.state.items()}
    captured = {"kind": type(optimizer).__name__, "groups": groups, "state": state}
    inner = {name: capture_optimizer_state(one, names) for name, one in inner_optimizers(optimizer).items()}
    more = {"attributes": captured_attributes(optimizer), "inner": inner}
    return captured | {name: value for name, value in more.items() if value}


def restore_optimizer_state(
    optimizer: TorchOptimizer, state: Mapping[str, Any], names: Mapping[str, Tensor], where: str
) -> None:
    """Restore a captured state, group by group; nothing is changed if it does not fit.

    Args:
        optimizer: Optimizer of the same class, with the same parameters, as the captured one.
        state: What `capture_optimizer_state` returned.
        names: The parameters that the optimizer holds, by name.
        where: Path of the file, for messages.

    Raises:
        CheckpointError: The optimizer has a different class, or holds different parameters or shapes.
    """
    check_optimizer_state(optimizer, state, names, where)
    groups = _groups(optimizer, names)
    by_params = {tuple(sorted(group["params"])): group for group in state["groups"]}
    settings = [by_params[tuple(sorted(group))] for group in groups]
    numbers = {name: number for number, name in enumerate(name for group in groups for name in group)}
    numbered = {
        "param_groups": [
            {**setting, "params": [numbers[name] for name in group]}
            for setting, group in zip(settings, groups, strict=True)
        ],
        # The order in which MKL adds depends on the alignment of a tensor, and a view of a file's bytes is not aligned:
        # resumed trainings with LBFGS ended with different weights. Copies are in memory that torch has aligned.
        "state": {numbers[name]: pytree.tree_map(_copy, dict(about)) for name, about in state["state"].items()},
    }
    inner = inner_optimizers(optimizer)
    for name, saved in state.get("inner", {}).items():
        restore_optimizer_state(inner[name], saved, names, where)
    load_in_torch_form(optimizer, numbered)
    for name, about in state["state"].items():
        _lay_out(optimizer.state[names[name]], about, names[name])
    restore_attributes(optimizer, state.get("attributes", {}))


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _lay_out(held: dict[str, Any], saved: Mapping[str, Any], weight: Tensor) -> None:
    """Convert the state of a parameter to the dtypes it was saved with and the parameter's strides.

    `Optimizer.load_state_dict` casts a state to the dtype of the parameter, even if the state had a wider one. A file
    contains no strides, but fused kernels go through a parameter and its state in the order of memory.

    Args:
        held: State that the optimizer holds for the parameter, which is changed.
        saved: State from the file, by the same keys.
        weight: The parameter.
    """
    for key, value in saved.items():
        if not isinstance(value, Tensor):
            continue
        if value.shape == weight.shape:
            held[key] = copy_like(weight, value)
        elif held[key].dtype != value.dtype:
            held[key] = value.to(held[key].device, copy=True)
        if value.ndim:
            held[key] = replicate_like(held[key], weight)


def copy_like(weight: Tensor, value: Tensor) -> Tensor:
    """Copy `value` in its own dtype to the device of `weight`, with the strides of `weight`."""
    copied = torch.empty_like(weight, dtype=value.dtype, requires_grad=False)
    copy_values(copied, value)
    return copied


def capture_optimizers(optimizers: Mapping[str, TorchOptimizer], names: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the state of the optimizers of a model: that of the only one, `''`, or of each by its name."""
    states = {name: capture_optimizer_state(one, names) for name, one in optimizers.items()}
    return states[""] if list(states) == [""] else {"several": states}


def check_optimizers(
    optimizers: Mapping[str, TorchOptimizer], state: Mapping[str, Any], names: Mapping[str, Tensor], where: str
) -> None:
    """Raise an error if `restore_optimizers` cannot restore a state; the arguments are the same."""
    states = _by_name(state)
    if states.keys() != optimizers.keys():
        saved, here = (", ".join(map(repr, some)) for some in (states, optimizers))
        raise CheckpointError(f"{where} has the optimizers {saved}, this model has {here}.")
    for name, one in optimizers.items():
        check_optimizer_state(one, states[name], names, f"{where}, {name}" if name else where)


def restore_optimizers(
    optimizers: Mapping[str, TorchOptimizer], state: Mapping[str, Any], names: Mapping[str, Tensor], where: str
) -> None:
    """Restore what `capture_optimizers` returned; nothing is changed if it does not fit.

    Args:
        optimizers: Optimizers of the same classes, with the same parameters, by name.
        state: What `capture_optimizers` returned.
        names: The parameters that the optimizers hold, by name.
        where: Path of the file, for messages.

    Raises:
        CheckpointError: There are other optimizers, or they have different classes, parameters or shapes.
    """
    check_optimizers(optimizers, state, names, where)
    for name, one in _by_name(state).items():
        restore_optimizer_state(optimizers[name], one, names, where)


def _by_name(state: Mapping[str, Any]) -> Mapping[str, Any]:
    several: Mapping[str, Any] = state.get("several", {"": state})
    return several


def check_optimizer_state(
    optimizer: TorchOptimizer, state: Mapping[str, Any], names: Mapping[str, Tensor], where: str
) -> None:
    """Raise an error if `restore_optimizer_state` cannot restore a state; the arguments are the same."""
    if state["kind"] != type(optimizer).__name__:
        raise CheckpointError(f"{where} is of the optimizer {state['kind']}, this one is {type(optimizer).__name__}.")
    groups, saved = _groups(optimizer, names), [list(group["params"]) for group in state["groups"]]
    if sorted(map(sorted, groups)) != sorted(map(sorted, saved)):
        raise CheckpointError(f"{where}: {_difference(groups, saved)}")
    for name, about in state["state"].items():
        _check_shapes(name, names.get(name), about, where)
    inner = inner_optimizers(optimizer)
    if inner.keys() != state.get("inner", {}).keys():
        raise CheckpointError(f"{where}: the optimizer within {state['kind']} is not the saved one.")
    for name, one in inner.items():
        check_optimizer_state(one, state["inner"][name], names, f"{where}, {name}")


def _groups(optimizer: TorchOptimizer, names: Mapping[str, Tensor]) -> list[list[str]]:
    known = {id(weight): name for name, weight in names.items()}
    return [[_name(weight, known) for weight in group["params"]] for group in optimizer.param_groups]


def _name(weight: Tensor, known: Mapping[int, str]) -> str:
    if id(weight) not in known:
        raise CheckpointError(
            f"the optimizer holds a parameter of shape {tuple(weight.shape)} that is not one of the model's."
        )
    return known[id(weight)]


def _difference(groups: list[list[str]], saved: list[list[str]]) -> str:
    here = {name for group in groups for name in group}
    there = {name for group in saved for name in group}
    if here == there:
        return f"the optimizer has {len(groups)} groups of parameters, the saved one {len(saved)}, divided otherwise."
    name = sorted(here ^ there)[0]
    where = "the optimizer does not hold" if name in there else "the saved optimizer did not hold"
    return f"{where} the parameter {name!r}.{suggest(name, here if name in there else there)}"


def _check_shapes(name: str, weight: Tensor | None, about: Mapping[str, Any], where: str) -> None:
    if weight is None:
        raise CheckpointError(f"{where}: the model has no parameter {name!r}.")
    for key, value in about.items():
        if isinstance(value, torch.Tensor) and value.ndim and key in _LIKE and value.shape != weight.shape:
            raise CheckpointError(
                f"{where}: {key} of {name!r} has shape {tuple(value.shape)}, the parameter {tuple(weight.shape)}."
            )


# states that have the parameter's shape
_LIKE = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg", "sum",
         "acc_delta", "ema", "ax", "accumulator", "linear", "variance", "z", "y")  # fmt: skip


def find_optimizers(model: nn.Module, excluded: Iterable[TorchOptimizer]) -> dict[str, TorchOptimizer]:
    """Find the optimizers that modules hold as attributes, such as the second one of a GAN.

    Args:
        model: The model.
        excluded: The optimizers of `compile`, which are left out.

    Returns:
        The optimizers by place: path of the module, attribute, and index or key in a list or dict.

    >>> net = torch.nn.Linear(2, 1)
    >>> net.own = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> list(find_optimizers(net, [torch.optim.Adam(net.parameters())]))
    ['own']
    """
    known = {id(one): one for one in excluded}
    found: dict[int, tuple[str, TorchOptimizer]] = {}
    for path, part in named_modules(model):
        for name, value in vars(part).items():
            for at, one in _several(value):
                if isinstance(one, TorchOptimizer) and id(one) not in known:
                    found.setdefault(id(one), (".".join(filter(None, (path, name, at))), one))
    return dict(found.values())


def _several(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        return ((str(at), one) for at, one in enumerate(value))
    return ((str(at), one) for at, one in value.items()) if isinstance(value, dict) else [("", value)]


def check_parameters_are_named(optimizer: TorchOptimizer, names: Mapping[str, Tensor], place: str) -> None:
    """Raise an error if an optimizer holds tensors that are no parameters of the model: their state has no name.

    Args:
        optimizer: The optimizer.
        names: The parameters of the model, by name.
        place: Where the optimizer is held, for the message.

    Raises:
        CheckpointError: The optimizer holds such a tensor.
    """
    try:
        _groups(optimizer, names)
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error} Make it an nn.Parameter of the model, so that it is kept.") from None


def parameter_names(
    model: nn.Module, loss_parameters: Iterable[Tensor] = (), prefix: str = "loss."
) -> dict[str, Tensor]:
    """Return all parameters that an optimizer of the model may hold, by name.

    Args:
        model: Model whose parameters have the names of `named_parameters`.
        loss_parameters: Parameters that the losses learn. Their names are their numbers: `loss.0`, `loss.1`, ...
        prefix: The text before that number.
    """
    numbered = {f"{prefix}{number}": parameter for number, parameter in enumerate(loss_parameters)}
    return {**dict(model.named_parameters()), **numbered}
