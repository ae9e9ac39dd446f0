"""Comparison of a compiled step with an eager step from the same weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Tolerances(NamedTuple):
    """Differences that rounding may cause.

    Attributes:
        logs: Relative to the value of a log.
        update: Norm of the error of a weight's update, relative to the update: Adam amplifies the rounding errors of
            small gradients.
        noise: Relative to the largest gradient: smaller ones may be rounding errors alone (those of a bias before
            BatchNorm).
    """

    logs: float
    update: float
    noise: float


FULL = Tolerances(logs=1e-3, update=5e-2, noise=1e-4)
# bfloat16 has 8 significant bits, and a compiled step rounds less often: not after each operation
SHORT = Tolerances(logs=2e-2, update=1e-1, noise=2e-2)


def find_difference(
    eager: Sequence[Tensor],
    initial: Sequence[Tensor],
    compiled: Sequence[Tensor],
    eager_logs: Mapping[str, Any],
    compiled_logs: Mapping[str, Any],
) -> str | None:
    """Return the first result in which two steps differ beyond rounding, by name; else `None`.

    Args:
        eager: Weights and buffers after the eager step, with the gradients of that step.
        initial: Their values before the step.
        compiled: Their values after the compiled step.
        eager_logs: Logs of the eager step.
        compiled_logs: Logs of the compiled step.
    """
    tolerances = SHORT if _computes_in_16_bits(eager) else FULL
    if compiled_logs.keys() != eager_logs.keys():
        return "set of logs"
    for name, value in eager_logs.items():
        expected, actual = torch.as_tensor(value).detach(), torch.as_tensor(compiled_logs[name])
        if not torch.allclose(actual, expected, rtol=tolerances.logs, atol=1e-5, equal_nan=True):
            return name
    largest = max((float(tensor.grad.abs().max()) for tensor in eager if tensor.grad is not None), default=0.0)
    for tensor, before, after in zip(eager, initial, compiled, strict=True):
        is_signal = None if tensor.grad is None else tensor.grad.abs() > tolerances.noise * largest
        if not _is_close(tensor.detach(), before, after, is_signal, tolerances.update):
            return "weight" if tensor.requires_grad else "buffer"
    return None


def _computes_in_16_bits(tensors: Sequence[Tensor]) -> bool:
    """Return whether any of the tensors has 16 bits, or `torch.autocast` is on for its device."""
    return any(
        tensor.dtype in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled(tensor.device.type)
        for tensor in tensors
    )


def _is_close(eager: Tensor, initial: Tensor, compiled: Tensor, is_signal: Tensor | None, tolerance: float) -> bool:
    """Return whether two updates of a tensor agree in the elements that `is_signal` marks."""
    if not eager.is_floating_point():
        return torch.equal(eager, compiled)
    if is_signal is not None:
        eager, initial, compiled = eager[is_signal], initial[is_signal], compiled[is_signal]
    if not bool(torch.isfinite(eager).all()):
        return torch.equal(torch.isfinite(eager), torch.isfinite(compiled))
    rounding = 1e-6 * float(eager.norm())
    return float((eager - compiled).norm()) <= tolerance * float((eager - initial).norm()) + rounding
