"""Optimizer: settings under Keras' names that make a `torch.optim` optimizer, and its step hooks."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_float, check_int
from kerastorch.core.representation import represent
from kerastorch.core.serialization import Configurable
from kerastorch.core.torch_private import (
    foreach_mul_,
    foreach_norm,
    has_step_hooks,
    unscale_before_step,
)
from kerastorch.optimizers.learning_rate import with_learning_rate

TorchOptimizer = torch.optim.Optimizer

# bounds of the arguments of all optimizers
_BOUNDS: dict[str, dict[str, Any]] = {
    "learning_rate": {"above": 0},
    "weight_decay": {"least": 0},
    "clipnorm": {"above": 0},
    "clipvalue": {"above": 0},
    "global_clipnorm": {"above": 0},
    "ema_momentum": {"least": 0, "most": 1},
    "loss_scale_factor": {"above": 0},
    "momentum": {"least": 0, "most": 1},
    "rho": {"least": 0, "most": 1},
    "beta_1": {"least": 0, "below": 1},
    "beta_2": {"least": 0, "below": 1},
    "epsilon": {"least": 0},
    "initial_accumulator_value": {"least": 0},
}
_SCHEDULE_ADVICE = "A schedule is a callback: LearningRateScheduler, or LRScheduler for those of torch."


@dataclass(eq=False, repr=False)
class Optimizer(Configurable):
    """Base of the optimizers: settings that make a `torch.optim` optimizer.

    Calling an instance with parameters returns the `torch.optim` optimizer.

    The optimizer uses torch's fused kernel if there is one for its parameters. Fused kernels do not support sparse
    gradients (`nn.Embedding(sparse=True)`): `fit` turns them off for these; in a loop of your own set
    `group["fused"] = False`. Under `torch.amp.GradScaler` gradients are unscaled before they are clipped, and a step
    that the scaler skips changes nothing.

    Args:
        learning_rate: Step size, > 0.
        weight_decay: Decoupled weight decay, as in Keras: before each step `learning_rate * weight_decay` times the
            weight is subtracted from it.
        clipnorm: Largest norm of each gradient; a gradient with a larger norm is scaled down to it.
        clipvalue: Each element of a gradient is clipped to `-clipvalue..clipvalue`.
        global_clipnorm: Largest norm of all gradients together.
        use_ema: Whether to compute an exponential moving average of the weights, which replaces them when `fit` ends.
        ema_momentum: Momentum of that average: after each step it is `momentum * average + (1 - momentum) * weight`.
        ema_overwrite_frequency: Number of steps after which the average replaces the weights, again and again.
            Default: only when `fit` ends.
        loss_scale_factor: Factor by which `fit` multiplies the loss and divides the gradients.
        gradient_accumulation_steps: Number of batches, >= 2, after which `fit` makes one step, on the mean of their
            gradients. Gradients of the remaining batches are used in the next `fit` or `train_on_batch`, as in Keras.
        name: Name for error messages. Default: that of the class.

    Raises:
        ValueError: An argument is out of its bounds, or has no effect without another.
    """

    keyword_advice: ClassVar[Mapping[str, str]] = {
        "lr": "Its name is learning_rate.",
        "decay": "A rate that changes is a callback: LearningRateScheduler, or LRScheduler for schedules of torch.",
        "eps": "Its name is epsilon.",
        "betas": "Their names are beta_1 and beta_2.",
        "params": "compile() gives the optimizer the parameters; in a loop of your own call it: Adam()(parameters).",
    }
    kind: ClassVar[type[TorchOptimizer]]

    learning_rate: float = 0.001
    weight_decay: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float = field(default=0.99, kw_only=True)
    ema_overwrite_frequency: int | None = field(default=None, kw_only=True)
    loss_scale_factor: float | None = field(default=None, kw_only=True)
    gradient_accumulation_steps: int | None = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for key, bounds in _BOUNDS.items():
            value = getattr(self, key, None)
            if value is not None:
                is_schedule = key == "learning_rate" and (callable(value) or hasattr(value, "step"))
                check_float(key, value, **bounds, advice=_SCHEDULE_ADVICE if is_schedule else "")
        for key, least in (("ema_overwrite_frequency", 1), ("gradient_accumulation_steps", 2)):
            if getattr(self, key) is not None:
                check_int(key, getattr(self, key), least)
        if len(self._clips()) > 1:
            raise ValueError(f"pass one of clipnorm, clipvalue and global_clipnorm, got {' and '.join(self._clips())}.")
        if self.ema_overwrite_frequency is not None and not self.use_ema:
            raise ValueError("ema_overwrite_frequency does nothing without use_ema=True.")
        self.name = self.name or type(self).__name__

    def __repr__(self) -> str:
        return represent(self, always=("learning_rate",), name=type(self).__name__)

    def _clips(self) -> dict[str, float]:
        clips = {key: getattr(self, key) for key in ("clipnorm", "clipvalue", "global_clipnorm")}
        return {key: value for key, value in clips.items() if value is not None}

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of the `torch.optim` class, without the learning rate."""
        return {}

    def __call__(self, params: Iterable[Any]) -> TorchOptimizer:
        """Return a `torch.optim` optimizer of `params`.

        Clipping, weight decay and averaging are step hooks of that optimizer.

        Raises:
            ValueError: The settings include `gradient_accumulation_steps` or `loss_scale_factor`, which need `fit`.
        """
        if self.gradient_accumulation_steps or self.loss_scale_factor:
            raise ValueError(
                f"{self.name}: gradient_accumulation_steps and loss_scale_factor are kept by fit(); "
                "in your own loop step every n batches and scale the loss there."
            )
        return self.build(params)

    def build(self, params: Iterable[Any]) -> TorchOptimizer:
        """Return the optimizer for callers with their own gradient accumulation and loss scaling."""
        built = with_kernel(self.kind, params, lr=self.learning_rate, **self.arguments())
        for how, limit in self._clips().items():
            built.register_step_pre_hook(Clip(how, limit))
        if self.weight_decay and "weight_decay" not in self.arguments():
            built.register_step_pre_hook(Decay(self.weight_decay))
        if self.use_ema:
            built.register_step_post_hook(Average(self.ema_momentum, self.ema_overwrite_frequency))
        _let_scalers_unscale(built)
        return built


def with_kernel(kind: type[TorchOptimizer], params: Iterable[Any], **arguments: Any) -> TorchOptimizer:
    """Return a `torch.optim` optimizer with its fused kernel, else its foreach kernel.

    The fused kernel is used if the class has one and it supports the parameters.

    Args:
        kind: Class of the optimizer.
        params: Parameters, `(name, parameter)` pairs, or dicts of parameter groups.
        **arguments: Keyword arguments of the class.
    """
    kind = with_learning_rate(kind)
    params = [{**group, "params": _to_list(group["params"])} if isinstance(group, dict) else group for group in params]
    known = inspect.signature(kind).parameters
    tensors = [tensor for group in params for tensor in (group["params"] if isinstance(group, dict) else [group])]
    tensors = [tensor[1] if isinstance(tensor, tuple) else tensor for tensor in tensors]
    if "fused" in known and is_fusable(tensors):
        try:
            return kind(params, **arguments, fused=True)  # type: ignore[call-arg]
        except RuntimeError:  # the device has no such kernel
            pass
    if "foreach" in known and all(tensor.is_floating_point() for tensor in tensors):
        return kind(params, **arguments, foreach=True)  # type: ignore[call-arg]
    return kind(params, **arguments)


def is_fusable(tensors: Iterable[Tensor]) -> bool:
    """Return whether torch's fused kernels support these parameters."""
    return all(tensor.is_floating_point() and tensor.device.type in ("cpu", "cuda", "mps") for tensor in tensors)


def _let_scalers_unscale(optimizer: TorchOptimizer) -> None:
    """Make `torch.amp.GradScaler` unscale gradients before the step and skip steps itself.

    By default a scaler leaves both to a fused kernel and always calls `step`: step hooks would see scaled gradients and
    run in skipped steps, and SGD's kernel would leave its momentum uninitialised if the first step is skipped. The cost
    is one device synchronisation before each step.
    """
    if has_step_hooks(optimizer) or any(group.get("momentum") for group in optimizer.param_groups):
        unscale_before_step(optimizer)


def _to_list(params: Any) -> list[Any]:
    return [params] if isinstance(params, Tensor) else list(params)


def _gradients(optimizer: TorchOptimizer) -> list[Tensor]:
    return [weight.grad for weight in optimizer_parameters(optimizer) if weight.grad is not None]


def optimizer_parameters(optimizer: TorchOptimizer) -> list[Tensor]:
    """Return the parameters of all groups of an optimizer, in their order."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


class Clip:
    """Hook before a step that clips the gradients, as in Keras.

    Args:
        how: `'clipnorm'`, `'clipvalue'` or `'global_clipnorm'`.
        limit: The largest norm or absolute value.
    """

    def __init__(self, how: str, limit: float) -> None:
        self.how, self.limit = how, limit

    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        if not _gradients(optimizer):
            return
        if self.how == "clipvalue":
            nn.utils.clip_grad_value_(optimizer_parameters(optimizer), self.limit)
        elif self.how == "global_clipnorm":
            nn.utils.clip_grad_norm_(optimizer_parameters(optimizer), self.limit)
        else:
            gradients = _gradients(optimizer)
            norms = foreach_norm(gradients)
            foreach_mul_(gradients, [self.limit / norm.clamp(min=self.limit) for norm in norms])


class Decay:
    """Hook before a step that applies decoupled weight decay to weights with a gradient.

    Args:
        rate: A weight is multiplied by `1 - learning_rate * rate`.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    @torch.no_grad()
    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        for group in optimizer.param_groups:
            updated = [weight for weight in group["params"] if weight.grad is not None]
            if updated:
                foreach_mul_(updated, 1 - group["lr"] * self.rate)


class Average:
    """Hook after a step that updates an exponential moving average of the weights.

    The average is the entry `'ema'` of the optimizer's state; the number of steps is `'ema_steps'` of its first group.

    Args:
        momentum: The average becomes `momentum * average + (1 - momentum) * weight`.
        every: Number of steps after which the average replaces the weights; `None` for never.
    """

    def __init__(self, momentum: float, every: int | None) -> None:
        self.momentum, self.every = momentum, every

    @torch.no_grad()
    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        first = optimizer.param_groups[0]
        first["ema_steps"] = steps = first.get("ema_steps", 0) + 1  # in a group, so that it is in the state_dict
        for weight in optimizer_parameters(optimizer):
            state = optimizer.state.get(weight, {})
            if not state and weight.grad is None:
                continue  # the weight has not been updated; torch makes its state at its first step
            state = optimizer.state[weight]
            if "ema" not in state:
                state["ema"] = weight.detach().clone()
            else:
                state["ema"].lerp_(weight, 1 - self.momentum)
            if self.every and steps % self.every == 0:
                weight.copy_(state["ema"])


@torch.no_grad()
def overwrite_with_average(optimizer: TorchOptimizer) -> None:
    """Replace each weight by its moving average, if it has one."""
    for weight, state in optimizer.state.items():
        if "ema" in state:
            weight.copy_(state["ema"])


def unfuse_partly_trained_groups(optimizer: TorchOptimizer) -> None:
    """Turn the fused kernel off for groups in which only some weights have a momentum buffer.

    This happens if weights are unfrozen after a step; the fused kernel of SGD fails on such a group.
    """
    for group in optimizer.param_groups:
        if group.get("fused") and group.get("momentum"):
            states = [optimizer.state.get(weight, {}) for weight in group["params"] if weight.requires_grad]
            if len({state.get("momentum_buffer") is not None for state in states}) == 2:
                group["fused"] = False
