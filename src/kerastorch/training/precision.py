"""Precision: the number format that a model computes in, by `torch.autocast`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from kerastorch.core.errors import unknown
from kerastorch.core.nested import map_structure
from kerastorch.core.precision_policy import POLICIES, Policy, current_policy
from kerastorch.training.loss_scaling import UNSCALED, DynamicLossScaling, NoLossScaling

Function = TypeVar("Function", bound=Callable[..., Any])

_SHORT_NAMES = {"fp32": "float32", "bf16": "mixed_bfloat16", "fp16": "mixed_float16"}
_ADVICE = {
    "bfloat16": "Weights in bfloat16 are model.to(torch.bfloat16); mixed precision is 'bf16' or 'mixed_bfloat16'.",
    "float16": "Weights in float16 are model.half(); mixed precision is 'fp16' or 'mixed_float16'.",
    "float64": "Weights in float64 are model.double(), with precision='fp32'.",
    "bf16-mixed": "Its name is 'bf16'.",
    "16-mixed": "Its name is 'fp16'.",
    "32-true": "Its name is 'fp32'.",
    "amp": "Its names are 'bf16' and 'fp16'.",
}


@dataclass(frozen=True)
class Precision:
    """Computes steps in a precision. Weights, optimizer state, losses and what `predict` returns stay float32.

    Args:
        policy: The policy.
    """

    policy: Policy

    @classmethod
    def of(cls, given: Any) -> Precision:
        """Return the precision for the argument of `compile`.

        Args:
            given: `'fp32'`, `'bf16'`, `'fp16'`, Keras' name of a policy, a policy, or `None` for the global policy.

        Raises:
            ValueError: The name is unknown.
            TypeError: It is no name.
        """
        if given is None:
            return cls(current_policy())
        if isinstance(given, Policy):
            return cls(given)
        name = str(given).removeprefix("torch.") if isinstance(given, torch.dtype) else given
        if not isinstance(name, str):
            raise TypeError(f"precision must be 'fp32', 'bf16' or 'fp16', got {given!r}.")
        name = _SHORT_NAMES.get(name, name)
        if name not in POLICIES:
            advice = _ADVICE.get(name)
            if advice is not None:
                raise ValueError(f"precision={given!r} is no mixed precision. {advice}")
            raise unknown("precision", name, [*_SHORT_NAMES, *POLICIES])
        return cls(Policy(name))

    @property
    def is_mixed(self) -> bool:
        """Return whether modules compute in 16 bits."""
        return self.policy.compute_dtype != "float32"

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.policy.compute_dtype)
        return dtype

    def around(self, step: Function, device_type: str) -> Function:
        """Return a step on a batch that computes in this precision; `step` itself for float32."""
        if not self.is_mixed:
            return step
        dtype = self._dtype

        def mixed(*args: Any) -> Any:
            with torch.autocast(device_type, dtype):
                return step(*args)

        return mixed  # type: ignore[return-value]

    def predicting(self, step: Function, device_type: str) -> Function:
        """Return a step that computes in this precision and returns float32; `step` itself for float32."""
        if not self.is_mixed:
            return step
        mixed = self.around(step, device_type)

        def predicted(*args: Any) -> Any:
            return map_structure(_to_float32, mixed(*args))

        return predicted  # type: ignore[return-value]

    def outside(self, function: Function, device_type: str) -> Function:
        """Return a function that does not compute in this precision, though it is called within it.

        torch advises against backward passes within autocast: they run in the formats of the forward pass by
        themselves.
        """
        if not self.is_mixed:
            return function

        def full(*args: Any) -> Any:
            with torch.autocast(device_type, enabled=False):
                return function(*args)

        return full  # type: ignore[return-value]

    def loss_scaling(self, device_type: str) -> NoLossScaling:
        """Return what scales the losses: for float16, a new scaler."""
        if self.policy.compute_dtype != "float16":
            return UNSCALED
        return DynamicLossScaling(torch.amp.GradScaler(device_type))


def _to_float32(value: Any) -> Any:
    is_short = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if is_short else value


@contextmanager
def separate_autocast_cache() -> Iterator[None]:
    """Use no casts of weights from before a pass, and leave none, within a user's `torch.autocast`.

    torch caches them until the outermost autocast ends, even if the weights change; and casts that were made without
    gradients would stop learning.
    """
    torch.clear_autocast_cache()
    try:
        yield
    finally:
        torch.clear_autocast_cache()
