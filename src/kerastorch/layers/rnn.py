"""RNN: a cell over time; and what every layer over time does with states, masks and packed sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from kerastorch.core.errors import mismatch
from kerastorch.core.module_tree import modules
from kerastorch.core.torch_private import non_persistent_buffers, pytree
from kerastorch.layers.base import Layer
from kerastorch.layers.rnn_cells import StackedRNNCells, check_cell
from kerastorch.layers.rnn_gates import _Gated
from kerastorch.layers.scan import backwards, scan, zeros


class RecurrentBase(Layer):
    takes_channels_last = True
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    zero_output_for_mask: bool
    _kept = 0  # how many states are kept for the next batch

    def _settle(
        self,
        return_sequences: bool,
        return_state: bool,
        go_backwards: bool,
        stateful: bool,
        unroll: bool,
        zero_output_for_mask: bool,
    ) -> None:
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.stateful, self.unroll, self.zero_output_for_mask = stateful, unroll, zero_output_for_mask

    def forward(self, x: Any, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        """See the class.

        Args:
            x: `(batch, time, features)`, or a `PackedSequence`.
            initial_state: the states before the first step; `None`: zeros, or the last ones where `stateful`.
            mask: `(batch, time)`, `True` where a step counts.
        """
        if isinstance(x, PackedSequence):
            if mask is not None:
                raise ValueError("A PackedSequence knows its lengths; give it without a mask.")
            return self._on_packed(x, initial_state)
        mask = checked_mask(self, x, mask)
        states = self._given(initial_state) if initial_state is not None else self._first(x)
        if self.go_backwards:
            x, mask = x.flip(1), None if mask is None else mask.flip(1)
        outputs, states = self._run(x, states, mask)
        if self.stateful:
            self._keep(states)
        output = outputs if self.return_sequences else outputs[:, -1]
        if mask is not None and self.return_sequences and self.zero_output_for_mask:
            output = output.masked_fill(~mask.view(*mask.shape, *[1] * (output.ndim - 2)), 0)
        return (output, *states) if self.return_state else output

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """That of the input where the output is a sequence."""
        return mask if self.return_sequences else None

    def _run(self, x: Tensor, states: list[Any], mask: Tensor | None) -> tuple[Tensor, list[Any]]:
        """Outputs of all steps and the last states, forwards in time."""
        raise NotImplementedError

    def _zeros(self, x: Tensor) -> list[Any]:
        """The states to begin with."""
        raise NotImplementedError

    def _on_packed(self, x: PackedSequence, initial_state: Any) -> Any:
        """Lengths are a mask; what comes out is packed again where it is a sequence."""
        padded, lengths = pad_packed_sequence(x, batch_first=True)
        if self.go_backwards:
            padded = backwards(padded, lengths.to(padded.device)).flip(1)
        number = torch.arange(padded.shape[1], device=padded.device)
        mask = number < lengths.to(padded.device).unsqueeze(1)
        # flipped, rows begin with their padding, which changes nothing: the last steps are the sequence
        found = self.forward(padded, initial_state, mask.flip(1) if self.go_backwards else mask)
        if not self.return_sequences:
            return found
        output = found[0] if self.return_state else found
        packed = pack_padded_sequence(output, lengths, batch_first=True, enforce_sorted=False)
        return (packed, *found[1:]) if self.return_state else packed

    # --- states -----------------------------------------------------------------------------------------------

    def _given(self, states: Any) -> list[Any]:
        given = [states] if isinstance(states, Tensor) else list(states)
        sizes = self._state_sizes()
        if len(given) != len(sizes):
            raise ValueError(f"initial_state of {type(self).__name__} has {len(sizes)} tensors, got {len(given)}.")
        return given

    def _state_sizes(self) -> list[Any]:
        raise NotImplementedError

    def _first(self, x: Tensor) -> list[Any]:
        fresh = self._zeros(x)
        if not self._kept:
            return fresh
        kept = [self._buffers[f"state_{index}"] for index in range(self._kept)]
        assert kept[0] is not None
        if kept[0].shape[0] != x.shape[0]:
            if hasattr(x, "fake_mode"):  # a call that only asks for shapes, with rows of its own
                return fresh
            raise ValueError(
                f"{type(self).__name__} is stateful and keeps states of {kept[0].shape[0]} rows, got a batch of "
                f"{x.shape[0]}. Give batches of one size, or call reset_state() first."
            )
        # copies, for the buffers are written to before anybody has gone backward
        states = [state.clone() for state in kept if state is not None]
        return pytree.tree_unflatten(states, pytree.tree_structure(fresh))  # type: ignore[no-any-return]

    def _keep(self, states: list[Any]) -> None:
        leaves = [leaf.detach() for leaf in pytree.tree_leaves(states)]
        if self._kept:
            if self.get_buffer("state_0").shape != leaves[0].shape:
                return  # see _first
            for index, leaf in enumerate(leaves):
                self.get_buffer(f"state_{index}").copy_(leaf)
        elif leaves[0].__class__ is Tensor:  # else it stands for one, as for a functional model
            for index, leaf in enumerate(leaves):
                self.register_buffer(f"state_{index}", leaf.clone(), persistent=False)
            self._kept = len(leaves)

    @property
    def kept_states(self) -> dict[str, Tensor]:
        """The states kept from batch to batch, by the names of their buffers."""
        return {name: self.get_buffer(name) for name in (f"state_{index}" for index in range(self._kept))}

    @kept_states.setter
    def kept_states(self, states: Mapping[str, Tensor]) -> None:
        self.reset_state()
        for name, state in states.items():
            self.register_buffer(name, state.clone(), persistent=False)
        self._kept = len(states)

    def reset_state(self) -> None:
        """Forget the states kept from batch to batch: the next one begins with zeros, and may have another size."""
        for index in range(self._kept):
            del self._buffers[f"state_{index}"]
            non_persistent_buffers(self).discard(f"state_{index}")
        self._kept = 0

    reset_states = reset_state


class RNN(RecurrentBase):
    """A cell, run over time.

    A cell is a module with `forward(x, states) -> (output, new_states)` and `state_size`: an integer for one state, a
    list for several. It may have `get_initial_state(batch_size)`; else states begin as zeros.

    Args:
        cell: a cell, or a list of cells, one above the other (`StackedRNNCells`).
        return_sequences: whether the outputs of all steps come out, not only the last.
        return_state: whether the last states come out too, behind the output.
        go_backwards: whether it begins at the end; outputs are in the order in which they were computed.
        stateful: whether the last states of a batch are the first of the next, row by row.
        unroll: accepted; the loop is Python's in any case.
        zero_output_for_mask: whether outputs of masked steps are 0 in a sequence, not those of the step before.
        name: see `Layer`; so are `trainable` and `activity_regularizer`.

    Shape: `(batch, time, ...)` -> `(batch, output_size)`, or `(batch, time, output_size)`.

    >>> from kerastorch.layers.rnn_cells import GRUCell, LSTMCell
    >>> RNN([GRUCell(4), LSTMCell(3)], return_sequences=True)(torch.zeros(2, 6, 5)).shape
    torch.Size([2, 6, 3])
    """

    def __init__(
        self,
        cell: nn.Module | Sequence[nn.Module],
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        *,
        activity_regularizer: Any = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        if isinstance(cell, (tuple, list)):
            cell = StackedRNNCells(cell)
        check_cell(cell)
        self.cell = cell
        self._settle(return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask)

    def build(self, input_shape: torch.Size) -> None:
        if isinstance(self.cell, Layer):
            self.cell.ensure_built((input_shape[0], *input_shape[2:]))

    def _state_sizes(self) -> list[Any]:
        sizes: Any = self.cell.state_size  # type: ignore[union-attr]
        return [sizes] if isinstance(sizes, int) else list(sizes)

    def _zeros(self, x: Tensor) -> list[Any]:
        states = _initial(self.cell, x)
        return [states] if isinstance(states, Tensor) else list(states)

    def _run(self, x: Tensor, states: list[Any], mask: Tensor | None) -> tuple[Tensor, list[Any]]:
        cell: Any = self.cell
        draws = getattr(cell, "draw", None)
        drawn = None if draws is None else draws(x)

        def step(x_t: Tensor, states: list[Any]) -> tuple[Tensor, list[Any]]:
            output, new = cell(x_t, states) if drawn is None else cell(x_t, states, drawn)
            return output, [new] if isinstance(new, Tensor) else list(new)

        return scan(step, x, states, mask)


def reset_all_states(module: nn.Module) -> None:
    """Drop the states that a dry run has left in stateful layers."""
    for part in modules(module):
        if isinstance(part, RecurrentBase) and part.stateful:
            part.reset_state()


def _initial(cell: Any, x: Tensor) -> Any:
    """Zeros for a cell's states, or what it says itself."""
    if isinstance(cell, StackedRNNCells):
        return [_initial(one, x) for one in cell.cells]
    make = getattr(cell, "get_initial_state", None)
    return zeros(x, cell.state_size) if make is None or isinstance(cell, _Gated) else make(x.shape[0])


def checked_mask(layer: Layer, x: Tensor, mask: Tensor | None) -> Tensor | None:
    """The mask as booleans, of the same batch and time as `x`."""
    if x.ndim < 3:
        raise ValueError(f"{type(layer).__name__} takes (batch, time, features), got shape {tuple(x.shape)}.")
    if mask is None:
        return None
    if mask.ndim != 2 or mask.shape[1] != x.shape[1] or mask.shape[0] != x.shape[0]:
        raise mismatch("mask", tuple(mask.shape), f"of shape (batch, time), here {tuple(x.shape[:2])}")
    return mask if mask.dtype == torch.bool else mask.bool()
