"""Checks before tracing: models and optimizers that may do what a compiled graph cannot."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from kerastorch.core.module_tree import modules
from kerastorch.core.nested import leaves
from kerastorch.core.ownership import is_from, is_own, is_third_party
from kerastorch.core.tensor_spec import is_dense
from kerastorch.core.torch_optimizer_private import is_wrapped_by_schedule, step_post_hooks, step_pre_hooks
from kerastorch.core.torch_private import has_gradient_hooks, module_hooks
from kerastorch.layers.random_generator import RandomGenerator
from kerastorch.optimizers.scheduled_rate import ScheduledRate
from kerastorch.optimizers.step_hooks import Average, Clip, Decay
from kerastorch.runtime.activation_checkpointing import is_checkpointed
from kerastorch.training.constrain_hook import ConstrainHook
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.optimizer_step import OptimizerStep

_HOOK_KINDS = ("forward", "forward_pre", "backward", "backward_pre")


def check_model(model: nn.Module) -> None:
    """Raise an error if a model has hooks of the user, or layers with a seed.

    Raises:
        UntraceableError: With the reason.
    """
    for module in modules(model):
        if is_checkpointed(module):
            raise UntraceableError(f"the activations of {type(module).__name__} are checkpointed")
        if any(map(is_third_party, module_hooks(module, *_HOOK_KINDS))):
            raise UntraceableError(f"{type(module).__name__} has hooks of your own")
        if any(isinstance(value, RandomGenerator) and value.seed is not None for value in vars(module).values()):
            # a seeded generator counts its draws on the CPU; a CUDA graph would repeat the same draw
            raise UntraceableError(f"{type(module).__name__} has a seed of its own")
    if any(has_gradient_hooks(weight) for weight in model.parameters()):
        raise UntraceableError("a weight has a hook on its gradient")


def check_batch(batch: Any) -> None:
    """Raise an error if a batch holds something that a graph cannot take.

    Args:
        batch: A batch, or a group of batches.

    Raises:
        UntraceableError: A part is no dense tensor.
    """
    for name, leaf in leaves(tuple(batch), "batch"):
        if not isinstance(leaf, Tensor):
            raise UntraceableError(f"{name} is a {type(leaf).__name__}, and a graph takes tensors alone")
        if not is_dense(leaf):
            raise UntraceableError(f"{name} is a {'nested' if leaf.is_nested else 'sparse'} tensor")


def check_optimizer(optimizer_step: OptimizerStep) -> None:
    """Raise an error unless each batch makes one plain step of a `torch.optim` optimizer.

    Raises:
        UntraceableError: With the reason.
    """
    optimizer = optimizer_step.optimizer
    name = type(optimizer).__name__
    if optimizer_step.needs_closure:
        raise UntraceableError(f"{name} asks for the loss several times a step")
    if not is_from(optimizer, "torch.optim") and not is_own(optimizer, "optimizers.update_rules"):
        raise UntraceableError(f"{name} is no optimizer of torch.optim, and its step may do anything")
    if optimizer_step.accumulation.steps > 1:
        raise UntraceableError("gradient_accumulation_steps is larger than 1")
    if optimizer_step.scaling.is_dynamic:
        raise UntraceableError("the scale of the loss changes from step to step, and steps that overflow are left out")
    pre_hooks, post_hooks = step_pre_hooks(optimizer), step_post_hooks(optimizer)
    if not (
        all(isinstance(hook, (Clip, Decay, ScheduledRate)) for hook in pre_hooks.values())
        and all(isinstance(hook, (Average, ConstrainHook)) for hook in post_hooks.values())
    ):
        raise UntraceableError("the optimizer has step hooks of your own")
    if "step" in vars(optimizer) and not is_wrapped_by_schedule(optimizer.step):
        raise UntraceableError("the optimizer's step was replaced")
    if any(group.get("differentiable") for group in optimizer.param_groups):
        raise UntraceableError(f"{name}(differentiable=True)")
