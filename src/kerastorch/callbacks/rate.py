"""The one learning rate of a `torch.optim` optimizer, read and set over all its groups."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer


def rates(optimizer: Any) -> list[float]:
    """The rate of each group.

    Raises:
        ValueError: it has none.
    """
    if not isinstance(optimizer, Optimizer) or any("lr" not in group for group in optimizer.param_groups):
        raise ValueError(f"{type(optimizer).__name__} has no learning rate: no 'lr' in its param_groups.")
    return [float(group["lr"]) for group in optimizer.param_groups]


def get_rate(who: str, optimizer: Any) -> float:
    """The rate of all groups.

    Raises:
        ValueError: they have different ones.
    """
    found = rates(optimizer)
    if len(set(found)) > 1:
        raise ValueError(
            f"{who} knows one learning rate, the optimizer's groups have several: {', '.join(map(repr, found))}. "
            "Use callbacks.Schedule with a scheduler of torch.optim.lr_scheduler, which treats each group by itself."
        )
    return found[0]


def set_rates(optimizer: Any, values: list[float]) -> None:
    """Give each group its rate; one that is a tensor stays that tensor."""
    for group, value in zip(optimizer.param_groups, values, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def set_rate(optimizer: Any, value: float) -> None:
    """Give all groups this rate."""
    set_rates(optimizer, [value] * len(optimizer.param_groups))
