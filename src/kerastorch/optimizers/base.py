"""What an optimizer under a Keras name is: settings that, given parameters, become a `torch.optim` optimizer."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_float, check_int
from kerastorch.core.representation import represent
from kerastorch.core.serialization import Configurable
from kerastorch.optimizers.learning_rate import with_learning_rate

TorchOptimizer = torch.optim.Optimizer

# of the arguments of all optimizers, where they have them
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


@dataclass(eq=False, repr=False)
class Optimizer(Configurable):
    """Base of the optimizers: call it with parameters to get the `torch.optim` optimizer it stands for.

    It takes torch's fused kernel if there is one. Sparse gradients (`nn.Embedding(sparse=True)`) have none: `fit` does
    without it then, in a loop of your own set `group["fused"] = False`. Under `torch.amp.GradScaler` clipping sees
    unscaled gradients, and a step that the scaler skips changes nothing.

    Args:
        learning_rate: step size, > 0.
        weight_decay: decoupled, as in Keras: before each step a weight loses `learning_rate * weight_decay` of itself.
        clipnorm: each gradient is scaled down to this norm.
        clipvalue: each element of a gradient is clipped to `-clipvalue..clipvalue`.
        global_clipnorm: all gradients together are scaled down to this norm.
        use_ema: keep a moving average of the weights; it replaces them when `fit` ends.
        ema_momentum: how much of the average each step keeps.
        ema_overwrite_frequency: replace the weights by the average every so many steps.
        loss_scale_factor: `fit` multiplies the loss by it and divides the gradients by it.
        gradient_accumulation_steps: `fit` steps once in so many batches, on the mean of their gradients. Those of
            the last batches wait for the next `fit` or `train_on_batch`, as in Keras.
        name: for messages.
    """

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
                check_float(key, value, **bounds)
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
        """What `torch.optim` calls these settings, without the learning rate."""
        return {}

    def __call__(self, params: Iterable[Any]) -> TorchOptimizer:
        """The `torch.optim` optimizer over `params`; clipping, weight decay and averaging hang on it as step hooks."""
        if self.gradient_accumulation_steps or self.loss_scale_factor:
            raise ValueError(
                f"{self.name}: gradient_accumulation_steps and loss_scale_factor are kept by fit(); "
                "in your own loop step every n batches and scale the loss there."
            )
        return self.build(params)

    def build(self, params: Iterable[Any]) -> TorchOptimizer:
        """As calling it, for a caller that accumulates and scales by itself."""
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
    """The optimizer with torch's fused kernel where it has one for these parameters, else its foreach kernel."""
    kind = with_learning_rate(kind)
    params = [{**group, "params": _listed(group["params"])} if isinstance(group, dict) else group for group in params]
    known = inspect.signature(kind).parameters
    tensors = [tensor for group in params for tensor in (group["params"] if isinstance(group, dict) else [group])]
    tensors = [tensor[1] if isinstance(tensor, tuple) else tensor for tensor in tensors]
    if "fused" in known and is_fusable(tensors):
        try:
            return kind(params, **arguments, fused=True)  # type: ignore[call-arg]
        except RuntimeError:  # a device without the kernel
            pass
    if "foreach" in known and all(tensor.is_floating_point() for tensor in tensors):
        return kind(params, **arguments, foreach=True)  # type: ignore[call-arg]
    return kind(params, **arguments)


def is_fusable(tensors: Iterable[Tensor]) -> bool:
    """Whether torch's fused kernels, where it has them, take these parameters."""
    return all(tensor.is_floating_point() and tensor.device.type in ("cpu", "cuda", "mps") for tensor in tensors)


def _let_scalers_unscale(optimizer: TorchOptimizer) -> None:
    """Have `torch.amp.GradScaler` divide gradients before the step, and leave a step out that it skips.

    For a fused kernel a scaler leaves both to the kernel, and calls `step` in any case: step hooks would see scaled
    gradients, and act in skipped steps. SGD's kernel leaves its momentum uninitialised if the first step is skipped.
    The cost is that the scaler looks at the device before each step.
    """
    hooked = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    if hooked or any(group.get("momentum") for group in optimizer.param_groups):
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # of fused ones, where it is True


def _listed(params: Any) -> list[Any]:
    return [params] if isinstance(params, Tensor) else list(params)


def _gradients(optimizer: TorchOptimizer) -> list[Tensor]:
    return [weight.grad for weight in weights(optimizer) if weight.grad is not None]


def weights(optimizer: TorchOptimizer) -> list[Tensor]:
    """All parameters an optimizer holds."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


class Clip:
    """Step hook: clip gradients as Keras' `clipnorm`, `clipvalue` or `global_clipnorm` does."""

    def __init__(self, how: str, limit: float) -> None:
        self.how, self.limit = how, limit

    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        if not _gradients(optimizer):
            return
        if self.how == "clipvalue":
            nn.utils.clip_grad_value_(weights(optimizer), self.limit)
        elif self.how == "global_clipnorm":
            nn.utils.clip_grad_norm_(weights(optimizer), self.limit)
        else:
            gradients = _gradients(optimizer)
            norms = torch._foreach_norm(gradients)
            torch._foreach_mul_(gradients, [self.limit / norm.clamp(min=self.limit) for norm in norms])


class Decay:
    """Step hook: decoupled weight decay, before the step."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    @torch.no_grad()
    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        for group in optimizer.param_groups:
            learning = [weight for weight in group["params"] if weight.grad is not None]
            if learning:
                torch._foreach_mul_(learning, 1 - group["lr"] * self.rate)


class Average:
    """Step hook: an exponential moving average of the weights, kept in the optimizer's state as `'ema'`."""

    def __init__(self, momentum: float, every: int | None) -> None:
        self.momentum, self.every = momentum, every

    @torch.no_grad()
    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        first = optimizer.param_groups[0]
        first["ema_steps"] = steps = first.get("ema_steps", 0) + 1  # there, so that a state_dict has it
        for weight in weights(optimizer):
            state = optimizer.state.get(weight, {})
            if not state and weight.grad is None:
                continue  # its optimizer state is yet to be made; until then the weight stands still
            state = optimizer.state[weight]
            if "ema" not in state:
                state["ema"] = weight.detach().clone()
            else:
                state["ema"].lerp_(weight, 1 - self.momentum)
            if self.every and steps % self.every == 0:
                weight.copy_(state["ema"])


@torch.no_grad()
def overwrite_by_average(optimizer: TorchOptimizer) -> None:
    """Replace the weights by their moving average, where one is kept."""
    for weight, state in optimizer.state.items():
        if "ema" in state:
            weight.copy_(state["ema"])


def unfuse_beginners(optimizer: TorchOptimizer) -> None:
    """Leave the fused kernel where weights that begin to learn now stand beside others: SGD's fails on that."""
    for group in optimizer.param_groups:
        if group.get("fused") and group.get("momentum"):
            learning = [optimizer.state.get(weight, {}) for weight in group["params"] if weight.requires_grad]
            begun = {state.get("momentum_buffer") is not None for state in learning}
            if len(begun) == 2:
                group["fused"] = False
