"""Configs of the torchmetrics metrics that a file may name: read from attributes of a metric, and made into one."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kerastorch.core.errors import unknown
from kerastorch.core.rng_state import preserved_rng_states

if TYPE_CHECKING:
    from torchmetrics import Metric

MAX_BYTES = 2**28  # of the tensors of one metric in a file


def _metric_classes() -> dict[str, type[Metric]]:
    """Return the metrics that a file may name, by class name."""
    from torchmetrics import classification, regression

    packages = (classification, regression)
    exported = {name: getattr(package, name) for package in packages for name in package.__all__}
    return {name: kind for name, kind in exported.items() if isinstance(kind, type)}


def config_of(metric: Metric) -> dict[str, Any]:
    """Return the arguments that make a metric like this one; the values are not encoded yet.

    Raises:
        TypeError: The class is not in the table, or the arguments cannot be found in the metric's attributes.
    """
    kind = type(metric)
    advice = f"give {kind.__name__} by its name, as a string, or call compile() after loading."
    if _metric_classes().get(kind.__name__) is not kind:
        raise TypeError(f"{kind.__module__}.{kind.__name__} is not among the metrics that are written; {advice}")
    parameters = [p.name for p in inspect.signature(kind).parameters.values() if p.kind is not p.VAR_KEYWORD]
    config = {name: getattr(metric, name) for name in parameters if hasattr(metric, name)}
    try:
        again = kind(**config)
    except Exception as error:
        raise TypeError(f"{kind.__name__} cannot be made again from its attributes ({error}); {advice}") from None
    if _settings(again) != _settings(metric):
        raise TypeError(f"{kind.__name__} made again from its attributes has other settings; {advice}")
    return config


def _settings(metric: Metric) -> dict[str, Any]:
    """Return what distinguishes a metric from others of its class, apart from what it has accumulated."""
    state = set(metric._defaults)
    own = {key: _plain(value) for key, value in vars(metric).items() if not key.startswith("_") and key not in state}
    return own | {f"={key}": _plain(value) for key, value in metric._defaults.items()}


def _plain(value: Any) -> Any:
    """Return a value that compares equal for equal settings; all functions are equal."""
    if isinstance(value, Tensor):
        return value.tolist()
    return repr(value) if not callable(value) else None


def make(name: Any, config: Mapping[str, Any]) -> Metric:
    """Return a metric from the name of its class and its decoded config.

    Raises:
        ValueError: The class or an argument is not known, or the metric would take too much memory.
    """
    kinds = _metric_classes()
    if name not in kinds:
        raise unknown("metric of torchmetrics", str(name), kinds)
    kind = kinds[name]
    parameters = inspect.signature(kind).parameters
    for argument in config:
        if argument not in parameters:
            raise unknown(f"argument of {name}", str(argument), parameters)
    if _size_in_bytes(kind, config) > MAX_BYTES:
        raise ValueError(f"{name} would take more than {MAX_BYTES >> 20} MiB: {str(dict(config))[:200]}.")
    with preserved_rng_states():
        return kind(**config)


def _size_in_bytes(kind: type[Metric], config: Mapping[str, Any]) -> int:
    """Return the size of a metric's tensors, or an upper limit if the metric cannot be made on the meta device."""
    try:
        with torch.device("meta"):
            metric = kind(**config)
    except (NotImplementedError, RuntimeError):
        return 8 * math.prod(max(value, 1) ** 2 for value in config.values() if isinstance(value, int))
    values = [*metric._defaults.values(), *vars(metric).values(), *metric.buffers()]
    return sum(value.numel() * value.element_size() for value in values if isinstance(value, Tensor))
