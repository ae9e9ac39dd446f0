"""The optimizers whose learning rates an epoch logs."""

from __future__ import annotations

from torch.optim import Optimizer

from kerastorch.optimizers.minimizers import Minimizer
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training.several_steps import SeveralSteps
from kerastorch.training.trainer import Trainer


def optimizers_by_name(step: OptimizerStep | SeveralSteps) -> dict[str, Optimizer]:
    """Return the optimizers of a model by name; the only one has the name `''`.

    Args:
        step: The step of the trainer.
    """
    steps = step.steps if isinstance(step, SeveralSteps) else {"": step}
    return {name: one.optimizer for name, one in steps.items()}


def has_learning_rate(trainer: Trainer) -> bool:
    """Return whether each epoch will log a learning rate, as far as is known before training.

    Args:
        trainer: Its optimizers may not exist yet.
    """
    if made := trainer.optimizers.made:
        return any("lr" in group for optimizer in made.values() for group in optimizer.param_groups)
    return not all(isinstance(config, Minimizer) for config in trainer.optimizers.configs.values())
