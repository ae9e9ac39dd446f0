"""Values that take the place of weights for a while: moving and running averages, and other batch statistics."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.distributed_tensors import copy_values, device_mesh, distribute_like

Tensors = Callable[[], Sequence[Tensor]]
Combine = Callable[[list[Tensor], list[Tensor], Tensor], None]


class Replacement:
    """Values for some tensors, which are put in place and taken out again.

    Args:
        tensors: Returns the tensors, always as many and in the same order.
    """

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self._values: list[Tensor] = []  # empty while there are none
        self._originals: list[Tensor] | None = None  # while the values are in place

    @property
    def is_in_place(self) -> bool:
        """Return whether the tensors have the values of this object."""
        return self._originals is not None

    @torch.no_grad()
    def put_in_place(self) -> None:
        """Copy the tensors and give them the values, unless they have them or there are none."""
        if self._values and self._originals is None:
            tensors = self.tensors()
            self._originals = [tensor.detach().clone() for tensor in tensors]
            _copy_into(tensors, self._values)

    @torch.no_grad()
    def restore(self) -> None:
        """Give the tensors their original values again, if they have others."""
        if self._originals is not None:
            _copy_into(self.tensors(), self._originals)
            self._originals = None

    @torch.no_grad()
    def record(self) -> None:
        """Take the present values of the tensors, which have their original ones, as the values to put in place."""
        self._values = [tensor.detach().clone() for tensor in self.tensors()]

    def keep(self) -> None:
        """Forget the original values, so that the values stay in place."""
        self._originals = None

    def state_dict(self) -> dict[str, Any]:
        """Return the values, and the original ones while they are replaced."""
        return {"values": self._values, "originals": self._originals}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; `restore` then gives the tensors their original values."""
        tensors = self.tensors()
        self._values = _on_devices_of(tensors, state["values"])
        originals = state["originals"]
        self._originals = None if originals is None else _on_devices_of(tensors, originals)


class WeightAverage(Replacement):
    """An average of the values that floating-point tensors had.

    Averages of tensors in half precision are float32: a small share of a new value would be rounded away there.

    Args:
        tensors: Returns the tensors, always as many and in the same order.
        combine: Function of the averages, the tensors and the number of values so far that updates the averages in
            place, as those that `torch.optim.swa_utils` makes.
    """

    def __init__(self, tensors: Tensors, combine: Combine) -> None:
        super().__init__(lambda: [one for one in tensors() if one.is_floating_point() or one.is_complex()])
        self._combine = combine
        self.count = 0  # of the values in the average

    @torch.no_grad()
    def update(self) -> None:
        """Add the present values of the tensors, which have their original ones, to the average."""
        tensors = [tensor.detach() for tensor in self.tensors()]
        if self.count:
            as_averaged = [one.to(value.dtype) for one, value in zip(tensors, self._values, strict=True)]
            # the number is on the CPU, so that no device has to be waited for
            count = torch.tensor(self.count)
            for index in _by_mesh(tensors):
                self._combine([self._values[i] for i in index], [as_averaged[i] for i in index], count)
        else:
            self._values = [one.to(_averaging_dtype(one.dtype), copy=True) for one in tensors]
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.count = state["count"]


def _averaging_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _by_mesh(tensors: Sequence[Tensor]) -> list[list[int]]:
    """Divide the numbers of tensors into those of plain ones and those of each mesh, which torch takes together."""
    found: dict[Hashable, list[int]] = {}
    for index, tensor in enumerate(tensors):
        found.setdefault(device_mesh(tensor), []).append(index)
    return list(found.values())


def _copy_into(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        copy_values(tensor, value)


def _on_devices_of(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> list[Tensor]:
    """Return copies of values, each on the device or mesh of its tensor; none, if there are no values."""
    copies = [value.to(one.device, copy=True) for one, value in zip(tensors, values, strict=False)]
    return [distribute_like(value, one) for one, value in zip(tensors, copies, strict=False)]
