"""Guards: snapshots of what a traced step takes as constant; a change discards the step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import modules
from kerastorch.core.torch_optimizer_private import step_post_hooks, step_pre_hooks
from kerastorch.core.torch_private import has_gradient_hooks, module_hooks
from kerastorch.optimizers.scheduled_rate import STEP_COUNT
from kerastorch.training.fused_activation import LogitsRecorder
from kerastorch.training.jit.trainer_protocol import TrainerProtocol

MAX_ENTRIES = 64  # of a list or dict that is compared by its entries; longer ones are data
_DEPTH = 3  # levels of nested objects that are compared
_PLAIN_TYPES = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size)
_VARYING_OPTIONS = ("params", "lr", "ema_steps", STEP_COUNT)  # of a parameter group: may change between steps
_IGNORED_ATTRIBUTES = (  # of models: no step computes with them
    "_trainer",
    "history",
    "stop_training",
    "name",
    "_aux_losses",
    "_aux_losses_thread",
    "_last_losses",
    "_symbols",
)


class GuardSet:
    """Snapshot of what a traced step takes as constant.

    While two snapshots are equal, tracing gives the same graph. A snapshot covers weights (which tensors, not their
    values), train and eval modes, attributes of modules and losses, the optimizer's options except the learning rate,
    and hooks. It does not cover what `forward` reads elsewhere, such as global variables.

    Args:
        trainer: Holds the model and the losses.
        optimizer: The optimizer.
    """

    def __init__(self, trainer: TrainerProtocol, optimizer: torch.optim.Optimizer) -> None:
        self._referenced: list[Any] = []  # held, so that no new object gets an `id` that is compared
        model, compiled_loss = trainer.model, trainer.compiled_loss
        self._keys: dict[str, Any] = {
            "the modules or their attributes": [self._module_key(module) for module in modules(model)],
            "the weights": [self._tensor_key(tensor) for tensor in (*model.parameters(), *model.buffers())],
            "the optimizer's settings": [self._group_key(group) for group in optimizer.param_groups],
            "the losses": [self._object_key(loss) for loss in compiled_loss.losses.values()],
            "the penalties": [
                (self._identity(penalty.weight), self._object_key(penalty.regularizer))
                for penalty in compiled_loss.penalties
            ],
            "the optimizer's hooks": (
                [self._identity(hook) for hook in step_pre_hooks(optimizer).values()],
                len(step_post_hooks(optimizer)),
            ),
            "the targets": compiled_loss.guard_key(),
            "torch's settings": (_autocast_settings(model), torch.get_default_dtype()),
        }

    def first_violation(self, earlier: GuardSet) -> str | None:
        """Return a phrase for the first difference to an earlier snapshot; `None` if there is none."""
        for phrase, key in self._keys.items():
            earlier_key = earlier._keys[phrase]
            if key is not None and earlier_key is not None and key != earlier_key:  # `None` is not known yet
                return phrase
        return None

    def _module_key(self, module: nn.Module) -> Any:
        n_hooks = tuple(
            len(module_hooks(module, kind)) for kind in ("forward", "forward_pre", "backward", "backward_pre")
        )
        return type(module), n_hooks, list(self._attribute_keys(module))

    def _attribute_keys(self, module: nn.Module) -> Iterator[tuple[str, Any]]:
        for name, value in vars(module).items():
            if name in _IGNORED_ATTRIBUTES or "hooks" in name:
                continue
            if name in ("_parameters", "_buffers"):
                yield name, list(value)
            elif name == "_modules":
                yield name, [(child_name, self._identity(child)) for child_name, child in value.items()]
            else:
                yield name, self._value_key(value, _DEPTH)

    def _object_key(self, instance: object) -> Any:
        return self._identity(instance), self._value_key(getattr(instance, "__dict__", None), _DEPTH)

    def _tensor_key(self, tensor: Tensor) -> Any:
        layout = tensor.shape, tensor.dtype, tensor.device, tensor.stride()
        return self._identity(tensor), tensor.requires_grad, layout, has_gradient_hooks(tensor)

    def _group_key(self, group: dict[str, Any]) -> Any:
        learning_rate = self._identity(group["lr"]) if isinstance(group["lr"], Tensor) else "number"
        weights = [self._identity(weight) for weight in group["params"]]
        options = {name: value for name, value in group.items() if name not in _VARYING_OPTIONS}
        return learning_rate, weights, self._value_key(options, _DEPTH)

    def _value_key(self, value: object, depth: int) -> Any:
        """Return plain data itself, and for other objects identities, down to `depth` levels."""
        if isinstance(value, _PLAIN_TYPES):
            return value
        if isinstance(value, LogitsRecorder):
            return self._identity(value.function)
        if depth and isinstance(value, Mapping) and len(value) <= MAX_ENTRIES:
            return [(str(key), self._value_key(entry, depth - 1)) for key, entry in value.items()]
        if depth and isinstance(value, (list, tuple, set)) and len(value) <= MAX_ENTRIES:
            return [self._value_key(entry, depth - 1) for entry in value]
        if isinstance(value, nn.Module):
            public = {name: attribute for name, attribute in vars(value).items() if not name.startswith("_")}
            return self._identity(value), self._value_key(public, min(depth, 1))
        attributes = None if isinstance(value, (Tensor, type)) else getattr(value, "__dict__", None)
        if depth and attributes:
            return self._identity(value), self._value_key(attributes, depth - 1)
        return self._identity(value)

    def _identity(self, instance: object) -> int:
        self._referenced.append(instance)
        return id(instance)


def _autocast_settings(model: nn.Module) -> list[tuple[str, bool, torch.dtype]]:
    """Return the settings of `torch.autocast` for the devices of the weights."""
    device_types = sorted({weight.device.type for weight in model.parameters()})
    return [
        (device_type, torch.is_autocast_enabled(device_type), torch.get_autocast_dtype(device_type))
        for device_type in device_types
        if torch.amp.is_autocast_available(device_type)
    ]
