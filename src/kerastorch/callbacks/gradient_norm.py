"""GradientNorm: log the norm of the gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.distributed_tensors import full_tensor
from kerastorch.core.errors import check_float, mismatch
from kerastorch.core.torch_private import foreach_norm
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.optimizers.step_hooks import optimizer_parameters


class GradientNorm(Callback):
    """A callback that logs `gradient_norm`, the mean over an epoch's optimizer steps of the norm of all gradients.

    The norm is measured before clipping, so it shows which `clipnorm` would have an effect. With
    `gradient_accumulation_steps` it is the norm of the accumulated gradient that the step uses. Measuring does not
    wait for the device before the epoch ends. A NaN or infinite gradient makes the mean NaN or infinite.

    Args:
        per_layer: Also log `gradient_norm/<layer>` for each layer with parameters of its own, by its name in
            `state_dict`. Parameters of the model itself count in `gradient_norm` only. Default `False`.
        norm_type: Order of the norm: 2 (default) is the Euclidean norm, `math.inf` the largest absolute value.

    Raises:
        ValueError: An argument is out of range; or, when `fit` begins, the model has `jit_compile=True`, whose steps
            leave no gradients, or the optimizer is LBFGS, which computes gradients within its step.
    """

    every_rank = True
    logs_added = ("gradient_norm",)

    def __init__(self, per_layer: bool = False, norm_type: float = 2.0) -> None:
        if not isinstance(per_layer, bool):
            raise mismatch("per_layer", per_layer, "True or False")
        self.per_layer = per_layer
        self.norm_type = math.inf if norm_type == math.inf else check_float("norm_type", norm_type, above=0)
        self._hook: Any = None
        self._reset()

    def _reset(self) -> None:
        """Forget the norms, as before the first step of an epoch."""
        self._sums: Tensor | None = None  # (1 + number of layers,): over all weights, and over each layer
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self._sums, "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums, self._steps = state["sums"], state["steps"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._optimizer = self.model.optimizer
        if self.model.trainer.optimizer_step.needs_closure:
            name = type(self._optimizer).__name__
            raise ValueError(f"GradientNorm: {name} computes gradients within its step, where they cannot be measured.")
        if self.model.trainer.is_compiled:
            raise ValueError("GradientNorm: a compiled step leaves no gradients; compile with jit_compile=False.")
        self._remove_hook()
        # torch calls the global hooks before an optimizer's own hooks, which clip the gradients
        self._hook = register_optimizer_step_pre_hook(self._measure)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._reset()
        self._layers = self._find_layers()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is None or self._sums is None:
            return
        means = (self._sums / self._steps).tolist()
        names = ["gradient_norm", *(f"gradient_norm/{name}" for name in self._layers)]
        logs.update(zip(names, means, strict=True))
        self._reset()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._remove_hook()

    def _remove_hook(self) -> None:
        """Remove the hook of the optimizers if it is registered."""
        if self._hook is not None:
            self._hook.remove()
        self._hook = None

    def _find_layers(self) -> dict[str, list[int]]:
        """Return the indices in the optimizer of each layer's own parameters; empty without `per_layer`."""
        if not self.per_layer:
            return {}
        index_of = {id(weight): index for index, weight in enumerate(optimizer_parameters(self._optimizer))}
        indices = {
            name: [index_of[id(weight)] for weight in part.parameters(recurse=False) if id(weight) in index_of]
            for name, part in self.model.named_modules()
            if name
        }
        return {name: found for name, found in indices.items() if found}

    @torch.no_grad()
    def _measure(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        """Add the norms of the current gradients to the sums; a hook that torch calls before each step."""
        if optimizer is not self._optimizer:
            return
        each = _norms([weight.grad for weight in optimizer_parameters(optimizer)], self.norm_type)
        groups = [each, *([each[index] for index in indices] for indices in self._layers.values())]
        norms = torch.stack([torch.linalg.vector_norm(torch.stack(group), self.norm_type) for group in groups])
        self._sums = norms if self._sums is None else self._sums.to(norms.device) + norms
        self._steps += 1


def _norms(gradients: list[Tensor | None], norm_type: float) -> list[Tensor]:
    """Return the norm of each gradient as a scalar, 0 for `None`, in float64 if the device supports it."""
    by_type: dict[torch.dtype, list[int]] = {}
    values = [None if one is None else _values(one) for one in gradients]
    for index, one in enumerate(values):
        if one is not None and one.numel():
            by_type.setdefault(one.dtype, []).append(index)
    device = next((one.device for one in values if one is not None), torch.device("cpu"))
    widest = torch.float32 if device.type == "mps" else torch.float64
    norms = [torch.zeros((), dtype=widest, device=device)] * len(values)
    for dtype, indices in by_type.items():
        same = [one for one in map(values.__getitem__, indices) if one is not None]
        found = foreach_norm(same, norm_type, torch.promote_types(dtype, torch.float32))
        whole = [full_tensor(one).to(device) for one in found]
        for index, norm in zip(indices, torch.stack(whole).to(widest), strict=True):
            norms[index] = norm
    return norms


def _values(gradient: Tensor) -> Tensor:
    """Return the real numbers of a gradient that may be sparse or complex."""
    if gradient.is_sparse:
        gradient = gradient.coalesce().values()
    return torch.view_as_real(gradient) if gradient.is_complex() else gradient
