"""Whether a compiled step did what the eager one did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

NEAR = (
    5e-2  # how far a weight's change may be off, of that change: Adam turns the rounding of small gradients into more
)
NOISE = 1e-4  # of the largest gradient: smaller ones may be made of rounding (those of a bias before BatchNorm)


def difference(
    now: Sequence[Tensor],
    before: Sequence[Tensor],
    after: Sequence[Tensor],
    logs: Mapping[str, Any],
    eager_logs: Mapping[str, Any],
) -> str | None:
    """What differs, in a word; `None` if nothing does.

    Args:
        now: weights and buffers, after an eager step.
        before: before it.
        after: after a compiled step from there.
        logs: of the compiled step.
        eager_logs: of the eager step.
    """
    if logs.keys() != eager_logs.keys():
        return "set of logs"
    for name, value in eager_logs.items():
        if not torch.allclose(torch.as_tensor(logs[name]), torch.as_tensor(value).detach(), 1e-3, 1e-5, equal_nan=True):
            return name
    largest = max((float(one.grad.abs().max()) for one in now if one.grad is not None), default=0.0)
    for one, old, compiled in zip(now, before, after, strict=True):
        meant = None if one.grad is None else one.grad.abs() > NOISE * largest
        if not _near(one.detach(), old, compiled, meant):
            return "weight" if one.requires_grad else "buffer"
    return None


def _near(eager: Tensor, old: Tensor, compiled: Tensor, meant: Tensor | None) -> bool:
    if not eager.is_floating_point():
        return torch.equal(eager, compiled)
    if meant is not None:
        eager, old, compiled = eager[meant], old[meant], compiled[meant]
    if not bool(torch.isfinite(eager).all()):
        return torch.equal(torch.isfinite(eager), torch.isfinite(compiled))
    rounding = 1e-6 * float(eager.norm())
    return float((eager - compiled).norm()) <= NEAR * float((eager - old).norm()) + rounding
