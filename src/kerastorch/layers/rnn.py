"""RNN, which runs a cell over time, and RecurrentBase: the states, masks and packed sequences of recurrent layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from kerastorch.core.errors import mismatch
from kerastorch.core.module_tree import modules
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.torch_private import non_persistent_buffers, pytree
from kerastorch.layers.base import Layer
from kerastorch.layers.rnn_cells import StackedRNNCells, check_cell, dropout_masks_of
from kerastorch.layers.rnn_gates import _RecurrentWeights
from kerastorch.layers.rnn_options import SequenceOptions
from kerastorch.layers.scan import list_of_sizes, pack_rows, pad_with_mask, reverse_rows, scan, zeros


class RecurrentBase(Layer, ABC):
    """Layer that runs over time steps and passes states from each step to the next.

    Attributes:
        return_sequences: Whether the outputs of all steps are returned.
        return_state: Whether the last states are returned behind the output.
        go_backwards: Whether the last step is processed first.
        stateful: Whether a batch starts from the last states of the batch before.
        zero_output_for_mask: Whether a returned sequence is 0 at masked steps.
        feature_axis: Axis of the output that has the features, counted from the end.
    """

    takes_channels_last = True
    feature_axis = -1
    _kept = 0  # number of states stored for the next batch, in the buffers state_0, state_1, ...

    def _set_options(self, options: SequenceOptions) -> None:
        """Store each option as an attribute of the same name."""
        self.return_sequences = options.return_sequences
        self.return_state = options.return_state
        self.go_backwards = options.go_backwards
        self.stateful = options.stateful
        self.unroll = options.unroll
        self.zero_output_for_mask = options.zero_output_for_mask

    def forward(self, x: Any, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        """Run over all time steps; the docstring of the class describes the result.

        Args:
            x: `(batch, time, features)`, or a `PackedSequence`.
            initial_state: States before the first step, a tensor or a list of tensors. `None`: zeros, or the last
                states of the batch before if the layer is `stateful`.
            mask: `(batch, time)`; a step where it is `False` changes no state.

        Raises:
            ValueError: A mask with a `PackedSequence`, a mask of another shape, or a wrong number of states.
        """
        if isinstance(x, PackedSequence):
            if mask is not None:
                raise ValueError("A PackedSequence knows its lengths; give it without a mask.")
            return self._forward_packed(x, initial_state)
        mask = check_mask(self, x, mask)
        states = self._initial_states(x) if initial_state is None else self._check_states(initial_state)
        if self.go_backwards:
            x, mask = x.flip(1), None if mask is None else mask.flip(1)
        outputs, states = self._run(x, states, mask)
        if self.stateful:
            self._store_states(states)
        output = outputs if self.return_sequences else outputs[:, -1]
        if mask is not None and self.return_sequences and self.zero_output_for_mask:
            output = output.masked_fill(~mask.view(*mask.shape, *[1] * (output.ndim - 2)), 0)
        return (output, *states) if self.return_state else output

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the input if the output is a sequence, else `None`."""
        return mask if self.return_sequences else None

    @abstractmethod
    def _run(self, x: Tensor, states: list[Any], mask: Tensor | None) -> tuple[Tensor, list[Any]]:
        """Compute the outputs of all steps, first step first, and the states after the last step.

        Args:
            x: `(batch, time, features)`.
            states: States before the first step.
            mask: `(batch, time)`, boolean, or `None`.
        """

    @abstractmethod
    def _zero_states(self, x: Tensor) -> list[Any]:
        """Return the default initial states for the batch `x`."""

    @abstractmethod
    def _state_sizes(self) -> list[Any]:
        """Return the size of each state."""

    def _forward_packed(self, x: PackedSequence, initial_state: Any) -> Any:
        """Run over a packed sequence as a padded batch with a mask, and pack a returned sequence again."""
        padded, lengths, mask = pad_with_mask(x)
        if self.go_backwards:
            padded = reverse_rows(padded, lengths.to(padded.device)).flip(1)
        # `forward` flips x and mask, so each row ends up reversed and in front of its padding.
        result = self.forward(padded, initial_state, mask.flip(1) if self.go_backwards else mask)
        if not self.return_sequences:
            return result
        output = result[0] if self.return_state else result
        packed = pack_rows(output, lengths)
        return (packed, *result[1:]) if self.return_state else packed

    # --- states -----------------------------------------------------------------------------------------------

    @overridable_property
    def states(self) -> list[Tensor] | None:
        """The states that the next batch starts from, of a `stateful` layer that has run; else `None`."""
        return [*self.kept_states.values()] or None

    def _check_states(self, states: Any) -> list[Any]:
        """Return `initial_state` as a list of the right length.

        Raises:
            ValueError: The number of states is wrong.
        """
        tensors = [states] if isinstance(states, Tensor) else list(states)
        sizes = self._state_sizes()
        if len(tensors) != len(sizes):
            raise ValueError(f"initial_state of {type(self).__name__} has {len(sizes)} tensors, got {len(tensors)}.")
        return tensors

    def _initial_states(self, x: Tensor) -> list[Any]:
        """Return the states stored by the batch before `x`, or the default ones if there are none.

        Raises:
            ValueError: The stored states are of a batch of another size.
        """
        default = self._zero_states(x)
        if not self._kept:
            return default
        stored = list(self.kept_states.values())
        if stored[0].shape[0] != x.shape[0]:
            if hasattr(x, "fake_mode"):  # shape inference runs with a batch size of its own
                return default
            raise ValueError(
                f"{type(self).__name__} is stateful and keeps states of {stored[0].shape[0]} rows, got a batch of "
                f"{x.shape[0]}. Give batches of one size, or call reset_state() first."
            )
        # The buffers are overwritten before the backward pass runs, so the graph gets copies.
        states = [state.clone() for state in stored]
        return pytree.tree_unflatten(states, pytree.tree_structure(default))  # type: ignore[no-any-return]

    def _store_states(self, states: list[Any]) -> None:
        """Store the last states in buffers, for the next batch."""
        leaves = [leaf.detach() for leaf in pytree.tree_leaves(states)]
        if self._kept and self.get_buffer("state_0").shape == leaves[0].shape:
            for index, leaf in enumerate(leaves):
                self.get_buffer(f"state_{index}").copy_(leaf)
        elif leaves[0].__class__ is Tensor:  # not a fake tensor or a symbol, which have no values to store
            self.reset_state()  # states of another batch size, which `initial_state` replaced
            for index, leaf in enumerate(leaves):
                self.register_buffer(f"state_{index}", leaf.clone(), persistent=False)
            self._kept = len(leaves)

    @property
    def kept_states(self) -> dict[str, Tensor]:
        """Return the states stored for the next batch, by the names of their buffers."""
        return {name: self.get_buffer(name) for name in (f"state_{index}" for index in range(self._kept))}

    @kept_states.setter
    def kept_states(self, states: Mapping[str, Tensor]) -> None:
        self.reset_state()
        for name, state in states.items():
            self.register_buffer(name, state.clone(), persistent=False)
        self._kept = len(states)

    def reset_state(self) -> None:
        """Delete the stored states, so that the next batch starts from zeros and may have another size."""
        for index in range(self._kept):
            del self._buffers[f"state_{index}"]
            non_persistent_buffers(self).discard(f"state_{index}")
        self._kept = 0

    reset_states = reset_state


class RNN(RecurrentBase):
    """Recurrent layer that runs a cell over time.

    A cell is a module with `forward(x, states) -> (output, new_states)` and `state_size`: an integer for one state, a
    list for several. It may have `get_initial_state(batch_size)`; by default, states are zeros before the first step.
    It may have `sample_dropout_masks(x)`, called once for all steps of `x`, `(batch, time, ...)`: unless the result is
    `None`, each step is `forward(x, states, result)`. The old name of this method, `draw`, still works.

    Args:
        cell: A cell, or a list of cells that become `StackedRNNCells`.
        return_sequences: Whether to return the outputs of all time steps instead of the last one.
        return_state: Whether to return `(output, *states)` instead of the output.
        go_backwards: Whether to process the last time step first; outputs are in the order of computation.
        stateful: Whether each row of a batch starts from the last states of the same row in the previous batch, until
            `reset_state()` is called.
        unroll: Accepted for compatibility with Keras; it has no effect.
        zero_output_for_mask: Whether a returned sequence is 0 at masked steps, instead of repeating the step before.
        activity_regularizer: Penalty on the output, divided by the batch size.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `(batch, time, ...)` -> `(batch, output_size)`, or `(batch, time, output_size)` with `return_sequences`.

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
        options = SequenceOptions.from_arguments(locals())
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        if isinstance(cell, (tuple, list)):
            cell = StackedRNNCells(cell)
        check_cell(cell)
        self.cell = cell
        self._set_options(options)

    def build(self, input_shape: torch.Size) -> None:
        """Build the cell for the features of one time step."""
        if isinstance(self.cell, Layer):
            self.cell.ensure_built((input_shape[0], *input_shape[2:]))

    def _state_sizes(self) -> list[Any]:
        return list_of_sizes(self.cell.state_size)  # type: ignore[union-attr]

    def _zero_states(self, x: Tensor) -> list[Any]:
        states = _initial_cell_states(self.cell, x)
        return [states] if isinstance(states, Tensor) else list(states)

    def _run(self, x: Tensor, states: list[Any], mask: Tensor | None) -> tuple[Tensor, list[Any]]:
        cell: Any = self.cell
        dropout_masks = dropout_masks_of(cell, x)

        def step(x_t: Tensor, states: list[Any]) -> tuple[Tensor, list[Any]]:
            output, new = cell(x_t, states) if dropout_masks is None else cell(x_t, states, dropout_masks)
            return output, [new] if isinstance(new, Tensor) else list(new)

        return scan(step, x, states, mask)


def reset_all_states(module: nn.Module) -> None:
    """Reset the states of all stateful layers in `module`, as after a dry run."""
    for part in modules(module):
        if isinstance(part, RecurrentBase) and part.stateful:
            part.reset_state()


def _initial_cell_states(cell: Any, x: Tensor) -> Any:
    """Return the states from `get_initial_state` of a cell if it has this method, else zeros."""
    if isinstance(cell, StackedRNNCells):
        return [_initial_cell_states(part, x) for part in cell.cells]
    make = getattr(cell, "get_initial_state", None)
    # Our own cells get zeros with the dtype of x, which may differ from that of their weights.
    if make is None or isinstance(cell, _RecurrentWeights):
        return zeros(x, cell.state_size)
    return make(x.shape[0])


def check_mask(layer: Layer, x: Tensor, mask: Tensor | None) -> Tensor | None:
    """Return the mask as booleans if it fits `x`.

    Args:
        layer: The layer, whose name error messages contain.
        x: `(batch, time, features)`.
        mask: `(batch, time)`, or `None`.

    Raises:
        ValueError: `x` has fewer than 3 axes, or the mask another batch size or number of steps.
    """
    if x.ndim < 3:
        raise ValueError(f"{type(layer).__name__} takes (batch, time, features), got shape {tuple(x.shape)}.")
    if mask is None:
        return None
    if mask.ndim != 2 or mask.shape[1] != x.shape[1] or mask.shape[0] != x.shape[0]:
        raise mismatch("mask", tuple(mask.shape), f"of shape (batch, time), here {tuple(x.shape[:2])}")
    return mask if mask.dtype == torch.bool else mask.bool()
