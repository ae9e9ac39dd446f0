"""What the cells and the recurrent layers share: weights in torch's layout, dropout, and the formula of a step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import activations, constraints, initializers, regularizers
from kerastorch.core.errors import check_float, check_int
from kerastorch.layers.base import Layer, activation_name
from kerastorch.layers.random_generator import RandomGenerator

Drawn = tuple[Tensor | None, Tensor | None]  # factors for the inputs and for the states, (1 or gates, batch, size)


class _Gated(Layer):
    """The gates' weights lie one below the other, in torch's order: `(gates * units, features)`."""

    _gates = 1
    _suffix = ""  # of torch's names: none in nn.LSTMCell, "_l0" in nn.LSTM
    state_size: int | list[int]

    def __init__(
        self,
        units: int,
        activation: Any,
        recurrent_activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        activity_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        name: str | None,
        trainable: bool,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self.units = check_int("units", units)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = check_float("dropout", dropout, least=0, below=1)
        self.recurrent_dropout = check_float("recurrent_dropout", recurrent_dropout, least=0, below=1)
        self._draws = RandomGenerator(seed)
        self.seed = self._draws.seed
        self.state_size = self.output_size = self.units

    # --- weights ----------------------------------------------------------------------------------------------

    def build(self, input_shape: torch.Size) -> None:
        rows = self._gates * self.units
        self._make(
            "weight_ih",
            (rows, input_shape[-1]),
            self.kernel_initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
        )
        self._make(
            "weight_hh",
            (rows, self.units),
            self.recurrent_initializer,
            self.recurrent_regularizer,
            self.recurrent_constraint,
        )
        if self.use_bias:
            self._make("bias_ih", (rows,), self._fill_bias, self.bias_regularizer, self.bias_constraint)
            self._make_second_bias(rows)

    def _make(self, name: str, shape: tuple[int, ...], initializer: Any, regularizer: Any, constraint: Any) -> None:
        name += self._suffix
        weight = self.add_weight(shape, initializer, regularizer=regularizer, constraint=constraint, name=name)
        setattr(self, name, weight)

    def _fill_bias(self, bias: Tensor) -> Any:
        return self.bias_initializer(bias)

    def _make_second_bias(self, rows: int) -> None:
        # Keras has one bias. torch adds two; its second is here, so that files open there and here, but does not learn.
        self.register_buffer(f"bias_hh{self._suffix}", self._placement.new_zeros(rows))

    def _weight(self, name: str) -> Any:
        return getattr(self, name + self._suffix, None)

    def _biases_joined(self) -> Tensor | None:
        return self._weight("bias_ih") + self._weight("bias_hh") if self.use_bias else None

    # --- a step -----------------------------------------------------------------------------------------------

    def draw(self, x: Tensor) -> Drawn:
        """What dropout multiplies inputs and states with, one draw for all time steps; `None` where nothing.

        Args:
            x: inputs, the batch axis first, the features last.
        """
        if not self.training:
            return None, None
        gates = self._gates if self.recurrent_dropout else 1
        rows, features = x.shape[0], x.shape[-1]
        inputs = self._draws.dropout((gates, rows, features), self.dropout, x) if self.dropout else None
        states = (
            self._draws.dropout((gates, rows, self.units), self.recurrent_dropout, x)
            if self.recurrent_dropout
            else None
        )
        return inputs, states

    def _projected(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """The part of all gates that comes from the input, of one time step or of all at once."""
        if noise is not None and x.ndim == 3:
            noise = noise.unsqueeze(2)
        return by_gate(x, self._weight("weight_ih"), self._biases_joined(), noise)

    def _step(self, z: Tensor, states: list[Tensor], noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Projected inputs and states -> output and new states."""
        raise NotImplementedError

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        """Zeros, `(batch_size, units)` for each state."""
        weight = self._weight("weight_hh")
        sizes = [self.state_size] if isinstance(self.state_size, int) else self.state_size
        return [weight.new_zeros(batch_size, size) for size in sizes]

    def extra_repr(self) -> str:
        features = f"{self._weight('weight_ih').shape[-1]} -> " if self.built else ""
        shown = "" if self.activation is activations.tanh else activation_name(self.activation)
        return f"{features}{self.units}{shown}{'' if self.built else ', unbuilt'}"


def by_gate(x: Tensor, weight: Tensor, bias: Tensor | None, noise: Tensor | None) -> Tensor:
    """`x @ weight.T + bias`, dropout before it: the same for all gates, or another for each."""
    if noise is None:
        return F.linear(x, weight, bias)
    if noise.shape[0] == 1:
        return F.linear(x * noise[0], weight, bias)
    parts = zip(noise.unbind(), weight.chunk(noise.shape[0]), strict=True)
    y = torch.cat([F.linear(x * factors, rows) for factors, rows in parts], -1)
    return y if bias is None else y + bias


class _Simple(_Gated):
    """`h' = activation(W x + U h + b)`."""

    def _step(self, z: Tensor, states: list[Tensor], noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        h = self.activation(z + by_gate(states[0], self._weight("weight_hh"), None, noise))
        return h, [h]


class _LongShort(_Gated):
    """Gates i, f, g, o: `c' = f c + i g`, `h' = o activation(c')` (Hochreiter & Schmidhuber 1997, with forget gate)."""

    _gates = 4
    unit_forget_bias: bool

    def _fill_bias(self, bias: Tensor) -> Any:
        self.bias_initializer(bias)
        if self.unit_forget_bias:
            bias[self.units : 2 * self.units] = 1

    def _step(self, z: Tensor, states: list[Tensor], noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        i, f, g, o = (z + by_gate(h, self._weight("weight_hh"), None, noise)).chunk(4, -1)
        gate, activation = self.recurrent_activation, self.activation
        c = gate(f) * c + gate(i) * activation(g)
        h = gate(o) * activation(c)
        return h, [h, c]


class _Reset(_Gated):
    """Gates r, z, n in torch's order: `h' = z h + (1 - z) n` (Cho et al. 2014)."""

    _gates = 3
    reset_after: bool

    def _make_second_bias(self, rows: int) -> None:
        if self.reset_after:
            self._make("bias_hh", (rows,), self._fill_bias, self.bias_regularizer, self.bias_constraint)

    def _biases_joined(self) -> Tensor | None:
        return self._weight("bias_ih")  # type: ignore[no-any-return]

    def _step(self, z: Tensor, states: list[Tensor], noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        h, weight = states[0], self._weight("weight_hh")
        gate, activation = self.recurrent_activation, self.activation
        x_r, x_z, x_n = z.chunk(3, -1)
        if self.reset_after:
            h_r, h_z, h_n = by_gate(h, weight, self._weight("bias_hh"), noise).chunk(3, -1)
            r, z = gate(x_r + h_r), gate(x_z + h_z)
            n = activation(x_n + r * h_n)
        else:
            first, last = (None, None) if noise is None else (noise[:2], noise[2:])
            h_r, h_z = by_gate(h, weight[: 2 * self.units], None, first).chunk(2, -1)
            r, z = gate(x_r + h_r), gate(x_z + h_z)
            n = activation(x_n + by_gate(r * h, weight[2 * self.units :], None, last))
        h = z * h + (1 - z) * n
        return h, [h]
