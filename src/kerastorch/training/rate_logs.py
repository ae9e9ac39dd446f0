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


def has_learning_rate(optimizer: Optimizer | None, config: Any) -> bool:
    """Return whether each epoch will log a learning rate, as far as is known before training.

    Args:
        optimizer: The optimizer, `None` if it does not exist yet.
        config: Optimizer as given to `compile`.
    """
    if optimizer is not None:
        return any("lr" in group for group in optimizer.param_groups)
    return not isinstance(optimizers.get(config) if isinstance(config, (str, type)) else config, Minimizer)
