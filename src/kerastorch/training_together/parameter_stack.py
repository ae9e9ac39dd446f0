"""ParameterStack: the weights of one parameter group of several optimizers, as rows of one tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training_together.tensor_stack import is_equal

ALIGNMENT = 16  # elements: each weight begins at a multiple of 64 bytes, as in memory of its own, and rounds the same
LARGEST_JOINED = 2**12  # elements of the largest weights that are joined; torch may divide larger ones among threads
LARGEST_PIECE = 2**14  # elements that an optimizer updates as one weight


class ParameterStack:
    """Weights, gradients and optimizer state of one parameter group, of several models of one architecture.

    Each of them is a tensor `(models, elements)`: the weights of a model are the parts of a row. An optimizer that
    treats all elements alike can update several rows as one weight.

    Args:
        optimizers: Optimizers of the models, which have made their state.
        members: For each model, the weights of the group that have gradients, by name.
        index: Number of the parameter group.
        is_joined: Whether rows are updated as one weight, and not weight by weight.

    Attributes:
        index: Number of the parameter group.
        weights: The weights, `(models, elements)`.
        gradients: Their gradients.
        states: Optimizer state with a number for each element, by key.
        weight_views: The weights by name, `(models, ...)`.
        gradient_views: Their gradients by name.

    Raises:
        UntraceableError: The optimizer has a state that is neither a number for each element nor one for each weight;
            or the weights of the group differ in their dtypes or states.
    """

    def __init__(
        self, optimizers: Sequence[TorchOptimizer], members: Sequence[Mapping[str, Tensor]], index: int, is_joined: bool
    ) -> None:
        self.index, self._optimizers, self._members, self._is_joined = index, optimizers, members, is_joined
        first = next(iter(members[0].values()))
        self._slots: dict[str, tuple[int, torch.Size]] = {}
        end = 0
        for name, weight in members[0].items():
            if weight.dtype != first.dtype or weight.device != first.device:
                raise UntraceableError("weights of one parameter group differ in dtype or device")
            self._slots[name] = (end, weight.shape)
            end += -(-weight.numel() // ALIGNMENT) * ALIGNMENT
        self._check_states()
        self.weights = torch.zeros(len(members), end, dtype=first.dtype, device=first.device)
        self.gradients = torch.zeros_like(self.weights)
        self.weight_views, self.gradient_views = self._views(self.weights), self._views(self.gradients)
        self.states = {
            key: torch.zeros(self.weights.shape, dtype=value.dtype, device=value.device)
            for key, value in self._first_state().items()
            if isinstance(value, Tensor) and value.ndim
        }
        state_views = {key: self._views(state) for key, state in self.states.items()}
        self._rows = [
            _Row(
                [self.weight_views[name][row] for name in self._slots],
                [self.gradient_views[name][row] for name in self._slots],
                {key: [views[name][row] for name in self._slots] for key, views in state_views.items()},
            )
            for row in range(len(members))
        ]

    def load(self) -> None:
        """Copy the weights and the optimizer state of the models into the stack."""
        for member, row in enumerate(self._rows):
            torch._foreach_copy_(row.weights, self._weights(member))
            for key, parts in row.states.items():
                torch._foreach_copy_(parts, self._states(member, key))

    def unload(self, wanted: Sequence[bool]) -> None:
        """Copy the stack into the models that are wanted; their gradients become those of the last step."""
        for member, row in enumerate(self._rows):
            if wanted[member]:
                weights = self._weights(member)
                torch._foreach_copy_(weights, row.weights)
                for key, parts in row.states.items():
                    torch._foreach_copy_(self._states(member, key), parts)
                for weight, gradient in zip(weights, row.gradients, strict=True):
                    weight.grad = gradient.clone()

    def equals_members(self) -> bool:
        """Return whether the models have the weights and states of the stack, bit by bit; NaN equals NaN."""
        for member, row in enumerate(self._rows):
            pairs = [*zip(row.weights, self._weights(member), strict=True)]
            for key, parts in row.states.items():
                pairs += zip(parts, self._states(member, key), strict=True)
            if not all(is_equal(part, tensor) for part, tensor in pairs):
                return False
        return True

    def counts(self, member: int) -> dict[str, float]:
        """Return the state with one number for each weight, such as the number of steps, of one model."""
        state = self._state(member, next(iter(self._slots)))
        return {key: float(value) for key, value in state.items() if isinstance(value, Tensor) and not value.ndim}

    def pieces(self, rows: slice) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """Yield the weights that an optimizer of some models updates, with their gradients, and their states.

        Args:
            rows: Models whose counts are equal.
        """
        if not self._is_joined:
            for member in range(rows.start, rows.stop):
                row = self._rows[member]
                for at, (weight, gradient) in enumerate(zip(row.weights, row.gradients, strict=True)):
                    yield self._piece(weight, gradient, {key: parts[at] for key, parts in row.states.items()}, member)
            return
        step = max(1, LARGEST_PIECE // self.weights.shape[1])
        for start in range(rows.start, rows.stop, step):
            part = slice(start, min(start + step, rows.stop))
            states = {key: state[part] for key, state in self.states.items()}
            yield self._piece(self.weights[part], self.gradients[part], states, start)

    def _piece(
        self, weight: Tensor, gradient: Tensor, states: Mapping[str, Tensor], member: int
    ) -> tuple[Tensor, dict[str, Any]]:
        piece = weight.detach()
        piece.grad = gradient
        first = self._state(member, next(iter(self._slots)))
        others = {key: one.clone() if isinstance(one, Tensor) else one for key, one in first.items()}
        return piece, {**others, **states}

    def set_row_state(self, member: int, state: Mapping[str, Any]) -> None:
        """Give a model the entries of such a state that are not numbers for each element."""
        new = {key: value for key, value in state.items() if key not in self.states}
        for name in self._slots:
            own = self._state(member, name)
            for key, value in new.items():
                if isinstance(value, Tensor):
                    own[key].copy_(value)
                else:
                    own[key] = value

    def _views(self, stacked: Tensor) -> dict[str, Tensor]:
        """Return the parts of a stacked tensor by name, `(models, ...)`."""
        return {
            name: stacked[:, start : start + shape.numel()].view(len(stacked), *shape)
            for name, (start, shape) in self._slots.items()
        }

    def _weights(self, member: int) -> list[Tensor]:
        return list(self._members[member].values())

    def _states(self, member: int, key: str) -> list[Tensor]:
        return [self._state(member, name)[key] for name in self._slots]

    def _first_state(self) -> dict[str, Any]:
        return self._state(0, next(iter(self._slots)))

    def _state(self, member: int, name: str) -> dict[str, Any]:
        state: dict[str, Any] = self._optimizers[member].state.get(self._members[member][name], {})
        return state

    def _check_states(self) -> None:
        """Raise an error unless the state of each weight of a model is of one kind."""
        for member, weights in enumerate(self._members):
            kinds = [kind_of_state(self._state(member, name), weight) for name, weight in weights.items()]
            if any(kind != kinds[0] for kind in kinds):
                raise UntraceableError("the optimizers of the models have different kinds of state")


def can_be_joined(weight: Tensor) -> bool:
    """Return whether an optimizer rounds the elements of a weight alike, alone and joined with others.

    On the CPU, the elements that are left when a weight is divided into vectors are computed by other instructions.
    """
    if weight.device.type != "cpu":
        return True
    return weight.numel() <= LARGEST_JOINED and weight.numel() % whole_vectors() == 0


def whole_vectors() -> int:
    """Return the number of elements in multiples of which the CPU computes by vector instructions alone."""
    return 32 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 16


class _Row(NamedTuple):
    """The parts of a stack that belong to one model, in the order of its weights."""

    weights: list[Tensor]
    gradients: list[Tensor]
    states: dict[str, list[Tensor]]


def kind_of_state(state: Mapping[str, Any], weight: Tensor) -> tuple[Any, ...]:
    """Return what must be equal for the states of weights that are updated in one call.

    Args:
        state: Optimizer state of a weight.
        weight: The weight.

    Raises:
        UntraceableError: The state is neither a number for each element nor one for the weight.
    """
    kind = []
    for key, value in sorted(state.items()):
        if not isinstance(value, Tensor):
            kind.append((key, value))
        elif not value.ndim:
            kind.append((key, float(value)))
        elif value.shape == weight.shape:
            kind.append((key, value.dtype))
        else:
            raise UntraceableError("the optimizer has a state that is not a number for each element of a weight")
    return tuple(kind)
