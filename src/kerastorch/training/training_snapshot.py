"""TrainingSnapshot: all that training changes, copied, and put back in place in the same process."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from kerastorch.checkpoint.module_state import capture_module_state, restore_module_state
from kerastorch.checkpoint.optimizer_state import find_optimizers
from kerastorch.core.torch_private import pytree
from kerastorch.training.trainer import Trainer


class TrainingSnapshot:
    """A copy of the weights, buffers, gradients, losses and optimizers of a model after `Trainer.setup`.

    Tensors are restored in place, so that whatever refers to them stays valid, such as compiled steps.

    Args:
        trainer: Parts that train the model.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._modules = [trainer.model, *trainer.compiled_loss.outputs.modules()]
        self._states = [pytree.tree_map(_copy, capture_module_state(module)) for module in self._modules]
        self._step = copy.deepcopy(trainer.optimizer_step.state_dict())
        made = trainer.optimizer_step.optimizers
        self._optimizers = [_OptimizerCopy(one) for one in (*made, *find_optimizers(trainer.model, made).values())]
        self._gradients = [(weight, weight.grad) for weight in self._parameters()]
        self._stop_training = trainer.model.stop_training

    def _parameters(self) -> Iterable[Tensor]:
        return (weight for module in self._modules for weight in module.parameters())

    @torch.no_grad()
    def restore(self) -> None:
        """Put back what was copied."""
        for module, state in zip(self._modules, self._states, strict=True):
            restore_module_state(module, state)
        for optimizer in self._optimizers:
            optimizer.restore()
        self._trainer.optimizer_step.load_state_dict(self._step)
        for weight, gradient in self._gradients:
            weight.grad = gradient  # steps replace gradients and do not write to them
        self._trainer.model.stop_training = self._stop_training


class _OptimizerCopy:
    """A copy of the state and the hyperparameters of an optimizer."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._groups = [
            {name: _copy_deeply(value) for name, value in group.items() if name != "params"}
            for group in optimizer.param_groups
        ]
        self._state = {weight: _copy_deeply(about) for weight, about in optimizer.state.items()}

    def restore(self) -> None:
        """Put back what was copied."""
        for group, saved in zip(self._optimizer.param_groups, self._groups, strict=True):
            _restore_dict(group, {**saved, "params": group["params"]})
        state = self._optimizer.state
        for weight in [weight for weight in state if weight not in self._state]:
            del state[weight]
        for weight, saved in self._state.items():
            _restore_dict(state[weight], saved)


def _restore_dict(held: dict[str, Any], saved: dict[str, Any]) -> None:
    """Give a dict the saved values; tensors of the same kind are changed in place."""
    for name in held.keys() - saved.keys():
        del held[name]
    for name, value in saved.items():
        now = held.get(name)
        if isinstance(now, Tensor) and isinstance(value, Tensor) and _layout(now) == _layout(value):
            now.copy_(value)
        else:
            held[name] = value


def _layout(tensor: Tensor) -> tuple[torch.Size, torch.dtype, torch.device]:
    return tensor.shape, tensor.dtype, tensor.device


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _copy_deeply(value: Any) -> Any:
    return _copy(value) if isinstance(value, Tensor) else copy.deepcopy(value)
