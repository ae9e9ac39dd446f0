"""Cells: one time step of a recurrent layer, for `RNN`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.serialization import encode
from kerastorch.layers.base import Layer
from kerastorch.layers.rnn_gates import Drawn, _Gated, _LongShort, _Reset, _Simple


class _Cell(_Gated):
    def forward(self, x: Tensor, states: Any, drawn: Drawn | None = None) -> tuple[Tensor, list[Tensor]]:
        """Inputs and states of one time step -> output and new states.

        Args:
            x: `(batch, features)`.
            states: each `(batch, units)`.
            drawn: what `draw` gave, for the same dropout at every step; `None` draws anew.
        """
        inputs, recurrent = self.draw(x) if drawn is None else drawn
        given = [states] if isinstance(states, Tensor) else list(states)
        return self._step(self._projected(x, inputs), given, recurrent)


class SimpleRNNCell(_Simple, _Cell):
    """One step of `SimpleRNN`: `h' = activation(W x + U h + b)`.

    Weights are named and laid out as those of `torch.nn.RNNCell`. torch's second bias is zero and does not learn.

    Args:
        units: size of the output and of the state.
        activation: see `SimpleRNN`; so are all others.
        name: see `Layer`; so is `trainable`.

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
        super().__init__(
            units,
            activation,
            None,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            None,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            name,
            trainable,
        )


class LSTMCell(_LongShort, _Cell):
    """One step of `LSTM`.

    Weights are named and laid out as those of `torch.nn.LSTMCell`. The second bias of torch's is zero and does not
    learn.

    Args:
        units: size of the output and of both states.
        activation: see `LSTM`; so are all others.
        name: see `Layer`; so is `trainable`.

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
        super().__init__(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            None,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            name,
            trainable,
        )
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [self.units, self.units]


class GRUCell(_Reset, _Cell):
    """One step of `GRU`.

    Weights are named and laid out as those of `torch.nn.GRUCell`, with its order of gates, reset before update.

    Args:
        units: size of the output and of the state.
        activation: see `GRU`; so are all others.
        name: see `Layer`; so is `trainable`.

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
        super().__init__(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            None,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            name,
            trainable,
        )
        self.reset_after = reset_after


class StackedRNNCells(Layer):
    """Cells one above the other, as one cell: what comes out of one goes into the next.

    Args:
        cells: each a cell: see `RNN`.
        name: see `Layer`; so is `trainable`.

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
        shape = tuple(input_shape)
        for cell in self.cells:
            if isinstance(cell, Layer):
                cell.ensure_built(shape)
            shape = shape[0], getattr(cell, "output_size", None) or _first(cell.state_size)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of each cell's states."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """That of the last cell."""
        return getattr(self.cells[-1], "output_size", None) or _first(self.cells[-1].state_size)

    def draw(self, x: Tensor) -> list[Any]:
        """What dropout multiplies with, for each cell; sizes of inputs are those of the outputs below."""
        drawn = []
        for cell in self.cells:
            draws = getattr(cell, "draw", None)
            drawn.append(None if draws is None else draws(x))
            size = getattr(cell, "output_size", None) or _first(cell.state_size)
            x = torch.empty(x.shape[0], size, dtype=x.dtype, device=x.device) if isinstance(size, int) else x
        return drawn

    def forward(self, x: Tensor, states: Sequence[Any], drawn: Any = None) -> tuple[Tensor, list[Any]]:
        """As a cell's; `states` has an item for each cell."""
        found = []
        noises = [None] * len(self.cells) if drawn is None else drawn
        for cell, given, noise in zip(self.cells, states, noises, strict=True):
            single = isinstance(given, Tensor)
            one = [given] if single else list(given)
            x, new = cell(x, one) if noise is None else cell(x, one, noise)
            alone = new if isinstance(new, Tensor) else new[0]
            found.append(alone if single else new)
        return x, found

    def get_config(self) -> dict[str, Any]:
        """See `Configurable`."""
        return {"cells": [encode(cell) for cell in self.cells], "name": self.name, "trainable": self.trainable}


def _first(size: Any) -> Any:
    return size[0] if isinstance(size, (tuple, list)) else size


def check_cell(cell: Any) -> None:
    """A cell is a module with `state_size`; a layer over time is none."""
    if not isinstance(cell, nn.Module) or not hasattr(cell, "state_size") or hasattr(cell, "return_sequences"):
        raise TypeError(
            f"A cell is a module with forward(x, states) -> (output, new_states) and an attribute state_size, "
            f"as LSTMCell; got {cell!r}."
        )
