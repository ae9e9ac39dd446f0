"""The optimizers whose learning rates an epoch logs."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from kerastorch import optimizers
from kerastorch.optimizers.minimizers import Minimizer


def optimizers_by_name(step: Any) -> dict[str, Optimizer]:
    """Return the optimizers of a model by name; the only one has the name `''`.

    Args:
        step: The trainer's `optimizer_step`.
    """
    return {name: one.optimizer for name, one in getattr(step, "steps", {"": step}).items()}


def has_learning_rate(trainer: Any) -> bool:
    """Return whether each epoch will log a learning rate, as far as is known before training.

    Args:
        trainer: Its optimizers may not exist yet.
    """
    holder = getattr(trainer, "optimizers", None)
    if holder is None:
        made, config = [one for one in (trainer.optimizer,) if one is not None], trainer.compile_args.get("optimizer")
        configs = [optimizers.get(config) if isinstance(config, (str, type)) else config]
    else:
        made, configs = list(holder.made.values()), list(holder.configs.values())
    if made:
        return any("lr" in group for optimizer in made for group in optimizer.param_groups)
    return not all(isinstance(config, Minimizer) for config in configs)
