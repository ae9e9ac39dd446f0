"""Arithmetic on a step number that is a Python float or a tensor, so that each schedule has one formula for both."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor


class Arithmetic(Protocol):
    """Functions of a step number. `+ - * / **` and comparisons work on both kinds of numbers."""

    def cos(self, value: Any) -> Any:
        """Return the cosine of an angle in radians."""

    def floor(self, value: Any) -> Any:
        """Return the largest integer that is not larger, as a float."""

    def ceil(self, value: Any) -> Any:
        """Return the smallest integer that is not smaller, as a float."""

    def log(self, value: Any) -> Any:
        """Return the natural logarithm of a positive number."""

    def clip(self, value: Any, least: float, most: float) -> Any:
        """Return the value, replaced by a bound that it exceeds."""

    def where(self, condition: Any, value: Any, other: Any) -> Any:
        """Return `value` where the condition is true, else `other`."""


class FloatArithmetic:
    """Arithmetic on Python floats."""

    def cos(self, value: float) -> float:
        return math.cos(value)

    def floor(self, value: float) -> float:
        return float(math.floor(value))

    def ceil(self, value: float) -> float:
        return float(math.ceil(value))

    def log(self, value: float) -> float:
        return math.log(value)

    def clip(self, value: float, least: float, most: float) -> float:
        return min(max(value, least), most)

    def where(self, condition: bool, value: float, other: float) -> float:
        return value if condition else other


class TensorArithmetic:
    """Arithmetic on tensors, element by element, which never reads their values."""

    def cos(self, value: Tensor) -> Tensor:
        return torch.cos(value)

    def floor(self, value: Tensor) -> Tensor:
        return torch.floor(value)

    def ceil(self, value: Tensor) -> Tensor:
        return torch.ceil(value)

    def log(self, value: Tensor) -> Tensor:
        return torch.log(value)

    def clip(self, value: Tensor, least: float, most: float) -> Tensor:
        return torch.clamp(value, least, most)

    def where(self, condition: Tensor, value: Any, other: Any) -> Tensor:
        return torch.where(condition, value, other)


ON_FLOATS, ON_TENSORS = FloatArithmetic(), TensorArithmetic()


def widest_dtype(tensor: Tensor) -> torch.dtype:
    """Return float64 if the device of a tensor has it, else float32."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64
