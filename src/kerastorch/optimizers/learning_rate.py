"""The learning rate of a `torch.optim` optimizer: read, set, and as its attribute `learning_rate`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import check_float
from kerastorch.core.ownership import is_from


def rates(optimizer: Any) -> list[float]:
    """Read the rate of each parameter group.

    Raises:
        ValueError: it has none.
    """
    known = isinstance(optimizer, torch.optim.Optimizer)
    if not known or any("lr" not in group for group in optimizer.param_groups):
        raise ValueError(f"{type(optimizer).__name__} has no learning rate: no 'lr' in its param_groups.")
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_rates(optimizer: Any, values: list[float]) -> None:
    """Give each group its rate; one that is a tensor stays that tensor."""
    for group, value in zip(optimizer.param_groups, values, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def one_rate(optimizer: Any, problem: str, cure: str) -> float:
    """Return the learning rate of all groups.

    Raises:
        ValueError: they have different ones; the message is the problem, the rates and the cure.
    """
    found = rates(optimizer)
    if len(set(found)) > 1:
        raise ValueError(f"{problem}: {', '.join(map(repr, found))}. {cure}")
    return found[0]


class LearningRate:
    """Mixin of optimizers of torch: `learning_rate` is the `'lr'` of all parameter groups."""

    param_groups: list[dict[str, Any]]
    _kind: type[torch.optim.Optimizer]

    @property
    def learning_rate(self) -> float:
        """The learning rate of all parameter groups; setting it sets that of all.

        Raises:
            ValueError: the groups have different ones.
        """
        return self._one_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        given = check_float("learning_rate", float(value) if isinstance(value, Tensor) else value, least=0)
        self._one_rate()
        set_rates(self, [given] * len(self.param_groups))

    @property
    def lr(self) -> float:
        """Refused: the name is `learning_rate`, as in Keras."""
        raise AttributeError(_OTHER_NAME)

    @lr.setter
    def lr(self, value: Any) -> None:
        raise AttributeError(_OTHER_NAME)

    def _one_rate(self) -> float:
        return one_rate(
            self,
            "the groups of the optimizer have several learning rates",
            "Read and set them one by one: optimizer.param_groups[0]['lr'], ...",
        )

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # the class is found by the one it was made of, since no module holds it
        return _bare, (self._kind,), self.__getstate__()


_made: dict[type[torch.optim.Optimizer], type[torch.optim.Optimizer]] = {}  # with `learning_rate`
_OTHER_NAME = "an optimizer has no attribute 'lr'; it is learning_rate, or param_groups[0]['lr']."


def with_learning_rate(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """The same class with `learning_rate`; `kind` itself if that has such an attribute, or one `lr`, of its own.

    >>> optimizer = with_learning_rate(torch.optim.SGD)([torch.zeros(1)], lr=0.1)
    >>> optimizer.learning_rate = 0.5
    >>> optimizer.param_groups[0]["lr"], isinstance(optimizer, torch.optim.SGD)
    (0.5, True)
    """
    if hasattr(kind, "learning_rate") or hasattr(kind, "lr") or not is_from(kind, "torch.optim"):
        return kind
    if kind not in _made:
        about = {"_kind": kind, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
        _made[kind] = type(kind.__name__, (LearningRate, kind), {**about, "__doc__": kind.__doc__})
    return _made[kind]


def torch_class(optimizer: torch.optim.Optimizer) -> type[torch.optim.Optimizer]:
    """The class of an optimizer without `learning_rate`: that of torch, or of the user."""
    return optimizer._kind if isinstance(optimizer, LearningRate) else type(optimizer)


def _bare(kind: type[torch.optim.Optimizer]) -> Any:
    made = with_learning_rate(kind)
    return made.__new__(made)


def watch_rate(optimizer: torch.optim.Optimizer) -> RateWatch | None:
    """Return what refuses a `learning_rate` that nothing reads; `None` for an optimizer that reads it."""
    return None if isinstance(optimizer, LearningRate) else RateWatch(optimizer)


class RateWatch:
    """Refuses a `learning_rate` that is set on an optimizer of torch that does not know it.

    Called before each step of such an optimizer, the user's own or made by a function of the user's.

    Args:
        optimizer: before a script could set an attribute on it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._attributes = vars(optimizer)
        self._names = [name for name in ("learning_rate", "lr") if not hasattr(optimizer, name)]
        self._kind = type(optimizer).__name__

    def __call__(self) -> None:
        """Look.

        Raises:
            AttributeError: it was set.
        """
        for name in self._names:
            if name in self._attributes:
                raise AttributeError(
                    f"optimizer.{name} was set on your own {self._kind}, where nothing reads it. Set 'lr' in its "
                    "param_groups, or give compile() the class, a functools.partial of it or a name: the optimizer "
                    "that is made of them has learning_rate."
                )
