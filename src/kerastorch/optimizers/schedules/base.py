"""LearningRateSchedule: the learning rate as a function of the number of steps that the optimizer has made."""

from __future__ import annotations

import math
import numbers
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import check_float, mismatch
from kerastorch.core.ownership import is_own
from kerastorch.core.serialization import Configurable
from kerastorch.optimizers.schedules.arithmetic import ON_FLOATS, ON_TENSORS, Arithmetic, widest_dtype


class LearningRateSchedule(Configurable):
    """Base class of learning-rate schedules, the argument `learning_rate` of every optimizer.

    A schedule of your own overrides `__call__(step)`. Training calls it before each step of the optimizer with the
    number of steps made so far, as an int64 tensor without axes on the CPU, as Keras does; the first step is number 0.
    It returns the rate of that step, a number >= 0. To save a model with it, its `__init__` stores each argument under
    the name of the argument, or it has `get_config`.

    Raises:
        NotImplementedError: The class that is called does not override `__call__`.

    >>> class InverseSquareRoot(LearningRateSchedule):
    ...     def __init__(self, scale):
    ...         self.scale = scale
    ...
    ...     def __call__(self, step):
    ...         return self.scale * (step + 1) ** -0.5
    >>> InverseSquareRoot(0.5)(3)
    0.25
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step.

        Args:
            step: Number of steps that the optimizer has made, from 0.

        Raises:
            NotImplementedError: The class does not override this method.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must override __call__(self, step), which returns the learning rate of a step."
        )


class ClosedFormSchedule(LearningRateSchedule):
    """Base class of the schedules of this package: a formula that works on numbers, arrays and tensors."""

    _bounds: ClassVar[dict[str, dict[str, Any]]] = {}  # of the numbers among the arguments

    def __post_init__(self) -> None:
        for name, bounds in self._bounds.items():
            if getattr(self, name) is not None:
                check_float(name, getattr(self, name), **bounds)

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, or of each step.

        Args:
            step: Number of steps that the optimizer has made, from 0; an array or tensor of such numbers.

        Returns:
            A float for a number. An array of float64 for an array. For a tensor, a tensor on the same device, in its
            dtype if that is a floating-point type, else in torch's default dtype.

        Raises:
            ValueError: `step` is a negative number, or no number, array or tensor.
        """
        if isinstance(step, Tensor):
            dtype = step.dtype if step.is_floating_point() else torch.get_default_dtype()
            return self._rate(step.to(widest_dtype(step)), ON_TENSORS).to(dtype)
        if isinstance(step, np.ndarray) and step.dtype.kind in "iuf":
            return self._rate(torch.from_numpy(step.astype(np.float64)), ON_TENSORS).numpy()
        is_number = isinstance(step, numbers.Real) and not isinstance(step, bool)
        if not is_number or not 0 <= step < math.inf:
            raise mismatch("step", step, "a finite number >= 0, or an array or tensor of numbers")
        return float(self._rate(float(step), ON_FLOATS))

    def _rate(self, step: Any, ops: Arithmetic) -> Any:
        """Return the rate of a step.

        Args:
            step: A float, or a tensor of floats.
            ops: Arithmetic on floats or on tensors.
        """
        raise NotImplementedError


def rate_at(schedule: LearningRateSchedule, step: float) -> float:
    """Return the rate of one step, checked.

    Args:
        schedule: The schedule. One of the user's is given the step as a tensor.
        step: Number of steps made so far.

    Raises:
        ValueError: The schedule returns something else than a finite number >= 0.
    """
    result = schedule(step if is_own(type(schedule).__call__) else torch.tensor(step))
    try:
        rate = float(result)
    except (TypeError, ValueError, RuntimeError):  # no number, or a tensor of several
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise mismatch(f"{type(schedule).__name__}: the learning rate of step {step}", result, "a finite number >= 0")
    return rate
