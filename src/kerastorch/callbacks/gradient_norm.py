"""GradientNorm: how large the gradients are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.errors import check_float, mismatch
from kerastorch.optimizers.base import TorchOptimizer, weights


class GradientNorm(Callback):
    """Logs `gradient_norm`, the norm of all gradients together: its mean over the optimizer's steps of an epoch.

    It is measured at each step before clipping, so it says what `clipnorm` and its like have to do; and after
    `gradient_accumulation_steps` have been put together, so it is that of the gradient stepped along. Nothing waits
    for the device before the epoch ends.

    Args:
        per_layer: log `gradient_norm/<layer>` for each layer with parameters of its own, too, under its name in
            `state_dict`; weights of the model itself are in `gradient_norm` alone.
        norm_type: which norm: 2 is the Euclidean, `math.inf` the largest absolute value.

    Raises:
        ValueError: in `fit`: with `jit_compile=True`, whose steps leave no gradients, or with LBFGS, which computes
            them within its step.

    A gradient that is NaN or infinite makes the mean so, too.
    """

    logs_added = ("gradient_norm",)

    def __init__(self, per_layer: bool = False, norm_type: float = 2.0) -> None:
        if not isinstance(per_layer, bool):
            raise mismatch("per_layer", per_layer, "True or False")
        self.per_layer = per_layer
        self.norm_type = math.inf if norm_type == math.inf else check_float("norm_type", norm_type, above=0)
        self._hook: Any = None
        self._reset()

    def _reset(self) -> None:
        self._sums: Tensor | None = None  # of all weights, and of each layer
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self._sums, "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums, self._steps = state["sums"], state["steps"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._optimizer = self.model.optimizer
        if isinstance(self._optimizer, torch.optim.LBFGS):
            raise ValueError("GradientNorm: LBFGS computes gradients within its step; there is none to be measured.")
        if self.model.trainer.compiles:
            raise ValueError("GradientNorm: a compiled step leaves no gradients; compile with jit_compile=False.")
        self._remove()
        # torch runs the hooks on all optimizers before an optimizer's own, among which is clipping
        self._hook = register_optimizer_step_pre_hook(self._measure)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._reset()
        self._groups = self._layers()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is None or self._sums is None:
            return
        means = (self._sums / self._steps).tolist()
        names = ["gradient_norm", *(f"gradient_norm/{name}" for name in self._groups)]
        logs.update(zip(names, means, strict=True))
        self._reset()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._remove()

    def _remove(self) -> None:
        if self._hook is not None:
            self._hook.remove()
        self._hook = None

    def _layers(self) -> dict[str, list[int]]:
        """The layers and where the optimizer has their own parameters."""
        if not self.per_layer:
            return {}
        at = {id(weight): index for index, weight in enumerate(weights(self._optimizer))}
        owned = {
            name: [at[id(weight)] for weight in part.parameters(recurse=False) if id(weight) in at]
            for name, part in self.model.named_modules()
            if name
        }
        return {name: places for name, places in owned.items() if places}

    @torch.no_grad()
    def _measure(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        if optimizer is not self._optimizer:
            return
        each = _norms([weight.grad for weight in weights(optimizer)], self.norm_type)
        parts = [each, *([each[index] for index in places] for places in self._groups.values())]
        found = torch.stack([torch.linalg.vector_norm(torch.stack(part), self.norm_type) for part in parts])
        self._sums = found if self._sums is None else self._sums.to(found.device) + found
        self._steps += 1


def _norms(gradients: list[Tensor | None], norm_type: float) -> list[Tensor]:
    """The norm of each, zero where there is none, in float64 where the device has it."""
    by_type: dict[torch.dtype, list[int]] = {}
    flat = [None if one is None else _dense(one) for one in gradients]
    for index, one in enumerate(flat):
        if one is not None and one.numel():
            by_type.setdefault(one.dtype, []).append(index)
    device = next((one.device for one in flat if one is not None), torch.device("cpu"))
    exact = torch.float32 if device.type == "mps" else torch.float64
    found = [torch.zeros((), dtype=exact, device=device)] * len(flat)
    for dtype, places in by_type.items():
        same = [one for one in map(flat.__getitem__, places) if one is not None]
        some = torch._foreach_norm(same, norm_type, torch.promote_types(dtype, torch.float32))
        for at, norm in zip(places, torch.stack([one.to(device) for one in some]).to(exact), strict=True):
            found[at] = norm
    return found


def _dense(gradient: Tensor) -> Tensor:
    """The numbers of a gradient that may be sparse or complex."""
    if gradient.is_sparse:
        gradient = gradient.coalesce().values()
    return torch.view_as_real(gradient) if gradient.is_complex() else gradient
