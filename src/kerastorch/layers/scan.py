"""Recurrence over time: a loop that respects a mask, and the reordering of masked steps for a fused kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from kerastorch.symbolic.fake_tensors import is_shape_inference

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


def scan(step: Step, x: Tensor, states: Any, mask: Tensor | None) -> tuple[Tensor, Any]:
    """Run `step` over all time steps and return all outputs and the last states.

    Args:
        step: Function of one time step, `x_t, states -> output, new_states`.
        x: Inputs, `(batch, time, ...)`.
        states: Initial states: a tensor or nested lists of tensors, each `(batch, ...)`.
        mask: `(batch, time)`, boolean. At a step where it is `False`, the states do not change and the output repeats
            the one before, or is 0 before the first output. `None` selects all steps.

    Returns:
        The outputs, `(batch, time, ...)`, and the states after the last step, in the structure of `states`.
    """
    if is_shape_inference() and x.shape[1] > 2:
        # All steps have the same shapes, so two of them are enough to infer the shapes of the results.
        outputs, states = scan(step, x[:, :2], states, None if mask is None else mask[:, :2])
        return torch.cat([outputs, outputs[:, :1].expand(-1, x.shape[1] - 2, *outputs.shape[2:])], 1), states
    return _loop(step, x, states, mask)


def _loop(step: Step, x: Tensor, states: Any, mask: Tensor | None) -> tuple[Tensor, Any]:
    outputs: list[Tensor] = []
    step_masks = [None] * x.shape[1] if mask is None else mask.unbind(1)
    for x_t, selected in zip(x.unbind(1), step_masks, strict=True):
        output, new_states = step(x_t, states)
        if selected is not None:
            output = _where(selected, output, outputs[-1] if outputs else torch.zeros_like(output))
            new_states = _where(selected, new_states, states)
        outputs.append(output)
        states = new_states
    return torch.stack(outputs, 1), states


def _where(selected: Tensor, new: Any, old: Any) -> Any:
    """Return the rows of `new` at which `selected`, `(batch,)`, is `True`, else those of `old`."""
    if isinstance(new, Tensor):
        return torch.where(selected.view(-1, *[1] * (new.ndim - 1)), new, old)
    return [_where(selected, *pair) for pair in zip(new, old, strict=True)]


def zeros(x: Tensor, sizes: Any) -> Any:
    """Return zeros for each state, with the batch size, dtype and device of `x`.

    Args:
        x: `(batch, ...)`.
        sizes: Size of a state, `(batch, size)`; a `torch.Size` is the shape of one state without the batch; a list of
            sizes gives a list of states.
    """
    if isinstance(sizes, int):
        return x.new_zeros(x.shape[0], sizes)
    if isinstance(sizes, torch.Size):
        return x.new_zeros(x.shape[0], *sizes)
    return [zeros(x, size) for size in sizes]


def list_of_sizes(state_size: Any) -> list[Any]:
    """Return the size of each state.

    Args:
        state_size: Size of the only state, an integer or a `torch.Size`; or a list of the sizes of several states.
    """
    return [state_size] if isinstance(state_size, (int, torch.Size)) else list(state_size)


def pad_with_mask(x: PackedSequence) -> tuple[Tensor, Tensor, Tensor]:
    """Return a packed sequence as a padded batch, with the lengths of its rows and the mask of their steps.

    Returns:
        The batch, `(batch, time, ...)`; the lengths, `(batch,)`, in main memory; the mask, `(batch, time)`.
    """
    padded, lengths = pad_packed_sequence(x, batch_first=True)
    steps = torch.arange(padded.shape[1], device=padded.device)
    return padded, lengths, steps < lengths.to(padded.device).unsqueeze(1)


def pack_rows(y: Tensor, lengths: Tensor) -> PackedSequence:
    """Return a padded batch, `(batch, time, ...)`, as a packed sequence, with the lengths from `pad_with_mask`."""
    return pack_padded_sequence(y, lengths, batch_first=True, enforce_sorted=False)


class MaskedReordering:
    """Order of time steps in which the selected steps of each row come first, followed by padding.

    A kernel without a mask argument can run over the reordered steps. The result is exact for every mask, because a
    step that is not selected does not change the states. No value of the mask is read: this needs no device
    synchronisation, and can be traced as a whole.

    Args:
        mask: `(batch, time)`, boolean; `True` selects a step.

    Attributes:
        count: Number of selected steps up to and including each step, `(batch, time)`.
        is_padding: Whether a reordered step is padding, `(batch, time)`.
    """

    def __init__(self, mask: Tensor) -> None:
        self._order = torch.argsort(mask.logical_not().to(torch.uint8), dim=1, stable=True)
        self.count = mask.cumsum(1)
        steps = torch.arange(mask.shape[1], device=mask.device)
        self.is_padding = steps >= self.count[:, -1:]

    def gather(self, x: Tensor) -> Tensor:
        """Return the steps of `x`, `(batch, time, features)`, in the new order, with zeros as padding."""
        return _gather_steps(x, self._order).masked_fill(self.is_padding.unsqueeze(-1), 0)

    def scatter(self, outputs: Tensor) -> Tensor:
        """Return reordered outputs in the original order.

        A step that was not selected repeats the output before it, or is 0 before the first selected step.
        """
        restored = _gather_steps(outputs, (self.count - 1).clamp(min=0))
        return restored.masked_fill((self.count == 0).unsqueeze(-1), 0)


def _gather_steps(x: Tensor, index: Tensor) -> Tensor:
    """Return the time steps `index`, `(batch, time)`, of each row of `x`, `(batch, time, features)`."""
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def reverse_rows(x: Tensor, lengths: Tensor) -> Tensor:
    """Return `x` with the first `length` steps of each row reversed and its padding unchanged.

    Args:
        x: `(batch, time, features)`.
        lengths: Number of steps of each row, `(batch,)`.
    """
    steps = torch.arange(x.shape[1], device=x.device)
    reverse = lengths.unsqueeze(1) - 1 - steps
    return _gather_steps(x, torch.where(reverse >= 0, reverse, steps))
