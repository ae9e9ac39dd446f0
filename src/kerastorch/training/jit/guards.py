"""What a recorded step takes as fixed: when any of it changes, the step is recorded anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import modules
from kerastorch.core.torch_private import has_gradient_hooks, module_hooks, step_post_hooks, step_pre_hooks
from kerastorch.training.fused_activation import LogitsRecorder

_PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size)
LONG = 64  # entries of a list or dict: longer ones are data
_PASSING = (
    "_trainer",
    "history",
    "stop_training",
    "name",
    "_aux_losses",
    "_aux_losses_thread",
    "_symbols",
)  # attributes of models that no step computes with


class GuardSet:
    """A snapshot; where nothing has changed since, the same would be recorded.

    It sees weights (not their values), modes, attributes of modules and losses, hyperparameters of the optimizer
    but for the learning rate, and hooks. Not what a `forward` reads elsewhere, in global variables say.
    """

    def __init__(self, trainer: Any, optimizer: torch.optim.Optimizer) -> None:
        self._kept: list[Any] = []  # so that an `id` is not used again
        compiled_loss = trainer.compiled_loss
        self._key = {
            "the modules or their attributes": tuple(self._of_module(module) for module in modules(trainer.model)),
            "the weights": tuple(
                self._of_tensor(tensor) for tensor in (*trainer.model.parameters(), *trainer.model.buffers())
            ),
            "the optimizer's settings": tuple(self._of_group(group) for group in optimizer.param_groups),
            "the losses": tuple(self._of_object(loss) for loss in compiled_loss.losses.values()),
            "the penalties": tuple(
                (self._identity(p.weight), self._of_object(p.regularizer)) for p in compiled_loss.penalties
            ),
            "the optimizer's hooks": (
                tuple(map(self._identity, step_pre_hooks(optimizer).values())),
                len(step_post_hooks(optimizer)),
            ),
            "the targets": compiled_loss.guard_key(),
            "torch's settings": (_autocast(trainer.model), torch.get_default_dtype()),
        }

    def first_violation(self, since: GuardSet) -> str | None:
        """What is not as it was, in words."""
        return next((what for what, key in self._key.items() if _differ(key, since._key[what])), None)

    def _of_module(self, module: nn.Module) -> Any:
        own = {key: value for key, value in vars(module).items() if key not in _PASSING and "hooks" not in key}
        hooks = tuple(len(module_hooks(module, kind)) for kind in ("forward", "forward_pre", "backward"))
        return type(module), hooks, tuple(self._attributes(own))

    def _of_object(self, one: Any) -> Any:
        return self._identity(one), self._plain(getattr(one, "__dict__", None), 3)

    def _attributes(self, own: dict[str, Any]) -> Iterator[Any]:
        for key, value in own.items():
            if key in ("_parameters", "_buffers"):
                yield key, tuple(value)
            elif key == "_modules":
                yield key, tuple((name, self._identity(child)) for name, child in value.items())
            else:
                yield key, self._plain(value, 3)

    def _of_tensor(self, tensor: Tensor) -> Any:
        place = tensor.shape, tensor.dtype, tensor.device, tensor.stride()
        return self._identity(tensor), tensor.requires_grad, place, has_gradient_hooks(tensor)

    def _of_group(self, group: dict[str, Any]) -> Any:
        rate = self._identity(group["lr"]) if isinstance(group["lr"], Tensor) else "number"
        held = tuple(map(self._identity, group["params"]))
        return rate, held, self._plain({k: v for k, v in group.items() if k not in _STEPPING}, 3)

    def _plain(self, value: Any, depth: int) -> Any:
        """A value to compare by; for what is no plain data, which object it is."""
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, LogitsRecorder):
            return self._identity(value.function)
        if depth and isinstance(value, Mapping) and len(value) <= LONG:
            return tuple((str(key), self._plain(one, depth - 1)) for key, one in value.items())
        if depth and isinstance(value, (list, tuple, set)) and len(value) <= LONG:
            return tuple(self._plain(one, depth - 1) for one in value)
        if isinstance(value, nn.Module):
            kept = {key: one for key, one in vars(value).items() if not key.startswith("_")}
            return self._identity(value), self._plain(kept, min(depth, 1))
        own = None if isinstance(value, (Tensor, type)) else getattr(value, "__dict__", None)
        if depth and own:
            return self._identity(value), self._plain(own, depth - 1)
        return self._identity(value)

    def _identity(self, value: Any) -> int:
        self._kept.append(value)
        return id(value)


def _autocast(model: nn.Module) -> Any:
    """What `torch.autocast` is set to on the devices of the weights."""
    kinds = sorted({weight.device.type for weight in model.parameters()})
    return [
        (kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
        for kind in kinds
        if torch.amp.is_autocast_available(kind)
    ]


def _differ(key: Any, other: Any) -> bool:
    """Where one of them is not known yet, nothing can be said."""
    return key is not None and other is not None and bool(key != other)


_STEPPING = ("params", "lr", "ema_steps")  # what may change from step to step
