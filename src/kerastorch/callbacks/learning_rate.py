"""The one learning rate of a `torch.optim` optimizer, read and set over all its groups."""

from __future__ import annotations

from typing import Any

from kerastorch.optimizers.learning_rate import common_rate, rates, set_rates

__all__ = ["get_rate", "rates", "set_rate", "set_rates"]


def get_rate(who: str, optimizer: Any) -> float:
    """The rate of all groups.

    Raises:
        ValueError: they have different ones.
    """
    return common_rate(
        optimizer,
        f"{who} knows one learning rate, the optimizer's groups have several",
        "Use callbacks.Schedule with a scheduler of torch.optim.lr_scheduler, which treats each group by itself.",
    )


def set_rate(optimizer: Any, value: float) -> None:
    """Give all groups this rate."""
    set_rates(optimizer, [value] * len(optimizer.param_groups))
