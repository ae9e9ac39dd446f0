"""Cells: one time step of a recurrent layer, run over time by `RNN`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.name_lookup import own_name
from kerastorch.core.serialization import encode
from kerastorch.layers.base import Layer
from kerastorch.layers.rnn_gates import DropoutMasks, _GRUMath, _LSTMMath, _RecurrentWeights, _SimpleRNNMath
from kerastorch.layers.rnn_options import RecurrentOptions


class _RecurrentCell(_RecurrentWeights):
    """Cell that computes one time step by `_step`."""

    def forward(self, x: Tensor, states: Any, dropout_masks: DropoutMasks | None = None) -> tuple[Tensor, list[Tensor]]:
        """Compute the output and the new states of one time step.

        Args:
            x: Inputs, `(batch, features)`.
            states: One state or a list of states, each `(batch, units)`.
            dropout_masks: Factors from `sample_dropout_masks`, to use the same dropout at every step; `None` samples
                new ones.

        Returns:
            The output, `(batch, units)`, and a list of the new states.
        """
        input_mask, state_mask = self.sample_dropout_masks(x) if dropout_masks is None else dropout_masks
        states = [states] if isinstance(states, Tensor) else list(states)
        return self._step(self._project_inputs(x, input_mask), states, state_mask)


class SimpleRNNCell(_SimpleRNNMath, _RecurrentCell):
    """One step of `SimpleRNN`: `h' = activation(W x + U h + b)`.

    Weights have the names and the layout of `torch.nn.RNNCell`. The second bias, which only torch has, is zero and is
    not trained.

    Args:
        units: Size of the output and of the state.
        activation: Activation of the output; for this and all other arguments, see `SimpleRNN`.

    Shape: `(batch, features)`, `[(batch, units)]` -> `(batch, units)`, `[(batch, units)]`.

    >>> y, [h] = SimpleRNNCell(3)(torch.zeros(2, 5), [torch.zeros(2, 3)])
    >>> y.shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(RecurrentOptions.from_arguments(locals()))


class LSTMCell(_LSTMMath, _RecurrentCell):
    """One step of `LSTM`.

    Weights have the names and the layout of `torch.nn.LSTMCell`. The second bias, which only torch has, is zero and is
    not trained.

    Args:
        units: Size of the output and of both states.
        activation: Activation of cell input and output; for this and all other arguments, see `LSTM`.

    Shape: `(batch, features)`, two states `(batch, units)` -> `(batch, units)`, the new states.

    >>> y, [h, c] = LSTMCell(3)(torch.zeros(2, 5), [torch.zeros(2, 3), torch.zeros(2, 3)])
    >>> y.shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(RecurrentOptions.from_arguments(locals()))


class GRUCell(_GRUMath, _RecurrentCell):
    """One step of `GRU`.

    Weights have the names, the layout and the order of gates of `torch.nn.GRUCell`: reset before update.

    Args:
        units: Size of the output and of the state.
        activation: Activation of the candidate state; for this and all other arguments, see `GRU`.

    Shape: `(batch, features)`, `[(batch, units)]` -> `(batch, units)`, `[(batch, units)]`.

    >>> y, [h] = GRUCell(3)(torch.zeros(2, 5), [torch.zeros(2, 3)])
    >>> y.shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(RecurrentOptions.from_arguments(locals()))


class StackedRNNCells(Layer):
    """Stack of cells that acts as one cell: the output of each cell is the input of the next.

    Args:
        cells: Cells, at least one; `RNN` describes what a cell is.
        name: Name of the layer.
        trainable: Whether the weights of the cells are trained.

    >>> stack = StackedRNNCells([GRUCell(4), LSTMCell(3)])
    >>> stack.state_size
    [4, [3, 3]]
    """

    def __init__(self, cells: Sequence[nn.Module], *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        for cell in cells:
            check_cell(cell)
        if not cells:
            raise ValueError("cells must be a list of at least one cell, got an empty one.")
        self.cells = nn.ModuleList(cells)

    def build(self, input_shape: torch.Size) -> None:
        """Build each cell for the output size of the cell below it."""
        shape = tuple(input_shape)
        for cell in self.cells:
            if isinstance(cell, Layer):
                cell.ensure_built(shape)
            shape = shape[0], _output_size(cell)

    @property
    def state_size(self) -> list[Any]:
        """Return the state sizes of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """Return the output size of the last cell."""
        return _output_size(self.cells[-1])

    def sample_dropout_masks(self, x: Tensor) -> list[Any]:
        """Sample dropout factors for each cell, or `None` for a cell without dropout.

        Args:
            x: Inputs of the first cell, `(batch, features)` or `(batch, time, features)`.
        """
        dropout_masks = []
        for cell in self.cells:
            dropout_masks.append(dropout_masks_of(cell, x))
            size = _output_size(cell)
            # The masks of the next cell depend on the shape of its inputs only, the outputs of this one.
            x = torch.empty(x.shape[0], size, dtype=x.dtype, device=x.device) if isinstance(size, int) else x
        return dropout_masks

    def forward(self, x: Tensor, states: Sequence[Any], dropout_masks: Any = None) -> tuple[Tensor, list[Any]]:
        """Compute one time step of all cells.

        Args:
            x: Inputs of the first cell, `(batch, features)`.
            states: One item for each cell: its state or the list of its states.
            dropout_masks: Factors from `sample_dropout_masks`; `None` lets each cell sample its own.

        Returns:
            The output of the last cell, and the new states in the structure of `states`.
        """
        new_states = []
        cell_masks = [None] * len(self.cells) if dropout_masks is None else dropout_masks
        for cell, state, mask in zip(self.cells, states, cell_masks, strict=True):
            is_single = isinstance(state, Tensor)
            cell_states = [state] if is_single else list(state)
            x, new = cell(x, cell_states) if mask is None else cell(x, cell_states, mask)
            single = new if isinstance(new, Tensor) else new[0]
            new_states.append(single if is_single else new)
        return x, new_states

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, with the cells encoded."""
        return {"cells": [encode(cell) for cell in self.cells], "name": own_name(self), "trainable": self.trainable}


def _output_size(cell: Any) -> Any:
    """Return `output_size` of a cell if it has one, else the size of its first state."""
    size = getattr(cell, "output_size", None)
    if size:
        return size
    return cell.state_size[0] if isinstance(cell.state_size, (tuple, list)) else cell.state_size


def dropout_masks_of(cell: Any, x: Tensor) -> Any:
    """Return what a cell's `sample_dropout_masks` returns, or `None` for a cell without this method.

    Args:
        cell: The cell; one with the old name `draw` and without the new one is asked by the old name.
        x: Inputs, `(batch, features)` or `(batch, time, features)`.
    """
    sample = getattr(cell, "sample_dropout_masks", None) or getattr(cell, "draw", None)
    return None if sample is None else sample(x)


def check_cell(cell: Any) -> None:
    """Raise unless `cell` is a module with `state_size` that is not itself a layer over time.

    Raises:
        TypeError: `cell` is something else.

    Warns:
        DeprecationWarning: `cell` has the method `draw`, the old name of `sample_dropout_masks`.
    """
    if not isinstance(cell, nn.Module) or not hasattr(cell, "state_size") or hasattr(cell, "return_sequences"):
        raise TypeError(
            f"A cell is a module with forward(x, states) -> (output, new_states) and an attribute state_size, "
            f"as LSTMCell; got {cell!r}."
        )
    if hasattr(cell, "draw") and not hasattr(cell, "sample_dropout_masks"):
        warnings.warn(
            f"{type(cell).__name__}.draw is deprecated: it is called sample_dropout_masks now. "
            "The old name will be removed in the next release.",
            DeprecationWarning,
            stacklevel=3,
        )
