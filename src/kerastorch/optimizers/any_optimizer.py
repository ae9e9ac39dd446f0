"""Torch: any optimizer of torch or another package, with Keras' options of a step."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Self

from torch import Tensor

from kerastorch.core.errors import check_float, suggest
from kerastorch.core.name_lookup import public_name
from kerastorch.core.ownership import is_from
from kerastorch.core.serialization import decode, encode
from kerastorch.core.torch_optimizer_private import ensure_step_hooks, step_post_hooks, step_pre_hooks
from kerastorch.optimizers.base import named_parameters, with_kernel
from kerastorch.optimizers.learning_rate import with_learning_rate
from kerastorch.optimizers.parameter_groups import ExceptBiasAndNorm, ParameterGroup, check_patterns, group_parameters
from kerastorch.optimizers.scheduled_rate import first_rate, register_schedules, with_first_rates
from kerastorch.optimizers.schedules.base import LearningRateSchedule
from kerastorch.optimizers.step_hooks import Average, Clip, TorchOptimizer
from kerastorch.optimizers.step_options import StepOptions

_BY_PATTERN = ("lr", "weight_decay")


class Torch(StepOptions):
    """Give any optimizer of torch, or of a package that follows it, Keras' options of a step.

    The arguments of the optimizer keep the names and the meaning that they have in its class: `lr`, and `weight_decay`
    as torch defines it. Both may be dicts by pattern of parameter names, as `learning_rate` of `Adam` may.

    Args:
        optimizer: A class such as `torch.optim.SGD`, a `functools.partial` of it, a function of parameters, or an
            optimizer that holds the model's parameters already.
        clipnorm: Largest norm of each gradient; a gradient with a larger norm is scaled down to it.
        clipvalue: Each element of a gradient is clipped to `-clipvalue..clipvalue`.
        global_clipnorm: Largest norm of all gradients together.
        use_ema: Whether to compute an exponential moving average of the weights, which replaces them when `fit` ends.
        ema_momentum: Momentum of that average.
        ema_overwrite_frequency: Number of steps after which the average replaces the weights, again and again.
            Default: only when `fit` ends.
        loss_scale_factor: Factor by which `fit` multiplies the loss and divides the gradients.
        gradient_accumulation_steps: Number of batches, >= 2, after which `fit` makes one step, on the mean of their
            gradients.
        name: Name for error messages. Default: that of the optimizer's class.
        **arguments: Arguments of the class, such as `lr` and `momentum`.

    Raises:
        TypeError: The class has no such argument, or an optimizer that exists already is given arguments.
        ValueError: An argument is out of its bounds, or has no effect without another.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = Torch(torch.optim.SGD, lr=0.1, clipnorm=1.0)([weight])
    >>> (10 * weight).sum().backward()  # a gradient of 10, clipped to 1
    >>> optimizer.step()
    >>> weight.data
    tensor([0.9000])
    """

    def __init__(
        self,
        optimizer: Any,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **arguments: Any,
    ) -> None:
        _check_maker(optimizer, arguments)
        self.optimizer, self.arguments = optimizer, arguments
        is_instance = isinstance(optimizer, TorchOptimizer)
        super().__init__(
            clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm, use_ema=use_ema,
            ema_momentum=ema_momentum, ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor, gradient_accumulation_steps=gradient_accumulation_steps,
            name=name or (type(optimizer).__name__ if is_instance else public_name(optimizer)),
        )  # fmt: skip
        for argument in _BY_PATTERN:
            value = arguments.get(argument)
            value = value.weight_decay if isinstance(value, ExceptBiasAndNorm) else value
            if isinstance(value, Mapping):
                check_patterns(argument, value)
                for one in value.values():
                    if not (argument == "lr" and isinstance(one, LearningRateSchedule)):
                        check_float(argument, one, least=0)

    def __repr__(self) -> str:
        options = {key: getattr(self, key) for key in _OPTIONS}
        changed = {key: value for key, value in options.items() if value != _DEFAULTS[key]}
        shown = self.optimizer if isinstance(self.optimizer, functools.partial) else self.name
        return f"Torch({', '.join([str(shown), *(f'{key}={v!r}' for key, v in (self.arguments | changed).items())])})"

    def get_config(self) -> dict[str, Any]:
        options = {key: encode(getattr(self, key)) for key in (*_OPTIONS, "name")}
        return {"optimizer": encode(self.optimizer), "arguments": encode(self.arguments), **options}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Create settings from what `get_config` returned."""
        decoded = {key: decode(value) for key, value in config.items()}
        return cls(**decoded.pop("arguments"), **decoded)

    @property
    def existing(self) -> TorchOptimizer | None:
        """Return the optimizer that was given with its parameters, if it was, with the hooks of these options."""
        if not isinstance(self.optimizer, TorchOptimizer):
            return None
        ensure_step_hooks(self.optimizer)
        for hooks in (step_pre_hooks(self.optimizer), step_post_hooks(self.optimizer)):
            for key in [key for key, hook in hooks.items() if isinstance(hook, (Clip, Average))]:
                del hooks[key]  # type: ignore[attr-defined]  # of options that it had before
        return self._with_hooks(self.optimizer)

    @property
    def is_grouped(self) -> bool:
        return any(isinstance(self.arguments.get(argument), (Mapping, ExceptBiasAndNorm)) for argument in _BY_PATTERN)

    def group(self, named: Mapping[str, Tensor]) -> list[ParameterGroup]:
        return group_parameters(named, self.arguments.get("lr"), self.arguments.get("weight_decay"))

    def build(self, params: Iterable[Any]) -> TorchOptimizer:
        if (existing := self.existing) is not None:
            return existing
        params, arguments = list(params), dict(self.arguments)
        if self.is_grouped:
            groups = self.group(named_parameters(params, f"Torch({self.name})"))
            params = []
            for group in groups:
                options = {"lr": group.rate, "weight_decay": group.decay}
                by_group = {key: first_rate(value) for key, value in options.items() if key in arguments}
                params.append({"params": group.params, "name": group.name, **by_group})
            arguments = {
                key: value for key, value in arguments.items() if not isinstance(value, (Mapping, ExceptBiasAndNorm))
            }
            rates = [group.rate for group in groups]
            if "lr" in self.arguments:
                arguments["lr"] = groups[0].rate
        else:
            params, rates = with_first_rates(params, arguments.get("lr"))
        if "lr" in arguments:
            arguments["lr"] = first_rate(arguments["lr"])
        made = _make(self.optimizer, params, arguments)
        if not isinstance(made, TorchOptimizer):
            raise TypeError(f"optimizer: {self.name} must make a torch.optim optimizer, got {type(made).__name__}.")
        ensure_step_hooks(made)
        register_schedules(made, rates)
        return self._with_hooks(made)

    def _with_hooks(self, optimizer: TorchOptimizer) -> TorchOptimizer:
        ensure_step_hooks(optimizer)
        self.register_clipping(optimizer)
        self.register_average(optimizer)
        return optimizer


def _make(maker: Any, params: list[Any], arguments: Mapping[str, Any]) -> Any:
    """Return an optimizer of parameters; one of torch's classes gets its fastest kernel and `learning_rate`."""
    given = dict(arguments)
    while isinstance(maker, functools.partial) and not maker.args:
        given = {**maker.keywords, **given}
        maker = maker.func
    if not (isinstance(maker, type) and issubclass(maker, TorchOptimizer)):
        return maker(params, **given)
    if {"fused", "foreach"} & given.keys() or not is_from(maker, "torch.optim"):
        kind: Any = with_learning_rate(maker)
        return kind(params, **given)
    return with_kernel(maker, params, **given)


def _check_maker(maker: Any, arguments: Mapping[str, Any]) -> None:
    """Check that something makes an optimizer, and takes these arguments.

    Raises:
        TypeError: It does not.
    """
    if isinstance(maker, TorchOptimizer):
        if arguments:
            raise TypeError(
                f"Torch: {type(maker).__name__} exists already; give its arguments ({', '.join(arguments)}) where "
                "it is made, or pass the class."
            )
        return
    if isinstance(maker, (str, StepOptions)) or not callable(maker):
        raise TypeError(
            f"Torch needs a class such as torch.optim.SGD, a partial of it, a function of parameters, or an optimizer, "
            f"got {maker!r}."
        )
    try:
        known = inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for name in arguments:
        if name not in known:
            advice = " Its name is lr." if name == "learning_rate" and "lr" in known else suggest(name, known)
            raise TypeError(f"{public_name(maker)} has no argument {name!r}.{advice}")


_OPTIONS = (
    "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
    "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip
_DEFAULTS: dict[str, Any] = dict.fromkeys(_OPTIONS, None) | {"use_ema": False, "ema_momentum": 0.99}
