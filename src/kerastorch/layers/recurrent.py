"""SimpleRNN, LSTM and GRU: torch's fused kernels where the settings permit, a loop over time elsewhere."""

from __future__ import annotations

from typing import Any

from kerastorch.layers.fused_rnn import RELU, SIGMOID, TANH, _Fused
from kerastorch.layers.rnn_gates import _LongShort, _Reset, _Simple


class SimpleRNN(_Fused, _Simple):
    """`h' = activation(W x + U h + b)` over time (Elman 1990); torch's kernel for tanh and relu.

    Weights are named and laid out as those of `torch.nn.RNN`, whose files it reads and writes. Keras has one bias:
    torch's second one, `bias_hh_l0`, is zero and does not learn.

    Args:
        units: size of the output and of the state.
        activation: name or callable; `None` is linear.
        use_bias: whether there is a bias.
        kernel_initializer: fills `weight_ih_l0`, `(units, features)`.
        recurrent_initializer: fills `weight_hh_l0`, `(units, units)`.
        bias_initializer: fills `bias_ih_l0`.
        kernel_regularizer: penalty on `weight_ih_l0`.
        recurrent_regularizer: penalty on `weight_hh_l0`.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output, over the batch size.
        kernel_constraint: what `weight_ih_l0` must satisfy after each step.
        recurrent_constraint: what `weight_hh_l0` must satisfy.
        bias_constraint: what the bias must satisfy.
        dropout: share of the inputs that is set to 0 in training, the same ones at all time steps.
        recurrent_dropout: share of the states that is set to 0, the same at all steps, others for each gate. Where it
            is not 0, inputs are dropped for each gate apart, and training goes by a loop instead of torch's kernel.
        seed: see `Dropout`.
        return_sequences: whether the outputs of all steps come out, not only the last.
        return_state: whether the last state comes out too, behind the output.
        go_backwards: whether it begins at the end; outputs are in the order in which they were computed.
        stateful: whether the last states of a batch are the first of the next, row by row, until `reset_state()`.
        unroll: accepted; it changes nothing.
        zero_output_for_mask: whether outputs of masked steps are 0 in a sequence, not those of the step before.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, time, features)` -> `(batch, units)`, or `(batch, time, units)`. Of a `PackedSequence` the last
    outputs by row, or a `PackedSequence`.

    >>> import torch
    >>> SimpleRNN(3, return_sequences=True)(torch.zeros(2, 6, 5)).shape
    torch.Size([2, 6, 3])
    """

    _suffix = "_l0"

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        *,
        zero_output_for_mask: bool = False,
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
            activity_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            name,
            trainable,
        )
        self._settle(return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask)
        self._kernel = "rnn_tanh" if self.activation in TANH else "rnn_relu" if self.activation in RELU else None


class LSTM(_Fused, _LongShort):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with a forget gate); torch's kernel for the default
    activations.

    Weights are named and laid out as those of `torch.nn.LSTM`, whose files it reads and writes. Keras has one bias:
    torch's second one, `bias_hh_l0`, is zero and does not learn.

    Args:
        units: size of the output and of the states.
        activation: name or callable; `None` is linear.
        recurrent_activation: that of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: fills `weight_ih_l0`, `(4 * units, features)`, gates i, f, g, o.
        recurrent_initializer: fills `weight_hh_l0`, `(4 * units, units)`.
        bias_initializer: fills `bias_ih_l0`.
        unit_forget_bias: whether the bias of the forget gate begins at 1.
        kernel_regularizer: penalty on `weight_ih_l0`.
        recurrent_regularizer: penalty on `weight_hh_l0`.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output, over the batch size.
        kernel_constraint: what `weight_ih_l0` must satisfy after each step.
        recurrent_constraint: what `weight_hh_l0` must satisfy.
        bias_constraint: what the bias must satisfy.
        dropout: share of the inputs that is set to 0 in training, the same ones at all time steps.
        recurrent_dropout: share of the states that is set to 0, the same at all steps, others for each gate. Where it
            is not 0, inputs are dropped for each gate apart, and training goes by a loop instead of torch's kernel.
        seed: see `Dropout`.
        return_sequences: whether the outputs of all steps come out, not only the last.
        return_state: whether the last states come out too, behind the output.
        go_backwards: whether it begins at the end; outputs are in the order in which they were computed.
        stateful: whether the last states of a batch are the first of the next, row by row, until `reset_state()`.
        unroll: accepted; it changes nothing.
        use_cudnn: `"auto"` takes torch's kernel where it can, on any device; `False` the loop; `True` is an error where
            the settings leave only the loop.
        zero_output_for_mask: whether outputs of masked steps are 0 in a sequence, not those of the step before.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, time, features)` -> `(batch, units)`, or `(batch, time, units)`. Of a `PackedSequence` the last
    outputs by row, or a `PackedSequence`.

    >>> import torch
    >>> LSTM(3, return_sequences=True)(torch.zeros(2, 6, 5)).shape
    torch.Size([2, 6, 3])
    """

    _suffix = "_l0"

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        *,
        zero_output_for_mask: bool = False,
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
            activity_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            name,
            trainable,
        )
        self._settle(return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask)
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [self.units, self.units]
        default = self.activation in TANH and self.recurrent_activation in SIGMOID
        self._kernel = "lstm" if default else None
        self.use_cudnn = self._checked(use_cudnn, "activation='tanh' and recurrent_activation='sigmoid'")


class GRU(_Fused, _Reset):
    """Gated recurrent unit (Cho et al. 2014); torch's kernel for the default activations and `reset_after=True`.

    Weights are named and laid out as those of `torch.nn.GRU`, whose files it reads and writes; its gates are in the
    order r, z, n, Keras' in the order z, r, n.

    Args:
        units: size of the output and of the state.
        activation: name or callable; `None` is linear.
        recurrent_activation: that of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: fills `weight_ih_l0`, `(3 * units, features)`, gates r, z, n.
        recurrent_initializer: fills `weight_hh_l0`, `(3 * units, units)`.
        bias_initializer: fills `bias_ih_l0`, and `bias_hh_l0` where `reset_after`.
        kernel_regularizer: penalty on `weight_ih_l0`.
        recurrent_regularizer: penalty on `weight_hh_l0`.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output, over the batch size.
        kernel_constraint: what `weight_ih_l0` must satisfy after each step.
        recurrent_constraint: what `weight_hh_l0` must satisfy.
        bias_constraint: what the bias must satisfy.
        dropout: share of the inputs that is set to 0 in training, the same ones at all time steps.
        recurrent_dropout: share of the states that is set to 0, the same at all steps, others for each gate. Where it
            is not 0, inputs are dropped for each gate apart, and training goes by a loop instead of torch's kernel.
        seed: see `Dropout`.
        return_sequences: whether the outputs of all steps come out, not only the last.
        return_state: whether the last state comes out too, behind the output.
        go_backwards: whether it begins at the end; outputs are in the order in which they were computed.
        stateful: whether the last states of a batch are the first of the next, row by row, until `reset_state()`.
        unroll: accepted; it changes nothing.
        reset_after: whether the reset gate acts after the product with the state (torch's and Keras' way) or before
            it (the paper's), for which torch has no kernel.
        use_cudnn: `"auto"` takes torch's kernel where it can, on any device; `False` the loop; `True` is an error where
            the settings leave only the loop.
        zero_output_for_mask: whether outputs of masked steps are 0 in a sequence, not those of the step before.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, time, features)` -> `(batch, units)`, or `(batch, time, units)`. Of a `PackedSequence` the last
    outputs by row, or a `PackedSequence`.

    >>> import torch
    >>> GRU(3, return_sequences=True)(torch.zeros(2, 6, 5)).shape
    torch.Size([2, 6, 3])
    """

    _suffix = "_l0"

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        *,
        zero_output_for_mask: bool = False,
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
            activity_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            name,
            trainable,
        )
        self._settle(return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask)
        self.reset_after = reset_after
        default = self.activation in TANH and self.recurrent_activation in SIGMOID
        self._kernel = "gru" if default and reset_after else None
        self.use_cudnn = self._checked(
            use_cudnn, "activation='tanh', recurrent_activation='sigmoid' and reset_after=True"
        )
