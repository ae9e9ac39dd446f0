"""Learning rates of a model's optimizers, for callbacks that change them, and in the logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch.optim import Optimizer

from kerastorch.callbacks.base import Logs
from kerastorch.optimizers.learning_rate import rates, set_rates
from kerastorch.optimizers.scheduled_rate import scheduled_rate

__all__ = [
    "LEARNING_RATE",
    "ModelRates",
    "check_not_scheduled",
    "learning_rate_logs",
    "listed",
    "log_rates",
    "rates",
    "set_rates",
]

LEARNING_RATE = "learning_rate"  # the name of the log


class ModelRates:
    """The learning rates of all parameter groups of a model's optimizers, for a callback that changes them.

    Args:
        who: Class name of the callback, for error messages.
        optimizers: Optimizers by name.

    Raises:
        ValueError: An optimizer has no learning rate, or a schedule of its own, which would replace each rate.
    """

    def __init__(self, who: str, optimizers: Mapping[str, Optimizer]) -> None:
        self._who, self._optimizers = who, optimizers
        for optimizer in optimizers.values():
            check_not_scheduled(who, optimizer)
        self.distinct()  # raises for an optimizer without a rate

    def distinct(self) -> list[float]:
        """Return the different rates, in the order of their groups."""
        return list(dict.fromkeys(rate for optimizer in self._optimizers.values() for rate in rates(optimizer)))

    def check_common(self, cure: str) -> None:
        """Check that all groups have one rate.

        Args:
            cure: End of the error message.

        Raises:
            ValueError: They have different rates.
        """
        different = self.distinct()
        if len(different) > 1:
            listed = ", ".join(map(repr, different))
            raise ValueError(
                f"{self._who} knows one learning rate, the optimizer's groups have several: {listed}. {cure}"
            )

    def change(self, function: Callable[[float], float]) -> list[float]:
        """Replace each rate by what a function of it returns; return the different new rates.

        Args:
            function: Called once with each different rate.
        """
        changed = {rate: function(rate) for rate in self.distinct()}
        for optimizer in self._optimizers.values():
            set_rates(optimizer, [changed[rate] for rate in rates(optimizer)])
        return self.distinct()

    def log(self, logs: Logs | None) -> None:
        """Add the rates to the logs of an epoch that has none, in a loop that calls the hooks by hand."""
        if logs is not None and not any(name.startswith(LEARNING_RATE) for name in logs):
            logs.update(learning_rate_logs(self._optimizers))


def listed(values: Iterable[float]) -> str:
    """Return rates as a message shows them."""
    return ", ".join(f"{value:.6g}" for value in values)


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


def learning_rate_logs(
    by_name: Mapping[str, Optimizer],
    earlier: Iterable[str] = (),
    rates: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> dict[str, float]:
    """Return the learning rates of optimizers under their names in the logs.

    It is `learning_rate` if all parameter groups have one rate. Else each group has a log: `learning_rate_` with the
    name of the group, or its index if it has none, after the name of the optimizer if there are several. Groups without
    a rate have no log.

    Args:
        by_name: Optimizers by name; the only one has the name `''`.
        earlier: Names of the logs of the last epoch: if groups had logs of their own there, they have them again.
        rates: Rate of each parameter group by the name of the optimizer, where they are others now. Default: those of
            the groups.

    >>> import torch
    >>> groups = [{"params": [torch.zeros(1)], "lr": 0.1, "name": "body"}, {"params": [torch.zeros(1)], "lr": 0.2}]
    >>> learning_rate_logs({"": torch.optim.SGD(groups)})
    {'learning_rate_body': 0.1, 'learning_rate_1': 0.2}
    >>> learning_rate_logs({"": torch.optim.SGD(groups[:1])})
    {'learning_rate': 0.1}
    """
    found: dict[str, float] = {}
    for name, optimizer in by_name.items():
        groups: list[dict[str, Any]] = optimizer.param_groups
        given = rates.get(name)
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
        logs.update(learning_rate_logs({"": optimizer}, rates={"": list(rates)}))
