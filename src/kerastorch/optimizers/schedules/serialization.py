"""Schedules as configs in JSON types, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.core.errors import mismatch, unknown
from kerastorch.optimizers.schedules.base import LearningRateSchedule
from kerastorch.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts
from kerastorch.optimizers.schedules.decays import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from kerastorch.optimizers.schedules.warmup import Warmup

_SCHEDULES: dict[str, type[LearningRateSchedule]] = {
    kind.__name__: kind
    for kind in (
        CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay,
        Warmup,
    )
}  # fmt: skip


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return a schedule as `{"class_name": ..., "config": ...}` in JSON types.

    Args:
        learning_rate_schedule: The schedule; one of your own is named after its class.

    Raises:
        ValueError: It is no schedule.
        TypeError: An argument of it cannot be serialized.

    >>> serialize(ExponentialDecay(0.1, 100, 0.5))["class_name"]
    'ExponentialDecay'
    """
    if not isinstance(learning_rate_schedule, LearningRateSchedule):
        raise mismatch("learning_rate_schedule", learning_rate_schedule, "a LearningRateSchedule")
    schedule = learning_rate_schedule
    return {"class_name": type(schedule).__name__, "config": schedule.get_config()}


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> LearningRateSchedule:
    """Return the schedule for a config that `serialize` returned, or Keras.

    Args:
        config: `{"class_name": ..., "config": ...}`; other keys, which Keras adds, are ignored.
        custom_objects: Your own schedules by class name. Default: none.

    Raises:
        ValueError: The config has other keys, or the class is unknown.

    >>> deserialize({"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 50}})
    CosineDecay(initial_learning_rate=0.1, decay_steps=50)
    """
    if not isinstance(config, Mapping) or not {"class_name", "config"} <= config.keys():
        raise mismatch("config", config, "a dict {'class_name': ..., 'config': {...}}")
    kinds: dict[str, Any] = {**_SCHEDULES, **(custom_objects or {})}
    name = str(config["class_name"])
    kind = kinds.get(name) or kinds.get(name.rpartition(">")[2].rpartition(".")[2])
    if kind is None:
        raise unknown("schedule", name, kinds, "" if custom_objects else "Pass your own classes as custom_objects.")
    schedule: LearningRateSchedule = kind.from_config(config["config"])
    return schedule
