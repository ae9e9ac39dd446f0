"""Repeat a training step that has failed, to name the first tensor that is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from kerastorch.checkpoint.module_state import capture_module_state, capture_random_counts, restore_module_state
from kerastorch.checkpoint.optimizer_state import (
    capture_optimizer_state,
    capture_optimizers,
    find_optimizers,
    parameter_names,
    restore_optimizer_state,
    restore_optimizers,
)
from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.rng_state import capture_rng_states, preserved_rng_states, restore_rng_states
from kerastorch.core.torch_private import pytree
from kerastorch.data.batches import Batch
from kerastorch.optimizers.step_hooks import optimizer_parameters
from kerastorch.runtime.nonfinite_diagnosis import diagnose, find_bad_weight, layer_stats
from kerastorch.runtime.nonfinite_probe import NonFiniteProbe
from kerastorch.runtime.nonfinite_report import NonFiniteReport, remedies_for
from kerastorch.runtime.tensor_stats import worst_value
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.step_mixin import overrides
from kerastorch.training.step_output import StepOutput
from kerastorch.training.trainer import Trainer

Step = Callable[[Any], Mapping[str, Any] | StepOutput]


def repeat_step(
    trainer: Trainer,
    step: Step,
    batch: Batch,
    random: Mapping[str, Any],
    *,
    epoch: int = -1,
    batch_number: int = -1,
) -> NonFiniteReport:
    """Run a step once more under observation; afterwards model, optimizers and random states are as before.

    Args:
        trainer: Parts that train the model.
        step: The model's step, not compiled.
        batch: The batch of the failed step, on the device.
        random: Random states from before the failed step.
        epoch: Number of the epoch, from 0; -1 if unknown.
        batch_number: Number of the batch in the epoch, from 0; -1 if unknown.
    """
    # a step that a guard rejects changes no optimizer; steps of the user's own and closures go past a guard
    steps = overrides(trainer.model, "train_step") or trainer.optimizer_step.needs_closure
    observed = _Observation(trainer, steps)
    with preserved_rng_states(), unchanged_state(trainer, steps):
        restore_rng_states(random)
        restore_counts(trainer, random["counts"])
        bad_weight = find_bad_weight(observed.weights)
        observed.run(step, batch)
        finding = diagnose(observed.probe, batch, bad_weight, observed.weights, observed.loss, observed.parts)
        layers = tuple(layer_stats(observed.probe, trainer.model))
    rates = learning_rates(trainer)
    loss = math.nan if observed.loss is None else float(observed.loss)
    remedies = remedies_for(finding.kind, rates, {"float16": _uses_float16(trainer, observed.weights)})
    return NonFiniteReport(finding, loss, epoch + 1, batch_number + 1, rates, remedies, layers)


def learning_rates(trainer: Trainer) -> tuple[float, ...]:
    """Return the learning rate of each parameter group of the optimizers."""
    groups = [group for one in trainer.optimizer_step.optimizers for group in one.param_groups]
    return tuple(float(group["lr"]) for group in groups if "lr" in group)


def _uses_float16(trainer: Trainer, weights: Mapping[str, Tensor]) -> bool:
    """Return whether weights are in float16, or modules compute in it."""
    if trainer.precision.policy.compute_dtype == "float16":
        return True
    devices = {weight.device.type for weight in weights.values()}
    autocast = any(
        torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) is torch.float16 for device in devices
    )
    return autocast or any(weight.dtype is torch.float16 for weight in weights.values())


class _Observation:
    """One run of a step under observation.

    Args:
        trainer: Parts that train the model.
        steps: Whether to make steps of the optimizer after backward passes that are finite.

    Attributes:
        probe: Hooks on the modules.
        weights: Parameters of the model and of its losses, by name.
        loss: The loss of the first backward pass that failed, or the one that the step returned.
        parts: Values that were logged beside it.
    """

    def __init__(self, trainer: Trainer, steps: bool) -> None:
        self._trainer, self._steps = trainer, steps
        self.probe = NonFiniteProbe(trainer.model)
        self.weights: dict[str, Tensor] = parameter_names(trainer.model, trainer.compiled_loss.outputs.parameters())
        self.loss: Tensor | float | None = None
        self.parts: Mapping[str, Any] = {}

    def run(self, step: Step, batch: Batch) -> None:
        """Run a step; what follows its first failed backward pass is not observed."""
        trainer = self._trainer
        trainer.compiled_loss.begin_step()
        inputs = batch._replace(x=map_structure(clone, batch.x))  # a model may change its input in place
        remove_guard = trainer.optimizer_step.listeners.register_guard(self._allow_step)
        try:
            with trainer.using(MetricsTracker({})), self.probe.attached():
                output = step(inputs)
        finally:
            remove_guard()
        if not self.probe.is_frozen:  # no backward pass failed, or the step makes its own
            logs = output.logs if isinstance(output, StepOutput) else output
            self.loss, self.parts = clone(logs.get("loss")), logs

    def _allow_step(self, loss: Tensor) -> bool:
        """Return whether a backward pass was finite; freeze the observation if it was not."""
        if self.probe.is_frozen:
            return False
        parts = {name: clone(value) for name, value in self._trainer.context.loss_parts.items()}
        if worst_value(loss) or self._has_bad_gradient():
            self.loss, self.parts = loss.detach().clone(), parts
            self.probe.freeze()
            return False
        self.probe.forget_faults()
        return self._steps

    def _has_bad_gradient(self) -> bool:
        """Return whether a gradient is not finite; with a loss scale that adapts, the step is then left out anyway."""
        if self._trainer.optimizer_step.skips_nonfinite:
            return False
        gradients = (weight.grad for weight in self.weights.values() if weight.grad is not None)
        return self.probe.gradient_fault is not None or any(map(worst_value, gradients))


def clone(value: Any) -> Any:
    """Return a copy of a tensor, without its history; other values are returned as they are."""
    return value.detach().clone() if isinstance(value, Tensor) else value


@contextmanager
def unchanged_state(trainer: Trainer, with_optimizers: bool = True) -> Iterator[None]:
    """Restore weights, buffers and gradients at the end of the block.

    Args:
        trainer: Parts that train the model.
        with_optimizers: Whether to restore optimizers and accumulated gradients, too.
    """
    module = None if with_optimizers else pytree.tree_map(clone, capture_module_state(trainer.model))
    before = capture_state(trainer) if module is None else {}
    counts = [count.clone() for count in seeded_counts(trainer)]
    weights = [weight for one in trainer.optimizer_step.optimizers for weight in optimizer_parameters(one)]
    gradients = [None if weight.grad is None else weight.grad.clone() for weight in weights]
    try:
        yield
    finally:
        if module is None:
            restore_state(trainer, before)
        else:
            restore_module_state(trainer.model, module)
        restore_counts(trainer, counts)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient


def capture_state(trainer: Trainer) -> dict[str, Any]:
    """Return copies of what a training step changes: model, losses and optimizers.

    Args:
        trainer: Parts that train the model.
    """
    names, own = _names(trainer), trainer.optimizers.get_or_create()
    others = find_optimizers(trainer.model, own.values())
    found = {
        "model": capture_module_state(trainer.model),
        "losses": trainer.compiled_loss.state_dict(),
        "optimizer": capture_optimizers(own, names),
        "others": {name: capture_optimizer_state(one, names) for name, one in others.items()},
        "update": trainer.optimizer_step.state_dict(),
    }
    copied: dict[str, Any] = pytree.tree_map(clone, found)
    return copied


def restore_state(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Restore what `capture_state` returned, in a running pass.

    Args:
        trainer: Parts that train the model.
        state: The captured state.

    Raises:
        CheckpointError: The state is that of another model, optimizer or loss.
    """
    names, own = _names(trainer), trainer.optimizers.get_or_create()
    restore_module_state(trainer.model, state["model"])
    trainer.compiled_loss.load_state_dict(state["losses"])
    restore_optimizers(own, state["optimizer"], names, "the captured state")
    for name, one in find_optimizers(trainer.model, own.values()).items():
        if name in state["others"]:
            restore_optimizer_state(one, state["others"][name], names, "the captured state")
    trainer.optimizer_step.load_state_dict(state["update"])


def _names(trainer: Trainer) -> dict[str, Tensor]:
    return parameter_names(trainer.model, trainer.compiled_loss.outputs.parameters())


def seeded_counts(trainer: Trainer) -> list[Tensor]:
    """Return the states of the layers that have a seed of their own."""
    return list(capture_random_counts(trainer.model, ".").values())


def restore_counts(trainer: Trainer, counts: Sequence[Tensor]) -> None:
    """Write states back into the layers that have a seed of their own."""
    for now, before in zip(seeded_counts(trainer), counts, strict=True):
        now.copy_(before)


class RecordedStep:
    """A training step that keeps its last batch and the random states before it, so that it can be repeated.

    Args:
        trainer: Parts that train the model.
        step: The model's step, not compiled.
        keeps_state: Whether to copy weights and optimizers before each step, too: for a `train_step` that makes the
            step of the optimizer itself, which no guard can prevent.

    Attributes:
        batch: The last batch; `None` before the first.
        random: Random states from before it: global ones, and those of layers with a seed.
        state: Weights and optimizers from before it, with `keeps_state`.
        autocast: Device type and dtype of the autocast that the step runs in; `None` without.
    """

    def __init__(self, trainer: Trainer, step: Step, *, keeps_state: bool = False) -> None:
        self._trainer, self._step, self._keeps_state = trainer, step, keeps_state
        self.batch: Batch | None = None
        self.random: dict[str, Any] = {}
        self.state: dict[str, Any] | None = None
        self.autocast: tuple[str, torch.dtype] | None = None
        self._counts = seeded_counts(trainer)

    def __call__(self, batch: Batch) -> Mapping[str, Any] | StepOutput:
        """Make a step."""
        self.batch = batch._replace(x=map_structure(clone, batch.x))
        self.random = {**capture_rng_states(), "counts": [count.clone() for count in self._counts]}
        self.autocast = _running_autocast(batch)
        if self._keeps_state:
            self.state = capture_state(self._trainer)
        return self._step(batch)

    def repeat(self, epoch: int, batch: int) -> NonFiniteReport:
        """Repeat the last step under observation.

        Args:
            epoch: Number of the epoch, from 0.
            batch: Number of the batch, from 0.
        """
        assert self.batch is not None
        return repeat_step(self._trainer, self._step, self.batch, self.random, epoch=epoch, batch_number=batch)


def _running_autocast(batch: Batch) -> tuple[str, torch.dtype] | None:
    """Return device type and dtype of the autocast that is on for the inputs of a batch."""
    devices = {leaf.device.type for _, leaf in leaves(batch.x) if isinstance(leaf, Tensor)}
    return next(
        ((device, torch.get_autocast_dtype(device)) for device in devices if torch.is_autocast_enabled(device)), None
    )
