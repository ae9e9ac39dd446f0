"""What a recorded step takes as fixed: when any of it changes, the step is recorded anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.training.tail import Tap
from kerastorch.tree import modules

_PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size)
_PASSING = ("_trainer", "history", "stop_training", "name")  # attributes of models that no step computes with


class Constants:
    """A snapshot; where nothing has changed since, the same would be recorded.

    It sees weights (not their values), modes, attributes of modules and losses, hyperparameters of the optimizer
    but for the learning rate, and hooks. Not what a `forward` reads elsewhere, in global variables say.
    """

    def __init__(self, trainer: Any, optimizer: torch.optim.Optimizer) -> None:
        self._kept: list[Any] = []  # so that an `id` is not used again
        objective = trainer.objective
        self._key = {
            "the modules or their attributes": tuple(self._of_module(module) for module in modules(trainer.model)),
            "the weights": tuple(
                self._of_tensor(tensor) for tensor in (*trainer.model.parameters(), *trainer.model.buffers())
            ),
            "the optimizer's settings": tuple(self._of_group(group) for group in optimizer.param_groups),
            "the losses": tuple(self._of_object(loss) for loss in objective.losses.values()),
            "the penalties": tuple(
                (self._identity(p.weight), self._of_object(p.regularizer)) for p in objective.penalties
            ),
            "the optimizer's hooks": (
                tuple(map(self._identity, optimizer._optimizer_step_pre_hooks.values())),
                len(optimizer._optimizer_step_post_hooks),
            ),
            "torch's settings": (torch.is_autocast_enabled(), torch.get_default_dtype()),
        }

    def changed(self, since: Constants) -> str | None:
        """What is not as it was, in words."""
        return next((what for what, key in self._key.items() if key != since._key[what]), None)

    def _of_module(self, module: nn.Module) -> Any:
        own = {key: value for key, value in vars(module).items() if key not in _PASSING and "hooks" not in key}
        hooks = len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks)
        return type(module), hooks, tuple(self._attributes(own))

    def _of_object(self, one: Any) -> Any:
        return self._identity(one), self._plain(getattr(one, "__dict__", None), 2)

    def _attributes(self, own: dict[str, Any]) -> Iterator[Any]:
        for key, value in own.items():
            if key in ("_parameters", "_buffers"):
                yield key, tuple(value)
            elif key == "_modules":
                yield key, tuple((name, self._identity(child)) for name, child in value.items())
            else:
                yield key, self._plain(value, 2)

    def _of_tensor(self, tensor: Tensor) -> Any:
        return self._identity(tensor), tensor.requires_grad, tensor.shape, tensor.dtype, tensor.device, tensor.stride()

    def _of_group(self, group: dict[str, Any]) -> Any:
        rate = "tensor" if isinstance(group["lr"], Tensor) else "number"
        held = tuple(map(self._identity, group["params"]))
        return rate, held, self._plain({k: v for k, v in group.items() if k not in _STEPPING}, 2)

    def _plain(self, value: Any, depth: int) -> Any:
        """A value to compare by; for what is no plain data, which object it is."""
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, Tap):
            return self._identity(value.function)
        if depth and isinstance(value, Mapping):
            return tuple((str(key), self._plain(one, depth - 1)) for key, one in value.items())
        if depth and isinstance(value, (list, tuple, set)):
            return tuple(self._plain(one, depth - 1) for one in value)
        return self._identity(value)

    def _identity(self, value: Any) -> int:
        self._kept.append(value)
        return id(value)


_STEPPING = ("params", "lr", "ema_steps")  # what may change from step to step
