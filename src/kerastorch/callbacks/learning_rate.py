"""Learning rates of `torch.optim` optimizers: the rate that all groups have in common, and the rates in the logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch.optim import Optimizer

from kerastorch.callbacks.base import Logs
from kerastorch.optimizers.learning_rate import common_rate, rates, set_rates
from kerastorch.optimizers.scheduled_rate import scheduled_rate

__all__ = [
    "LEARNING_RATE",
    "check_not_scheduled",
    "get_rate",
    "learning_rate_logs",
    "log_rates",
    "rates",
    "set_rate",
    "set_rates",
]

LEARNING_RATE = "learning_rate"  # the name of the log


def check_not_scheduled(who: str, optimizer: Optimizer) -> None:
    """Check that the optimizer has no schedule, which would replace each rate that a callback sets.

    Args:
        who: Class name of the callback, for the error message.
        optimizer: Optimizer of the model.

    Raises:
        ValueError: It was made with a schedule as its learning rate.
    """
    hook = scheduled_rate(optimizer)
    if hook is not None:
        raise ValueError(
            f"{who} sets the learning rate, but the optimizer has a schedule of its own, {hook.names}, which sets it "
            "before each step. Give the optimizer a number as learning_rate, or leave the callback out."
        )


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


def learning_rate_logs(
    by_name: Mapping[str, Optimizer], earlier: Iterable[str] = (), rates: Iterable[float] = ()
) -> dict[str, float]:
    """Return the learning rates of optimizers under their names in the logs.

    It is `learning_rate` if all parameter groups have one rate. Else each group has a log: `learning_rate_` with the
    name of the group, or its index if it has none, after the name of the optimizer if there are several. Groups without
    a rate have no log.

    Args:
        by_name: Optimizers by name; the only one has the name `''`.
        earlier: Names of the logs of the last epoch: if groups had logs of their own there, they have them again.
        rates: Rate of each parameter group of the only optimizer, if they are others now. Default: those of the groups.

    >>> import torch
    >>> groups = [{"params": [torch.zeros(1)], "lr": 0.1, "name": "body"}, {"params": [torch.zeros(1)], "lr": 0.2}]
    >>> learning_rate_logs({"": torch.optim.SGD(groups)})
    {'learning_rate_body': 0.1, 'learning_rate_1': 0.2}
    >>> learning_rate_logs({"": torch.optim.SGD(groups[:1])})
    {'learning_rate': 0.1}
    """
    given = list(rates)
    found: dict[str, float] = {}
    for name, optimizer in by_name.items():
        groups: list[dict[str, Any]] = optimizer.param_groups
        for index, group in enumerate(groups):
            if "lr" not in group:
                continue
            rate = given[index] if given else float(group["lr"])
            of_group = group.get("name") or index if len(groups) > 1 else ""
            key = "_".join(str(part) for part in (LEARNING_RATE, name, of_group) if part != "")
            if found.get(key, rate) != rate:  # groups of one name differ in other settings, and seldom in their rate
                key = f"{key}_{index}"
            found[key] = rate
    had_own_logs = any(log.startswith(f"{LEARNING_RATE}_") for log in earlier)
    if len(set(found.values())) == 1 and not had_own_logs:
        return {LEARNING_RATE: next(iter(found.values()))}
    return found


def log_rates(logs: Logs | None, optimizer: Optimizer, rates: Iterable[float]) -> None:
    """Add learning rates to the logs of an epoch that has none, in a loop that calls the hooks by hand.

    Args:
        logs: Logs of the epoch; those of `fit` have the rates already.
        optimizer: Optimizer of the model.
        rates: Rate of each parameter group in the epoch.
    """
    if logs is not None and not any(name.startswith(LEARNING_RATE) for name in logs):
        logs.update(learning_rate_logs({"": optimizer}, rates=rates))
