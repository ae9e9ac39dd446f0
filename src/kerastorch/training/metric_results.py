"""MetricResult: the value of a metric in the running pass, which is computed when it is read."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.training.mean import unshared


class MetricResult:
    """A value in what `compute_metrics` and `result()` return, which nothing has computed yet.

    `fit` reads it once, at the end of the pass, so that a step which returns it does not wait for the device. It may be
    used as a scalar tensor before; then it is computed from the batches so far.

    Args:
        name: Name of the log.
        read: Computes the value.

    >>> value = MetricResult("accuracy", lambda: torch.tensor(0.5))
    >>> float(value), 1 - value, f"{value:.2f}"
    (0.5, tensor(0.5000), '0.50')
    """

    def __init__(self, name: str, read: Callable[[], Any]) -> None:
        self.name, self._read = name, read

    def tensor(self) -> Tensor:
        """Return the present value as a tensor."""
        return torch.as_tensor(self._read()).detach()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*map(_to_tensor, args), **{name: _to_tensor(one) for name, one in (kwargs or {}).items()})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.tensor(), name)  # item, numpy, detach, shape, ...

    def __neg__(self) -> Tensor:
        return -self.tensor()

    def __float__(self) -> float:
        return float(self.tensor())

    def __format__(self, form: str) -> str:
        return format(float(self), form)

    def __repr__(self) -> str:
        return f"MetricResult({self.name!r})"


class LossResult(MetricResult):
    """The mean of the loss."""


class CompiledResult(MetricResult):
    """The value of a metric that `compile` was given; the logs have it in any case."""


class OwnResult(MetricResult):
    """The value of a metric object that the model holds.

    Args:
        name: Name of the log.
        metric: The object.
        is_updated: Returns whether the metric got any values in the running pass.
        value: What `result` of the metric has returned. Default: it is called when the value is read.
    """

    def __init__(self, name: str, metric: Any, is_updated: Callable[[], bool], value: Any = None) -> None:
        value = unshared(value) if isinstance(value, Tensor) else value
        super().__init__(name, metric.result if value is None else lambda: value)
        self.metric, self.is_updated = metric, is_updated


def flattened(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Return logs with the entries of dicts among their values in place of these dicts, as Keras logs them."""
    flat: dict[str, Any] = {}
    for name, value in logs.items():
        if isinstance(value, Mapping):
            flat.update(flattened(value))
        else:
            flat[name] = value
    return flat


def _to_tensor(value: Any) -> Any:
    return value.tensor() if isinstance(value, MetricResult) else value


def _operation(function: Callable[[Any, Any], Any], is_reflected: bool) -> Callable[[Any, Any], Any]:
    if is_reflected:
        return lambda self, other: function(_to_tensor(other), self.tensor())
    return lambda self, other: function(self.tensor(), _to_tensor(other))


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(MetricResult, f"__{_name}__", _operation(getattr(operator, _name), False))
    setattr(MetricResult, f"__r{_name}__", _operation(getattr(operator, _name), True))
for _name in ("lt", "le", "gt", "ge"):
    setattr(MetricResult, f"__{_name}__", _operation(getattr(operator, _name), False))
