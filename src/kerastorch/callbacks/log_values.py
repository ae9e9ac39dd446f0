"""Values in the logs of callbacks: numbers, and other objects that a callback may log."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from torch import Tensor


def as_float(value: Any) -> float | None:
    """Return a number, or an array or tensor of one element, as a float; `None` for everything else."""
    if isinstance(value, (Tensor, np.ndarray)):
        if (value.numel() if isinstance(value, Tensor) else value.size) != 1:
            return None
        value = value.item()
    if not hasattr(value, "__float__") or isinstance(value, (complex, np.complexfloating)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):  # an array of another library
        return None


def as_logged(value: Any) -> Any:
    """Return a number as a float, and a copy of everything else, which later changes do not affect.

    The copy of a tensor is in main memory and has no autograd graph. An object that cannot be copied is returned
    itself.
    """
    number = as_float(value)
    if number is not None:
        return number
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def monitored_value(who: str, name: str, value: Any) -> float:
    """Return the value of a monitored log as a float.

    Args:
        who: Class name of the callback, for the error message.
        name: Name of the log.
        value: Its value.

    Raises:
        ValueError: The value is not a number.
    """
    number = as_float(value)
    if number is None:
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        raise ValueError(
            f"{who}: {name!r} must be a number, got {type(value).__name__}{shape}. Log a number under a name of its "
            "own, such as its mean, and use that."
        )
    return number
