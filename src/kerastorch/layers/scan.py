"""A recurrence over time: as a loop, and what a mask does to one whose steps are hidden in a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kerastorch.symbolic.fake_tensors import is_shape_inference

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


def scan(step: Step, x: Tensor, states: Any, mask: Tensor | None) -> tuple[Tensor, Any]:
    """All outputs, `(batch, time, ...)`, and the last states.

    Args:
        step: `x_t, states -> output, states`.
        x: `(batch, time, ...)`.
        states: tensors, in lists of lists.
        mask: `(batch, time)`; where it is `False`, the states stay and the output is the one before, 0 at first.
    """
    if is_shape_inference() and x.shape[1] > 2:
        outputs, states = scan(step, x[:, :2], states, None if mask is None else mask[:, :2])
        return torch.cat([outputs, outputs[:, :1].expand(-1, x.shape[1] - 2, *outputs.shape[2:])], 1), states
    return _loop(step, x, states, mask)


def _loop(step: Step, x: Tensor, states: Any, mask: Tensor | None) -> tuple[Tensor, Any]:
    outputs: list[Tensor] = []
    keeps = [None] * x.shape[1] if mask is None else mask.unbind(1)
    for x_t, keep in zip(x.unbind(1), keeps, strict=True):
        output, new = step(x_t, states)
        if keep is not None:
            output = _where(keep, output, outputs[-1] if outputs else torch.zeros_like(output))
            new = _where(keep, new, states)
        outputs.append(output)
        states = new
    return torch.stack(outputs, 1), states


def _where(keep: Tensor, new: Any, old: Any) -> Any:
    if isinstance(new, Tensor):
        return torch.where(keep.view(-1, *[1] * (new.ndim - 1)), new, old)
    return [_where(keep, *both) for both in zip(new, old, strict=True)]


def zeros(x: Tensor, sizes: Any) -> Any:
    """Zeros for each state, `(batch, size)`, in the structure of `sizes`; a `torch.Size` is the shape of one state."""
    if isinstance(sizes, int):
        return x.new_zeros(x.shape[0], sizes)
    if isinstance(sizes, torch.Size):
        return x.new_zeros(x.shape[0], *sizes)
    return [zeros(x, size) for size in sizes]


class MaskedReordering:
    """The steps that count, moved to the front: a kernel that knows no mask runs over those first, and over the rest
    after them. Exact for every mask, since a step that does not count leaves the states alone.

    Args:
        mask: `(batch, time)`.
    """

    def __init__(self, mask: Tensor) -> None:
        self.order = torch.argsort(mask.logical_not().to(torch.uint8), dim=1, stable=True)
        self.count = mask.cumsum(1)  # so far, (batch, time)
        number = torch.arange(mask.shape[1], device=mask.device)
        self.rest = number >= self.count[:, -1:]  # what lies behind, once they are at the front

    def gather(self, x: Tensor) -> Tensor:
        """`x` in the new order, 0 in the steps that do not count: whatever stood there, it has no say."""
        return _gathered(x, self.order).masked_fill(self.rest.unsqueeze(-1), 0)

    def scatter(self, outputs: Tensor) -> Tensor:
        """Outputs in their own places; the one before where a step does not count, 0 before the first."""
        found = _gathered(outputs, (self.count - 1).clamp(min=0))
        return found.masked_fill((self.count == 0).unsqueeze(-1), 0)


def _gathered(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def backwards(x: Tensor, lengths: Tensor) -> Tensor:
    """Each row's first `length` steps in reverse, what is behind them as it was."""
    number = torch.arange(x.shape[1], device=x.device)
    reverse = lengths.unsqueeze(1) - 1 - number
    return _gathered(x, torch.where(reverse >= 0, reverse, number))
