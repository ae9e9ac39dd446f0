"""Weights, dropout and the formula of one time step: what the recurrent layers and their cells share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import activations
from kerastorch.core.errors import check_float, check_int
from kerastorch.layers.base import Layer, activation_name
from kerastorch.layers.random_generator import RandomGenerator
from kerastorch.layers.rnn_options import GateOptions, RecurrentOptions
from kerastorch.layers.scan import list_of_sizes
from kerastorch.layers.weight_options import make_weight, set_weight_options_from

# Factors for the inputs and for the states, each (1 or n_gates, batch, size); None without dropout.
DropoutMasks = tuple[Tensor | None, Tensor | None]


class _GatedLayer(Layer):
    """Layer with weights for its inputs and for its states, activations and dropout of both.

    Args:
        options: Constructor arguments of the layer or cell.
    """

    bias_initializer: Any

    def __init__(self, options: GateOptions) -> None:
        super().__init__(
            name=options.name, trainable=options.trainable, activity_regularizer=options.activity_regularizer
        )
        self.activation = activations.get(options.activation)
        self.recurrent_activation = activations.get(options.recurrent_activation)
        self.use_bias = options.use_bias
        set_weight_options_from(self, options, "kernel", "recurrent", "bias")
        self.dropout = check_float("dropout", options.dropout, least=0, below=1)
        self.recurrent_dropout = check_float("recurrent_dropout", options.recurrent_dropout, least=0, below=1)
        self._draws = RandomGenerator(options.seed)
        self.seed = self._draws.seed


class _RecurrentWeights(_GatedLayer, ABC):
    """Layer with the weights of a recurrent layer, in the layout and gate order of torch.

    The weights of all gates are stacked along axis 0: `weight_ih` is `(n_gates * units, features)`, `weight_hh` is
    `(n_gates * units, units)`.

    Args:
        options: Constructor arguments of the layer or cell.
    """

    _n_gates = 1
    _suffix = ""  # of the weights' names, as in torch: "" in nn.LSTMCell, "_l0" in nn.LSTM
    state_size: int | list[int]

    def __init__(self, options: RecurrentOptions) -> None:
        super().__init__(options)
        self.units = check_int("units", options.units)
        self.state_size = self.output_size = self.units

    # --- weights ----------------------------------------------------------------------------------------------

    def build(self, input_shape: torch.Size) -> None:
        """Create the weights for inputs whose last axis has the features."""
        rows = self._n_gates * self.units
        self._add_weight("weight_ih", (rows, input_shape[-1]), "kernel")
        self._add_weight("weight_hh", (rows, self.units), "recurrent")
        if self.use_bias:
            self._add_bias("bias_ih", rows)
            self._add_second_bias(rows)

    def _add_weight(self, name: str, shape: tuple[int, ...], prefix: str, initializer: Any = None) -> None:
        name += self._suffix
        setattr(self, name, make_weight(self, prefix, shape, name, initializer=initializer))

    def _add_bias(self, name: str, rows: int) -> None:
        self._add_weight(name, (rows,), "bias", self._initialize_bias)

    def _initialize_bias(self, bias: Tensor) -> Any:
        """Fill the bias of all gates, `(n_gates * units,)`, in place."""
        return self.bias_initializer(bias)

    def _add_second_bias(self, rows: int) -> None:
        """Register `bias_hh` as a buffer of zeros.

        Keras has one bias, torch adds two. The second one exists so that torch and kerastorch can load each other's
        files, but it is not trained.
        """
        self.register_buffer(f"bias_hh{self._suffix}", self._placement.new_zeros(rows))

    def _weight(self, name: str) -> Any:
        """Return the weight or bias of this name without its suffix, or `None` if the layer has none."""
        return getattr(self, name + self._suffix, None)

    def _input_bias(self) -> Tensor | None:
        """Return the bias added to the projected inputs, or `None` without a bias."""
        return self._weight("bias_ih") + self._weight("bias_hh") if self.use_bias else None

    # --- a step -----------------------------------------------------------------------------------------------

    def sample_dropout_masks(self, x: Tensor) -> DropoutMasks:
        """Sample the dropout factors of inputs and states, the same ones for all time steps.

        Args:
            x: Inputs, `(batch, features)` or `(batch, time, features)`.

        Returns:
            Factors of the inputs, `(1 or n_gates, batch, features)`, and of the states, `(n_gates, batch, units)`;
            `None` in evaluation and for a dropout rate of 0.
        """
        if not self.training:
            return None, None
        n_masks = self._n_gates if self.recurrent_dropout else 1
        batch, features = x.shape[0], x.shape[-1]
        inputs = self._draws.dropout((n_masks, batch, features), self.dropout, x) if self.dropout else None
        states = (
            self._draws.dropout((n_masks, batch, self.units), self.recurrent_dropout, x)
            if self.recurrent_dropout
            else None
        )
        return inputs, states

    def _project_inputs(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return the part of all gates that depends on the inputs.

        Args:
            x: Inputs of one time step, `(batch, features)`, or of all steps, `(batch, time, features)`.
            mask: Dropout factors of the inputs, `(1 or n_gates, batch, features)`, or `None`.

        Returns:
            `(batch, n_gates * units)` or `(batch, time, n_gates * units)`.
        """
        if mask is not None and x.ndim == 3:
            mask = mask.unsqueeze(2)  # (1 or n_gates, batch, 1, features)
        return linear_by_gate(x, self._weight("weight_ih"), self._input_bias(), mask)

    @abstractmethod
    def _step(self, z: Tensor, states: list[Tensor], mask: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Compute one time step.

        Args:
            z: Projected inputs, `(batch, n_gates * units)`.
            states: States before the step, each `(batch, units)`.
            mask: Dropout factors of the states, `(n_gates, batch, units)`, or `None`.

        Returns:
            The output, `(batch, units)`, and the states after the step.
        """

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        """Return zeros for each state, `(batch_size, units)`."""
        like = self._weight("weight_hh") if self.built else self._placement
        return [like.new_zeros(batch_size, size) for size in list_of_sizes(self.state_size)]

    def extra_repr(self) -> str:
        """Return the sizes and an activation different from the default, for `repr`."""
        features = f"{self._weight('weight_ih').shape[-1]} -> " if self.built else ""
        shown = "" if self.activation is activations.tanh else activation_name(self.activation)
        return f"{features}{self.units}{shown}{'' if self.built else ', unbuilt'}"


def linear_by_gate(x: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None) -> Tensor:
    """Return `(x * mask) @ weight.T + bias`, with one mask for all gates or one for each.

    Args:
        x: `(batch, ..., size)`.
        weight: Weights of the gates, stacked: `(n_gates * units, size)`.
        bias: `(n_gates * units,)`, or `None`.
        mask: Dropout factors, `(1 or n_gates, batch, ..., size)`; `None` is no dropout.
    """
    if mask is None:
        return F.linear(x, weight, bias)
    if mask.shape[0] == 1:
        return F.linear(x * mask[0], weight, bias)
    gates = zip(mask.unbind(), weight.chunk(mask.shape[0]), strict=True)
    y = torch.cat([F.linear(x * factors, rows) for factors, rows in gates], -1)
    return y if bias is None else y + bias


class _SimpleRNNMath(_RecurrentWeights):
    """One step of `SimpleRNN`: `h' = activation(W x + U h + b)`."""

    def _step(self, z: Tensor, states: list[Tensor], mask: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        h = self.activation(z + linear_by_gate(states[0], self._weight("weight_hh"), None, mask))
        return h, [h]


class _LSTMMath(_RecurrentWeights):
    """One step of `LSTM`: gates i, f, g, o, with `c' = f c + i g` and `h' = o activation(c')`.

    Source: Hochreiter & Schmidhuber 1997, with a forget gate.
    """

    _n_gates = 4

    def __init__(self, options: RecurrentOptions) -> None:
        super().__init__(options)
        self.unit_forget_bias = options.unit_forget_bias
        self.state_size = [self.units, self.units]

    def _initialize_bias(self, bias: Tensor) -> Any:
        self.bias_initializer(bias)
        if self.unit_forget_bias:
            bias[self.units : 2 * self.units] = 1

    def _step(self, z: Tensor, states: list[Tensor], mask: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        i, f, g, o = (z + linear_by_gate(h, self._weight("weight_hh"), None, mask)).chunk(4, -1)
        gate, activation = self.recurrent_activation, self.activation
        c = gate(f) * c + gate(i) * activation(g)
        h = gate(o) * activation(c)
        return h, [h, c]


class _GRUMath(_RecurrentWeights):
    """One step of `GRU`: gates r, z, n in torch's order, with `h' = z h + (1 - z) n` (Cho et al. 2014)."""

    _n_gates = 3

    def __init__(self, options: RecurrentOptions) -> None:
        super().__init__(options)
        self.reset_after = options.reset_after

    def _add_second_bias(self, rows: int) -> None:
        """Create `bias_hh` as a weight if the reset gate acts after the product with the state."""
        if self.reset_after:
            self._add_bias("bias_hh", rows)

    def _input_bias(self) -> Tensor | None:
        return self._weight("bias_ih")  # type: ignore[no-any-return]

    def _step(self, z: Tensor, states: list[Tensor], mask: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        h, weight = states[0], self._weight("weight_hh")
        gate, activation = self.recurrent_activation, self.activation
        x_r, x_z, x_n = z.chunk(3, -1)
        if self.reset_after:
            h_r, h_z, h_n = linear_by_gate(h, weight, self._weight("bias_hh"), mask).chunk(3, -1)
            r, z = gate(x_r + h_r), gate(x_z + h_z)
            n = activation(x_n + r * h_n)
        else:
            mask_rz, mask_n = (None, None) if mask is None else (mask[:2], mask[2:])
            h_r, h_z = linear_by_gate(h, weight[: 2 * self.units], None, mask_rz).chunk(2, -1)
            r, z = gate(x_r + h_r), gate(x_z + h_z)
            n = activation(x_n + linear_by_gate(r * h, weight[2 * self.units :], None, mask_n))
        h = z * h + (1 - z) * n
        return h, [h]
