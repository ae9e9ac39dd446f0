"""The common learning rate of all parameter groups of a `torch.optim` optimizer: read it and set it."""

from __future__ import annotations

from torch.optim import Optimizer

from kerastorch.optimizers.learning_rate import common_rate, rates, set_rates

__all__ = ["get_rate", "rates", "set_rate", "set_rates"]


def get_rate(who: str, optimizer: Optimizer) -> float:
    """Return the learning rate that all parameter groups have in common.

    Args:
        who: Class name of the callback, for the error message.
        optimizer: Optimizer of the model.

    Raises:
        ValueError: The groups have different rates.
    """
    return common_rate(
        optimizer,
        f"{who} knows one learning rate, the optimizer's groups have several",
        "Use callbacks.LRScheduler with a scheduler of torch.optim.lr_scheduler, which treats each group by itself.",
    )


def set_rate(optimizer: Optimizer, value: float) -> None:
    """Set the learning rate of all parameter groups to one value."""
    set_rates(optimizer, [value] * len(optimizer.param_groups))
