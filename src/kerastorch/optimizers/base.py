"""Optimizer: settings under Keras' names that make a `torch.optim` optimizer, and its step hooks."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from kerastorch.core.distributed_tensors import has_one_mesh, is_distributed_tensor
from kerastorch.core.errors import check_float
from kerastorch.optimizers.learning_rate import with_learning_rate
from kerastorch.optimizers.parameter_groups import ExceptBiasAndNorm, ParameterGroup, check_patterns, group_parameters
from kerastorch.optimizers.scheduled_rate import first_rate, register_schedules, with_first_rates
from kerastorch.optimizers.schedules.base import LearningRateSchedule
from kerastorch.optimizers.step_hooks import Decay
from kerastorch.optimizers.step_options import StepOptions

TorchOptimizer = torch.optim.Optimizer
Rate: TypeAlias = "float | Mapping[str, float]"  # a mapping is by pattern of parameter names
LearningRates: TypeAlias = "float | LearningRateSchedule | Mapping[str, float | LearningRateSchedule]"

# bounds of the arguments of all optimizers
_BOUNDS: dict[str, dict[str, Any]] = {
    "learning_rate": {"least": 0},
    "weight_decay": {"least": 0},
    "momentum": {"least": 0, "most": 1},
    "rho": {"least": 0, "most": 1},
    "beta_1": {"least": 0, "below": 1},
    "beta_2": {"least": 0, "below": 1},
    "epsilon": {"least": 0},
    "initial_accumulator_value": {"least": 0},
}
_SCHEDULE_ADVICE = (
    "Schedules are those of optimizers.schedules, or subclasses of their LearningRateSchedule; schedulers of torch are "
    "callbacks: callbacks.LRScheduler."
)
_PARAMETERS_ADVICE = (
    "It takes no parameters: those of the model are found by compile. Write compile(optimizers.{name}(1e-3), ...); "
    "torch.optim.{name}(model.parameters()) is an optimizer, too."
)


@dataclass(eq=False, repr=False)
class Optimizer(StepOptions):
    """Base of the optimizers: settings that make a `torch.optim` optimizer.

    Calling an instance with parameters returns the `torch.optim` optimizer.

    The optimizer uses torch's fused kernel if there is one for its parameters. Fused kernels do not support sparse
    gradients (`nn.Embedding(sparse=True)`): `fit` turns them off for these; in a loop of your own set
    `group["fused"] = False`. Under `torch.amp.GradScaler` gradients are unscaled before they are clipped, and a step
    that the scaler skips changes nothing.

    Args:
        learning_rate: Step size, >= 0, or a schedule of `optimizers.schedules`, which sets it before each step. A dict
            gives parts of the model different rates: pattern of parameter names -> rate or schedule, such as
            `{"backbone.*": 1e-5, "*": 1e-3}`. A pattern has the wildcards of file names, or is the name of a layer; the
            first pattern that matches a parameter counts.
        weight_decay: Decoupled weight decay, as in Keras: before each step `learning_rate * weight_decay` times the
            weight is subtracted from it. A dict is by pattern, as for `learning_rate`; parameters that no pattern
            matches do not decay. `ExceptBiasAndNorm(0.01)` is for all others but biases and normalization layers.
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
        "decay": "A rate that changes is a schedule: learning_rate=optimizers.schedules.InverseTimeDecay(...).",
        "eps": "Its name is epsilon.",
        "betas": "Their names are beta_1 and beta_2.",
        "params": "compile() gives the optimizer the parameters; in a loop of your own call it: Adam()(parameters).",
    }
    kind: ClassVar[type[TorchOptimizer]]

    learning_rate: LearningRates = 0.001
    weight_decay: Rate | ExceptBiasAndNorm | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, bounds in _BOUNDS.items():
            value = getattr(self, key, None)
            if isinstance(value, ExceptBiasAndNorm):
                value = value.weight_decay
            if isinstance(value, Mapping):
                check_patterns(key, value)
            for one in value.values() if isinstance(value, Mapping) else [value]:
                if one is not None and not (key == "learning_rate" and isinstance(one, LearningRateSchedule)):
                    check_float(key, one, **bounds, advice=self._rate_advice(one) if key == "learning_rate" else "")
        self._undecayed: list[Tensor] = []

    def _rate_advice(self, given: Any) -> str:
        """Return what to write in place of a learning rate that is none."""
        items = given if isinstance(given, (list, tuple)) else []
        is_parameters = isinstance(given, (nn.Module, Generator)) or any(isinstance(one, nn.Parameter) for one in items)
        if is_parameters:
            return _PARAMETERS_ADVICE.format(name=type(self).__name__)
        return _SCHEDULE_ADVICE if callable(given) or hasattr(given, "step") else ""

    def exclude_from_weight_decay(
        self, var_list: Iterable[Tensor] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Let parameters keep their size: `weight_decay` does not apply to them.

        Call it before the optimizer is built. `weight_decay={"*.weight": 0.01}` says
        the same as an argument.

        Args:
            var_list: Parameters that do not decay.
            var_names: Texts; parameters whose names contain one of them do not decay.

        >>> optimizer = Optimizer(0.1, weight_decay=0.01)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        >>> optimizer.weight_decay
        {'*bias*': 0.0, '*': 0.01}
        """
        self._undecayed += var_list or ()
        names = [var_names] if isinstance(var_names, str) else list(var_names or ())
        if names:
            excepts_vectors = isinstance(self.weight_decay, ExceptBiasAndNorm)
            decay: Any = self.weight_decay.weight_decay if excepts_vectors else self.weight_decay  # type: ignore[union-attr]
            rest = dict(decay) if isinstance(decay, Mapping) else {"*": decay or 0.0}
            found = {f"*{name}*": 0.0 for name in names} | rest
            self.weight_decay = ExceptBiasAndNorm(found) if excepts_vectors else found

    def get_config(self) -> dict[str, Any]:
        if self._undecayed:
            raise TypeError(f"{self.name}: exclude_from_weight_decay(var_list=...) holds tensors; give var_names.")
        return super().get_config()

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of the `torch.optim` class, without the learning rate."""
        return {}

    def build(self, params: Iterable[Any]) -> TorchOptimizer:
        params = list(params)
        arguments = self.arguments()
        decays_itself = "weight_decay" in arguments
        if not self.is_grouped:
            params, rates = with_first_rates(params, self.learning_rate)
            built = with_kernel(self.kind, params, lr=first_rate(self.learning_rate), **arguments)
        else:
            divided = self.group(named_parameters(params, type(self).__name__))
            rates = [group.rate for group in divided]
            groups = [
                {"params": group.params, "lr": first_rate(group.rate), "name": group.name}
                | {"weight_decay" if decays_itself else "decay_rate": group.decay, **group.options}
                for group in divided
            ]
            default = {"weight_decay": 0.0} if decays_itself else {}
            built = with_kernel(self.kind, groups, lr=groups[0]["lr"], **(arguments | default))
        register_schedules(built, rates)
        self.register_clipping(built)
        if self.weight_decay and not decays_itself:
            built.register_step_pre_hook(Decay(0.0 if self.is_grouped else self.weight_decay))  # type: ignore[arg-type]
        self.register_average(built)
        return built

    @property
    def is_grouped(self) -> bool:
        by_name = isinstance(self.weight_decay, (Mapping, ExceptBiasAndNorm))
        return isinstance(self.learning_rate, Mapping) or by_name or bool(self._undecayed)

    def group(self, named: Mapping[str, Tensor]) -> list[ParameterGroup]:
        excluded = {id(one) for one in self._undecayed}
        undecayed = {name for name, one in named.items() if id(one) in excluded}
        return group_parameters(named, self.learning_rate, self.weight_decay, undecayed)


def named_parameters(params: Iterable[Any], owner: str) -> dict[str, Tensor]:
    """Return `(name, parameter)` pairs as a dict.

    Args:
        params: The pairs.
        owner: Who needs the names, for the message.

    Raises:
        ValueError: They have no names.
    """
    params = list(params)
    if not all(isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) for one in params):
        raise ValueError(f"{owner} has patterns of parameter names: call it with model.named_parameters().")
    return dict(params)


def with_kernel(kind: type[TorchOptimizer], params: Iterable[Any], **arguments: Any) -> TorchOptimizer:
    """Return a `torch.optim` optimizer with its fused kernel, else its foreach kernel.

    The fused kernel is used if the class has one and it supports the parameters. If some of them are plain and others
    belong to several processes, torch has no kernel for all of them, and they are updated one after the other.

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
    if not has_one_mesh(tensors):
        one_by_one: dict[str, Any] = {"foreach": False} if "foreach" in known else {}
        return kind(params, **arguments, **one_by_one)
    if "fused" in known and is_fusable(tensors) and (issubclass(kind, _FUSED_ON_MESHES) or not _on_mesh(tensors)):
        try:
            return kind(params, **arguments, fused=True)  # type: ignore[call-arg]
        except RuntimeError:  # the device has no such kernel
            pass
    if "foreach" in known and all(tensor.is_floating_point() for tensor in tensors):
        return kind(params, **arguments, foreach=True)  # type: ignore[call-arg]
    return kind(params, **arguments)


# the classes whose fused kernels torch has for tensors of several processes, too
_FUSED_ON_MESHES = (torch.optim.Adam, torch.optim.AdamW)


def _on_mesh(tensors: Iterable[Tensor]) -> bool:
    return any(map(is_distributed_tensor, tensors))


def is_fusable(tensors: Iterable[Tensor]) -> bool:
    """Return whether torch's fused kernels support these parameters."""
    return all(tensor.is_floating_point() and tensor.device.type in ("cpu", "cuda", "mps") for tensor in tensors)


def _to_list(params: Any) -> list[Any]:
    return [params] if isinstance(params, Tensor) else list(params)
