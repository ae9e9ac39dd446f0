"""What is not compiled, because it may do more than a graph can hold."""

from __future__ import annotations

from torch import nn

from kerastorch.core.module_tree import modules
from kerastorch.core.ownership import is_from, is_own, is_third_party
from kerastorch.core.torch_private import (
    has_gradient_hooks,
    is_wrapped_by_schedule,
    module_hooks,
    step_post_hooks,
    step_pre_hooks,
)
from kerastorch.layers.random_generator import RandomGenerator
from kerastorch.optimizers.base import Average, Clip, Decay
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.optimizer_step import ConstrainHook, OptimizerStep

_HOOKS = ("forward", "forward_pre", "backward", "backward_pre")


def refuse_model(model: nn.Module) -> None:
    """Refuse a model with steps or hooks of the user's own, or with draws that a captured graph would repeat.

    Raises:
        UntraceableError: with the cause.
    """
    for name in ("train_step", "compute_loss", "compute_metrics"):
        if not is_own(getattr(type(model), name)):
            raise UntraceableError(f"{type(model).__name__}.{name} is your own and may do more than a graph can hold")
    for module in modules(model):
        hooks = module_hooks(module, *_HOOKS)
        if any(map(is_third_party, hooks)):
            raise UntraceableError(f"{type(module).__name__} has hooks of your own")
        if any(isinstance(value, RandomGenerator) and value.seed is not None for value in vars(module).values()):
            # its draws are counted on the CPU, and a CUDA graph does not go there
            raise UntraceableError(f"{type(module).__name__} has a seed of its own")
    if any(has_gradient_hooks(weight) for weight in model.parameters()):
        raise UntraceableError("a weight has a hook on its gradient")


def refuse_optimizer(update: OptimizerStep) -> None:
    """Refuse an optimizer whose step is more than the `step` method of a class of torch on dense gradients.

    Raises:
        UntraceableError: with the cause.
    """
    optimizer = update.optimizer
    name = type(optimizer).__name__
    if not is_from(optimizer, "torch.optim"):
        raise UntraceableError(f"{name} is no optimizer of torch.optim, and its step may do anything")
    if update.needs_closure:
        raise UntraceableError(f"{name} asks for the loss several times a step")
    if update.accumulation.steps > 1:
        raise UntraceableError("gradient_accumulation_steps is larger than 1")
    before, after = (list(hooks.values()) for hooks in (
        step_pre_hooks(optimizer), step_post_hooks(optimizer),
    ))  # fmt: skip
    if not all(isinstance(hook, (Clip, Decay)) for hook in before) or not all(
        isinstance(h, (Average, ConstrainHook)) for h in after
    ):
        raise UntraceableError("the optimizer has step hooks of your own")
    if "step" in vars(optimizer) and not is_wrapped_by_schedule(optimizer.step):
        raise UntraceableError("the optimizer's step was replaced")
    if any(group.get("differentiable") for group in optimizer.param_groups):
        raise UntraceableError(f"{name}(differentiable=True)")
