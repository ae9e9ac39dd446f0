"""Arguments of `compile` for the optimizer and the losses as text, to compare a script with a resumed one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import Tensor, nn

from kerastorch.optimizers.any_optimizer import Torch
from kerastorch.optimizers.base import Optimizer
from kerastorch.optimizers.loss_scale import LossScaleOptimizer
from kerastorch.optimizers.scheduled_rate import has_schedule
from kerastorch.optimizers.step_hooks import TorchOptimizer

Settings = Mapping[str, Mapping[str, str]]  # "state": values that a checkpoint restores; "script": the others

SMALL = 16  # elements: longer tensors, lists and dicts are abbreviated
_KERNEL = {
    "params",
    "name",
    "initial_lr",
    "ema_steps",
    "iterations",
    "foreach",
    "fused",
    "capturable",
    "differentiable",
}
_HOOKS = (
    "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
    "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip


def group_settings(optimizer: TorchOptimizer) -> list[dict[str, str]]:
    """Return the present hyperparameters of each parameter group."""
    return [
        {name: to_text(value) for name, value in group.items() if name not in _KERNEL}
        for group in optimizer.param_groups
    ]


def compile_settings(
    settings: Any, groups: list[dict[str, str]], losses: Mapping[str, Any], weights: Any, penalties: Mapping[str, Any]
) -> Settings:
    """Describe the optimizer, the losses and the regularizers of a training.

    Args:
        settings: Optimizer as `optimizers.get` returns it.
        groups: `group_settings` at the start of training.
        losses: Losses by output name.
        weights: `loss_weights` as given to `compile`.
        penalties: Regularizers by pattern of parameter names.
    """
    found, schedule = _optimizer(settings, groups), _schedule(settings)
    if schedule is not None:
        found["learning_rate"] = to_text(schedule)
    state = {
        name: value
        for name, value in found.items()
        if _is_in_state(settings, name) and (name != "learning_rate" or schedule is None)
    }
    script = {name: value for name, value in found.items() if name not in state}
    script |= {f"loss of {name!r}" if name else "loss": to_text(loss) for name, loss in losses.items()}
    script |= {"loss_weights": to_text(weights), "regularizers": to_text(penalties)}
    return {"state": state, "script": script}


def differences(saved: Settings, here: Settings) -> list[str]:
    """Return the differences of two scripts as text, with the value that a resumed training uses.

    Args:
        saved: Settings of the script that wrote the checkpoint.
        here: Settings of the present script.
    """
    found = []
    for part in ("state", "script"):
        for name in {**saved[part], **here[part]}:
            old, new = saved[part].get(name), here[part].get(name)
            if old != new:
                found.append(f"{name} ({old} there, {new} here; {old if part == 'state' else new} is used)")
    return found


def _optimizer(settings: Any, groups: list[dict[str, str]]) -> dict[str, str]:
    """Return the hyperparameters by name, under Keras' names for an optimizer of `kerastorch.optimizers`."""
    if isinstance(settings, Optimizer):
        named = {one.name: to_text(getattr(settings, one.name)) for one in fields(settings) if one.name != "name"}
        return named | {"learning_rate": groups[0]["lr"]}
    found: dict[str, str] = {}
    for name in dict.fromkeys(name for group in groups for name in group):
        values = [group.get(name, "None") for group in groups]
        found["learning_rate" if name == "lr" else name] = values[0] if len(set(values)) == 1 else ", ".join(values)
    return found


def _schedule(settings: Any) -> Any:
    """Return the learning rate of an optimizer if it is a schedule, or a dict of rates with one; else `None`."""
    inner = settings.inner_optimizer if isinstance(settings, LossScaleOptimizer) else settings
    rate = inner.arguments.get("lr") if isinstance(inner, Torch) else getattr(inner, "learning_rate", None)
    return rate if has_schedule(rate) else None


def _is_in_state(settings: Any, name: str) -> bool:
    """Return whether the state of the torch optimizer holds a hyperparameter, so that a checkpoint restores it."""
    if not isinstance(settings, Optimizer):
        return True
    return name not in _HOOKS and (name != "weight_decay" or "weight_decay" in settings.arguments())


def to_text(value: Any, depth: int = 3) -> str:
    """Return a text that is the same in each process, without addresses and large arrays."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if isinstance(value, Tensor):
        few = value.numel() <= SMALL
        return repr(value.tolist()) if few else f"tensor of shape {tuple(value.shape)}"
    if isinstance(value, Mapping) and depth and len(value) <= SMALL:
        inner = ", ".join(f"{key!r}: {to_text(one, depth - 1)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, (list, tuple)) and depth and len(value) <= SMALL:
        return f"[{', '.join(to_text(one, depth - 1) for one in value)}]"
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str):
        return name
    return f"{type(value).__name__}({_arguments(value, depth)})"


def _arguments(value: Any, depth: int) -> str:
    """Return the public attributes of an object as text, and the buffers of a module, such as class weights."""
    own = {name: one for name, one in getattr(value, "__dict__", {}).items() if not name.startswith("_")}
    if isinstance(value, nn.Module):
        own |= dict(value.named_buffers(recurse=False))
        own.pop("training", None)
    return ", ".join(f"{name}={to_text(one, depth - 1)}" for name, one in own.items()) if depth else "..."
