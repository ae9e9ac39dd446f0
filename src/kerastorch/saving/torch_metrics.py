"""Metrics of torchmetrics: which a file may name, and what they were made with, read back from their attributes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import unknown
from kerastorch.core.rng_state import preserved_rng_states

MOST = 2**28  # bytes that a metric of a file may take


def _kinds() -> dict[str, Any]:
    from torchmetrics import classification, regression

    rooms = (classification, regression)
    found = {name: getattr(room, name) for room in rooms for name in room.__all__}
    return {name: kind for name, kind in found.items() if isinstance(kind, type)}


def config_of(metric: Any) -> dict[str, Any]:
    """What makes another one like this.

    Raises:
        TypeError: another kind, or its attributes do not tell what it was made with.
    """
    kind = type(metric)
    advice = f"give {kind.__name__} by its name, as a string, or call compile() after loading."
    if _kinds().get(kind.__name__) is not kind:
        raise TypeError(f"{kind.__module__}.{kind.__name__} is not among the metrics that are written; {advice}")
    listed = [one.name for one in inspect.signature(kind).parameters.values() if one.kind is not one.VAR_KEYWORD]
    config = {name: getattr(metric, name) for name in listed if hasattr(metric, name)}
    try:
        again = kind(**config)
    except Exception as error:
        raise TypeError(f"{kind.__name__} does not tell what it was made with ({error}); {advice}") from None
    if _settings(again) != _settings(metric):
        raise TypeError(f"{kind.__name__} does not tell all that it was made with; {advice}")
    return config


def _settings(metric: Any) -> dict[str, Any]:
    """What distinguishes it from others of its kind, its running state aside."""
    state = set(metric._defaults)
    own = {key: _plain(value) for key, value in vars(metric).items() if not key.startswith("_") and key not in state}
    return own | {f"={key}": _plain(value) for key, value in metric._defaults.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    return repr(value) if not callable(value) else None


def make(name: Any, config: Mapping[str, Any]) -> Any:
    """A metric from its name and decoded config."""
    kinds = _kinds()
    if name not in kinds:
        raise unknown("metric of torchmetrics", str(name), kinds)
    kind = kinds[name]
    listed = inspect.signature(kind).parameters
    for argument in config:
        if argument not in listed:
            raise unknown(f"argument of {name}", str(argument), listed)
    if _size(kind, config) > MOST:
        raise ValueError(f"{name} would take more than {MOST >> 20} MiB: {str(dict(config))[:200]}.")
    with preserved_rng_states():
        return kind(**config)


def _size(kind: Any, config: Mapping[str, Any]) -> int:
    """Bytes of the tensors that a metric holds; where only numbers could tell, a guess that is too high."""
    try:
        with torch.device("meta"):
            made = kind(**config)
    except (NotImplementedError, RuntimeError):
        return 8 * math.prod(max(value, 1) ** 2 for value in config.values() if isinstance(value, int))
    held = [*made._defaults.values(), *vars(made).values(), *made.buffers()]
    return sum(value.numel() * value.element_size() for value in held if isinstance(value, Tensor))
