"""TensorStack: tensors of several models, each stacked on a new first axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class TensorStack:
    """Corresponding tensors of several models.

    Args:
        members: For each model, a function that returns its tensors, of equal shapes and dtypes.

    Attributes:
        stacked: The tensors, `(models, ...)`.
    """

    def __init__(self, members: Sequence[Callable[[], Sequence[Tensor]]]) -> None:
        self._members = members
        tensors = [[tensor.detach() for tensor in member()] for member in members]
        self.stacked = [torch.stack(same) for same in zip(*tensors, strict=True)]
        rows = [stacked.unbind() for stacked in self.stacked]
        self._parts = [[row[member] for row in rows] for member in range(len(members))]

    def load(self) -> None:
        """Copy the tensors of the models into the stack."""
        for parts, member in zip(self._parts, self._members, strict=True):
            if parts:
                torch._foreach_copy_(parts, list(member()))

    def unload(self, wanted: Sequence[bool]) -> None:
        """Copy the stack into the models that are wanted."""
        for parts, member, is_wanted in zip(self._parts, self._members, wanted, strict=True):
            if parts and is_wanted:
                torch._foreach_copy_(list(member()), parts)

    def equals_members(self) -> bool:
        """Return whether the models have the values of the stack, bit by bit; NaN equals NaN."""
        return all(
            is_equal(part, tensor)
            for parts, member in zip(self._parts, self._members, strict=True)
            for part, tensor in zip(parts, member(), strict=True)
        )


def is_equal(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of one shape have the same values; NaN equals NaN."""
    return bool(torch.equal(one, other) or ((one == other) | ((one != one) & (other != other))).all())
