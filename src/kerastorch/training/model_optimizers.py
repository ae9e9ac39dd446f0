"""ModelOptimizers: the optimizers of a model, made of what `compile` was given once the model has its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.checkpoint.foreign_optimizer_state import inner_optimizers
from kerastorch.checkpoint.optimizer_state import (
    capture_optimizers,
    find_optimizers,
    parameter_names,
    restore_optimizers,
)
from kerastorch.core.errors import warn
from kerastorch.core.module_tree import is_built, modules
from kerastorch.core.torch_optimizer_private import ensure_step_hooks
from kerastorch.distribution.gradient_sync import NO_SYNC, NoGradientSync
from kerastorch.distribution.replaced_weights import refuse_steps
from kerastorch.optimizers.learning_rate import IgnoredRateCheck, make_rate_check
from kerastorch.optimizers.parameter_groups import ParameterName, first_matches
from kerastorch.optimizers.registry import create_optimizer, exchange_parameters, replace_parameters
from kerastorch.optimizers.step_hooks import TorchOptimizer, optimizer_parameters
from kerastorch.optimizers.step_options import StepOptions
from kerastorch.training.compile_settings import Settings, compile_settings, group_settings
from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.loss_scaling import DynamicLossScaling
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training.precision import Precision
from kerastorch.training.preflight import check_owner
from kerastorch.training.several_steps import SeveralSteps
from kerastorch.training.step_listeners import StepListeners


class ModelOptimizers:
    """The optimizers of a model, by name; the only one has the name `''`.

    Args:
        model: Holds the weights.
        given: Optimizer as `optimizers.get` returns it, or a dict of them by pattern of parameter names.
        compiled_loss: Losses, whose own parameters are trained, too.

    Attributes:
        configs: What each optimizer is made of.
        made: The optimizers that exist.

    Raises:
        ValueError: An optimizer that the user has made holds no weight of the model.
    """

    def __init__(self, model: nn.Module, given: Any, compiled_loss: CompiledLoss) -> None:
        self._model, self._loss = model, compiled_loss
        self.configs: Mapping[str, Any] = given if isinstance(given, Mapping) else {"": given}
        self.made: dict[str, TorchOptimizer] = {}
        self._rate_checks: dict[str, IgnoredRateCheck | None] = {}
        self._first_groups: dict[str, list[dict[str, str]]] = {}  # hyperparameters as given to compile()
        self._steps: OptimizerStep | SeveralSteps | None = None
        self._step_state: Mapping[str, Any] = {}  # of a file, for the steps that are still to be made
        self._existing = {name for name, config in self.configs.items() if _existing(config) is not None}
        for name in self._existing:
            optimizer = _existing(self.configs[name])
            assert optimizer is not None
            check_owner(model, optimizer, compiled_loss.outputs.parameters())
            self._add(name, optimizer)

    @property
    def are_several(self) -> bool:
        """Return whether the model has several optimizers, by name."""
        return "" not in self.configs

    def get_or_create(self) -> dict[str, TorchOptimizer]:
        """Return the optimizers of a built model; until training begins they also take weights that were added since.

        Raises:
            ValueError: The model has no weights, or a pattern matches none.
        """
        parts = self._parameters_of_parts()
        sparse = any(getattr(module, "sparse", False) is True for module in modules(self._model))
        for name, named in parts.items():
            if isinstance(config := self.configs[name], StepOptions):
                config.read_modules(self._model)
            if name not in self.made:
                if not named and not getattr(self._model, "_called_as_keras", False):
                    raise ValueError("the model has no parameters, so there is nothing to train.")
                if not named:  # Keras' fit computes losses and metrics then
                    warn("the model has no parameters, so nothing is trained.")
                    named = {"empty": nn.Parameter(torch.empty(0))}  # torch has no optimizer without one
                self._add(name, create_optimizer(self.configs[name], list(named.items()), sparse=sparse))
            elif self._steps is None:
                replace_parameters(self.made[name], self.configs[name], list(named.items()), sparse=sparse)
        return {name: self.made[name] for name in self.configs}

    @contextmanager
    def following_weights(self) -> Iterator[None]:
        """Let the optimizers go on, state included, with the weights that replace theirs within the block.

        So do those that the modules have as attributes, which a step of the user's own steps. Any other one that holds
        replaced weights raises an error when it steps.
        """
        own = find_optimizers(self._model, [*self.made.values()])
        followers = {**self.made, **{f"own {name}": one for name, one in own.items()}}
        before = parameter_names(self._model, self._loss.outputs.parameters())
        state = capture_optimizers(followers, before) if any(one.state for one in followers.values()) else None
        yield
        after = parameter_names(self._model, self._loss.outputs.parameters())
        if all(after[name] is weight for name, weight in before.items()):
            return
        new = {id(weight): after[name] for name, weight in before.items()}
        for optimizer in followers.values():
            for one in (optimizer, *inner_optimizers(optimizer).values()):
                exchange_parameters(one, new)
        if state is not None:
            restore_optimizers(followers, state, after, "the state of the optimizer")
        refuse_steps({name: weight for name, weight in before.items() if after[name] is not weight})

    def move_state(self) -> None:
        """Move the state of the optimizers to the device of the weights."""
        for optimizer in self.made.values():
            if optimizer.state:
                optimizer.load_state_dict(optimizer.state_dict())

    def forget_steps(self) -> None:
        """Let `make_steps` make new steps, which go on with what the present ones have accumulated."""
        self._step_state, self._steps = self.step_state(), None

    def get_if_built(self) -> dict[str, TorchOptimizer]:
        """Return the optimizers by name, created now if the model has all its weights; else those that exist."""
        if is_built(self._model) and any(True for _ in self._model.parameters()):
            return self.get_or_create()
        return self.made

    def _add(self, name: str, optimizer: TorchOptimizer) -> None:
        ensure_step_hooks(optimizer)
        self.made[name] = optimizer
        self._rate_checks[name] = make_rate_check(optimizer)
        self._first_groups[name] = group_settings(optimizer)

    def _parameters_of_parts(self) -> dict[str, dict[str, Tensor]]:
        """Return the parameters of each optimizer that is made of settings, by name."""
        layers = dict(self._model.named_modules())
        all_named = parameter_names(self._model, self._loss.outputs.parameters())
        named: dict[str, Tensor] = {ParameterName.of(name, layers): one for name, one in all_named.items()}
        to_make = [name for name in self.configs if name not in self._existing]
        if not self.are_several:
            return dict.fromkeys(to_make, named)
        held = {id(one) for name in self._existing for one in optimizer_parameters(self.made[name])}
        free = {name: one for name, one in named.items() if id(one) not in held}
        part_of = first_matches(to_make, free, "optimizer")
        return {part: {name: free[name] for name, pattern in part_of.items() if pattern == part} for part in to_make}

    def make_steps(
        self,
        precision: Precision,
        device_type: str,
        gradient_sync: Callable[[Callable[[], Iterable[Tensor]], NoGradientSync], NoGradientSync],
    ) -> OptimizerStep | SeveralSteps:
        """Return the one way from a loss to new weights.

        Args:
            precision: Whether losses are scaled.
            device_type: Kind of the device that computes.
            gradient_sync: Returns what averages the gradients of weights over the ranks of a process group.

        Raises:
            ValueError: Losses are scaled, and weights are in float16.
        """
        shared, listeners = precision.loss_scaling(device_type), StepListeners()
        steps = {}
        made = self.get_or_create()
        free_sync = gradient_sync(self._free_weights, NO_SYNC)
        for name, optimizer in made.items():
            scaler = getattr(self.configs[name], "scaler", None)
            scaling = shared if scaler is None else DynamicLossScaling(scaler(device_type))
            if scaling.is_dynamic:
                self._check_is_not_half(optimizer)
            check = self._rate_checks[name]
            steps[name] = OptimizerStep(
                optimizer, self.configs[name], check, scaling, listeners=listeners, only_own=self.are_several,
                others=[one for one in made.values() if one is not optimizer],
                gradient_sync=gradient_sync(partial(optimizer_parameters, optimizer), free_sync),
            )  # fmt: skip
            free_sync = NO_SYNC
        self._steps = SeveralSteps(steps) if self.are_several else steps[""]
        if self._step_state:
            self._steps.load_state_dict(self._step_state)
        return self._steps

    def _free_weights(self) -> list[Tensor]:
        """Return the weights that no optimizer holds: the script may step them itself."""
        held = all_parameters([*self.made.values()])
        return [weight for weight in self._model.parameters() if id(weight) not in held]

    def all_weights(self) -> list[Tensor]:
        """Return the weights of the model, and others that its optimizers hold, such as those of a loss."""
        held = (one for optimizer in self.made.values() for one in optimizer_parameters(optimizer))
        return [*self._free_weights(), *held]

    def kinds(self) -> Settings:
        """Return the classes of the optimizers by name, in a section of their own, to compare processes."""
        return {"kinds": {f"optimizer {name}".rstrip(): type(one).__name__ for name, one in self.made.items()}}

    def step_state(self) -> Mapping[str, Any]:
        """Return the gradients that are accumulated, and the loss scale; an empty dict before the first step."""
        return self._step_state if self._steps is None else self._steps.state_dict()

    def restore_step_state(self, state: Mapping[str, Any]) -> None:
        """Let the steps begin with what `step_state` returned."""
        self._step_state = state
        if self._steps is not None and state:
            self._steps.load_state_dict(state)

    def _check_is_not_half(self, optimizer: TorchOptimizer) -> None:
        held = {id(one) for one in optimizer_parameters(optimizer) if one.dtype is torch.float16 and one.requires_grad}
        half = [name for name, one in self._model.named_parameters() if id(one) in held]
        if half:
            raise ValueError(
                f"mixed precision in float16 keeps weights in float32, and scales the loss; {half[0]} is in float16. "
                "Write model.float() before compile(), or leave the precision out."
            )

    def settings(self, has_trained: bool, weights: Any, penalties: Mapping[str, Any]) -> Settings:
        """Return the arguments of `compile`, and what the script set before the first step, as comparable values.

        Args:
            has_trained: Steps were made, so that the present hyperparameters may be others.
            weights: `loss_weights` as given to `compile`.
            penalties: Regularizers by pattern of parameter names.
        """
        found: dict[str, dict[str, str]] = {"state": {}, "script": {}}
        for name, optimizer in self.get_or_create().items():
            groups = self._first_groups[name] if has_trained or optimizer.state else group_settings(optimizer)
            about = compile_settings(self.configs[name], groups, self._loss.losses, weights, penalties)
            prefix = f"{name}: " if name else ""
            found["state"] |= {prefix + key: value for key, value in about["state"].items()}
            shared = ("loss", "loss_weights", "regularizers")
            found["script"] |= {
                key if key.startswith(shared) else prefix + key: value for key, value in about["script"].items()
            }
        return found


def _existing(config: Any) -> TorchOptimizer | None:
    """Return the optimizer that the user has made over weights, if it is one."""
    if isinstance(config, StepOptions):
        return config.existing
    return config if isinstance(config, TorchOptimizer) else None


def all_parameters(optimizers: Sequence[TorchOptimizer]) -> set[int]:
    """Return the `id` of each parameter that any of the optimizers holds."""
    return {id(one) for optimizer in optimizers for one in optimizer_parameters(optimizer)}
