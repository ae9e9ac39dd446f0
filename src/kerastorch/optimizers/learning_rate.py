"""Learning rates of `torch.optim` optimizers: reading, setting, and the attribute `learning_rate`.

Any attribute can be set on an optimizer of torch, so `optimizer.learning_rate = 0.1` would be ignored without an error.
Optimizers that kerastorch makes are therefore instances of a subclass with that property, and with Keras' methods for
gradients, created once for each class of torch. torch's own classes, and optimizers that the user made, stay as they
are.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.core.ownership import is_from
from kerastorch.optimizers.applied_gradients import AppliedGradients
from kerastorch.optimizers.scheduled_rate import scheduled_rate, step_count


class HasParamGroups(Protocol):
    """An optimizer of torch, or the mixin of one."""

    param_groups: list[dict[str, Any]]


def rates(optimizer: object) -> list[float]:
    """Return the learning rate of each parameter group.

    Raises:
        ValueError: The object is no optimizer of torch, or a group has no `'lr'`.
    """
    if not isinstance(optimizer, torch.optim.Optimizer) or any("lr" not in group for group in optimizer.param_groups):
        raise ValueError(f"{type(optimizer).__name__} has no learning rate: no 'lr' in its param_groups.")
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_rates(optimizer: HasParamGroups, values: list[float]) -> None:
    """Set the learning rate of each parameter group; tensors are changed in place."""
    for group, value in zip(optimizer.param_groups, values, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def common_rate(optimizer: object, problem: str, cure: str) -> float:
    """Return the learning rate that all parameter groups have; if it has a schedule, that of the next step.

    Args:
        optimizer: An optimizer of torch.
        problem: Start of the error message, before the list of rates.
        cure: End of the error message.

    Raises:
        ValueError: The groups have different rates.
    """
    group_rates = rates(optimizer)
    if (hook := scheduled_rate(optimizer)) is not None:
        for index, rate in hook.next_rates(cast(torch.optim.Optimizer, optimizer)).items():
            group_rates[index] = rate
    if len(set(group_rates)) > 1:
        raise ValueError(f"{problem}: {', '.join(map(repr, group_rates))}. {cure}")
    return group_rates[0]


class Rate(float):
    """A learning rate that an optimizer has, with Keras' methods of a variable.

    Args:
        value: The number.
        optimizer: The optimizer, whose rate `assign` sets.
    """

    _optimizer: LearningRate

    def __new__(cls, value: float, optimizer: LearningRate) -> Rate:
        made = super().__new__(cls, value)
        made._optimizer = optimizer
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return float, (float(self),)

    def assign(self, value: Any) -> None:
        """Set the learning rate of the optimizer."""
        self._optimizer.learning_rate = value

    def numpy(self) -> float:
        """Return the number."""
        return float(self)


class LearningRate:
    """Mixin for optimizers of torch: `learning_rate` is the `'lr'` of all parameter groups."""

    param_groups: list[dict[str, Any]]
    _kind: type[torch.optim.Optimizer]

    @property
    def learning_rate(self) -> float:
        """The learning rate of all parameter groups; setting it sets the rate of each group.

        If the optimizer was made with a schedule, it is the rate of the next step, and cannot be set.

        Raises:
            ValueError: The groups have different rates.
            TypeError: It is set, and the optimizer has a schedule.
        """
        return Rate(self._one_rate(), self)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        hook = scheduled_rate(self)
        if hook is not None:
            raise TypeError(
                f"learning_rate cannot be set: the optimizer was made with a schedule, {hook.names}, which sets it "
                "before each step. Make the optimizer with a number as learning_rate to set it."
            )
        rate = check_float("learning_rate", float(value) if isinstance(value, Tensor) else value, least=0)
        self._one_rate()  # raises if the groups have different rates, which one rate would overwrite
        set_rates(self, [rate] * len(self.param_groups))

    @property
    def iterations(self) -> int:
        """The number of steps that the optimizer has made.

        Raises:
            AttributeError: The class of torch counts no steps, as that of SGD, and there is no schedule, which does.
        """
        if scheduled_rate(self) is not None:
            return step_count(cast(torch.optim.Optimizer, self))
        states = cast(torch.optim.Optimizer, self).state
        if any("step" in state for state in states.values()):
            return max(int(state["step"]) for state in states.values() if "step" in state)
        if not states and self._kind is not torch.optim.SGD:
            return 0
        raise AttributeError(
            f"{self._kind.__name__} of torch counts no steps; it does with a schedule as its learning_rate. Count them "
            "in a callback: on_train_batch_end."
        )

    @property
    def lr(self) -> float:
        """Raise an error: the name is `learning_rate`, as in Keras."""
        raise AttributeError(_WRONG_NAME)

    @lr.setter
    def lr(self, value: Any) -> None:
        raise AttributeError(_WRONG_NAME)

    def _one_rate(self) -> float:
        return common_rate(
            self,
            "the groups of the optimizer have several learning rates",
            "Read and set them one by one: optimizer.param_groups[0]['lr'], ...",
        )

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # pickle cannot import the class, which is in no module; it is made again from the class of torch
        return _new_instance, (self._kind,), self.__getstate__()


_classes: dict[type[torch.optim.Optimizer], type[torch.optim.Optimizer]] = {}  # torch's class -> with `learning_rate`
_WRONG_NAME = "an optimizer has no attribute 'lr'; it is learning_rate, or param_groups[0]['lr']."


def with_learning_rate(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """Return a subclass with the attribute `learning_rate` of a class in `torch.optim`.

    Other classes, and classes with an attribute `learning_rate` or `lr` of their own, are returned unchanged. The
    subclass has the name and the module of the class.

    >>> optimizer = with_learning_rate(torch.optim.SGD)([torch.zeros(1)], lr=0.1)
    >>> optimizer.learning_rate = 0.5
    >>> optimizer.param_groups[0]["lr"], isinstance(optimizer, torch.optim.SGD)
    (0.5, True)
    """
    if hasattr(kind, "learning_rate") or hasattr(kind, "lr") or not is_from(kind, "torch.optim"):
        return kind
    if kind not in _classes:
        namespace = {"_kind": kind} | {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
        _classes[kind] = type(kind.__name__, (LearningRate, AppliedGradients, kind), namespace)
    return _classes[kind]


def torch_class(optimizer: torch.optim.Optimizer) -> type[torch.optim.Optimizer]:
    """Return the class of an optimizer without the mixin `LearningRate`."""
    return optimizer._kind if isinstance(optimizer, LearningRate) else type(optimizer)


def _new_instance(kind: type[torch.optim.Optimizer]) -> Any:
    subclass = with_learning_rate(kind)
    return subclass.__new__(subclass)


def make_rate_check(optimizer: torch.optim.Optimizer) -> IgnoredRateCheck | None:
    """Return a check for an optimizer without the attribute `learning_rate`, else `None`."""
    return None if isinstance(optimizer, LearningRate) else IgnoredRateCheck(optimizer)


class IgnoredRateCheck:
    """A check that `learning_rate` is not set on an optimizer that ignores it.

    It is called before each step. Such an optimizer is made by the user, or by a function of the user.

    Args:
        optimizer: The optimizer, before a script could set an attribute on it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._attributes = vars(optimizer)
        self._names = [name for name in ("learning_rate", "lr") if not hasattr(optimizer, name)]
        self._kind = type(optimizer).__name__

    def __call__(self) -> None:
        """Raise an error if an attribute `learning_rate` or `lr` was set.

        Raises:
            AttributeError: It was set, which has no effect.
        """
        for name in self._names:
            if name in self._attributes:
                raise AttributeError(
                    f"optimizer.{name} was set on your own {self._kind}, where nothing reads it. Set 'lr' in its "
                    "param_groups, or give compile() the class, a functools.partial of it or a name: the optimizer "
                    "that is made of them has learning_rate."
                )
