"""Metric objects that a model holds as attributes: found, reset, protected, and captured."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from kerastorch.checkpoint.metric_state import capture_metric_state, restore_metric_state
from kerastorch.core.module_tree import modules
from kerastorch.core.unsaved_attributes import MAX_ENTRIES
from kerastorch.metrics.accumulators import WrappedMetric

_RESETS = ("reset_state", "reset_states")
_OF_TORCH = frozenset(vars(nn.Module()))
_PLAIN = (bool, int, float, str, type(None))


def is_metric(value: Any) -> bool:
    """Return whether an object has Keras' methods of a metric: `update_state`, `result` and `reset_state`."""
    kind = type(value)
    has_methods = hasattr(kind, "update_state") and hasattr(kind, "result") and any(hasattr(kind, n) for n in _RESETS)
    return has_methods and hasattr(value, "__dict__") and not isinstance(value, nn.Module)


def find_metrics(model: nn.Module, given: Any) -> list[Any]:
    """Return the metric objects among the attributes of a model and its submodules, each once.

    Args:
        model: The model.
        given: Metrics that `compile` was given, in any structure; they are left out.
    """
    known = {id(one) for one in _entries(given)}
    found = {
        id(one): one
        for part in modules(model)
        for name, value in vars(part).items()
        if name not in _OF_TORCH and type(value) not in _PLAIN
        for one in _entries(value)
        if is_metric(one)
    }
    return [one for key, one in found.items() if key not in known]


def _entries(value: Any) -> Iterator[Any]:
    """Yield the entries of nested lists, tuples and dicts, or the value itself; longer ones than 64 are data."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        yield value
    elif len(value) <= MAX_ENTRIES:
        for one in value:
            yield from _entries(one)


def reset(metrics: Iterable[Any]) -> None:
    """Reset metric objects."""
    for one in metrics:
        next(getattr(one, name) for name in _RESETS if hasattr(one, name))()


@contextmanager
def protected(metrics: Sequence[Any]) -> Iterator[None]:
    """Restore the states of metric objects afterwards, so that another pass can use them in between."""
    before = [copy.deepcopy(vars(one)) for one in metrics]
    try:
        yield
    finally:
        for one, state in zip(metrics, before, strict=True):
            vars(one).clear()
            vars(one).update(state)


@contextmanager
def replaced(metric: Any, method: str, function: Any) -> Iterator[None]:
    """Replace a method of one object for a while."""
    attributes = vars(metric)
    outer = attributes.get(method)
    attributes[method] = function
    try:
        yield
    finally:
        if outer is None:
            del attributes[method]
        else:
            attributes[method] = outer


def capture(metrics: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the states of metric objects, copied, for `restore`."""
    return [{"name": name_of(one), "state": copy.deepcopy(capture_metric_state(WrappedMetric(one)))} for one in metrics]


def restore(metrics: Sequence[Any], saved: Sequence[Mapping[str, Any]]) -> None:
    """Restore what `capture` returned into the metrics of the same names, in order."""
    for one, state in zip(metrics, saved, strict=False):
        if name_of(one) == state["name"]:
            restore_metric_state(WrappedMetric(one), state["state"])


def name_of(metric: Any) -> str:
    """Return the name of a metric object in the logs: its `name`, or that of its class."""
    name = getattr(metric, "name", None)
    return name if isinstance(name, str) else type(metric).__name__


class MetricUses:
    """Which metric objects a step updates, and which of the values it returns are their results.

    While a step runs, `update_state` and `result` of each object are wrapped on the instance.

    Args:
        metrics: The objects.
    """

    def __init__(self, metrics: Sequence[Any]) -> None:
        self._metrics = metrics
        self._updated: set[int] = set()
        self._results: list[tuple[Any, Any]] = []  # metrics, with what they have returned

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the calls within a block."""
        self._results.clear()
        with ExitStack() as stack:
            for one in self._metrics:
                stack.enter_context(replaced(one, "update_state", self._noting_update(one, one.update_state)))
                stack.enter_context(replaced(one, "result", self._noting_result(one, one.result)))
            yield

    def is_updated(self, metric: Any) -> bool:
        """Return whether a metric was updated in any of the steps so far."""
        return id(metric) in self._updated

    def source_of(self, value: Any) -> Any:
        """Return the metric whose `result()` returned a value in the last step; `None` if none did."""
        return next((metric for metric, one in self._results if value is one), None)

    def _noting_update(self, metric: Any, function: Any) -> Any:
        def update_state(*args: Any, **kwargs: Any) -> Any:
            self._updated.add(id(metric))
            return function(*args, **kwargs)

        return update_state

    def _noting_result(self, metric: Any, function: Any) -> Any:
        def result(*args: Any, **kwargs: Any) -> Any:
            value = function(*args, **kwargs)
            self._results.append((metric, value))
            return value

        return result
