"""SimpleRNN, LSTM and GRU: torch's fused kernel if the arguments permit it, else a loop over time."""

from __future__ import annotations

from typing import Any

from kerastorch.layers.fused_rnn import RELU, SIGMOID, TANH, _FusedRNN
from kerastorch.layers.rnn_gates import _GRUMath, _LSTMMath, _SimpleRNNMath
from kerastorch.layers.rnn_options import RecurrentOptions


class SimpleRNN(_FusedRNN, _SimpleRNNMath):
    """Simple recurrent layer, `h' = activation(W x + U h + b)` (Elman 1990).

    torch's fused kernel runs the steps if the activation is tanh or relu. Weights have the names and the layout of
    `torch.nn.RNN`, so each loads the state dict of the other. The second bias, `bias_hh_l0`, which only torch has, is
    zero and is not trained.

    Args:
        units: Size of the output and of the state.
        activation: Activation of the state, a name or a callable; `None` is linear.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of `weight_ih_l0`, `(units, features)`.
        recurrent_initializer: Initializer of `weight_hh_l0`, `(units, units)`.
        bias_initializer: Initializer of `bias_ih_l0`.
        kernel_regularizer: Penalty on `weight_ih_l0`.
        recurrent_regularizer: Penalty on `weight_hh_l0`.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output, divided by the batch size.
        kernel_constraint: Constraint on `weight_ih_l0`, applied after each optimizer step.
        recurrent_constraint: Constraint on `weight_hh_l0`.
        bias_constraint: Constraint on the bias.
        dropout: Fraction of the inputs that is set to 0 in training, 0 to 1; all time steps have the same mask.
        recurrent_dropout: Fraction of the states that is set to 0 in training, with one mask for each gate and the
            same masks at all time steps. If it is not 0, inputs have one mask for each gate, too, and training runs
            a loop instead of torch's kernel.
        seed: Seed of the dropout masks; `None` uses torch's global generator.
        return_sequences: Whether to return the outputs of all time steps instead of the last one.
        return_state: Whether to return `(output, state)` instead of the output.
        go_backwards: Whether to process the last time step first; outputs are in the order of computation.
        stateful: Whether each row of a batch starts from the last states of the same row in the previous batch, until
            `reset_state()` is called.
        unroll: Accepted for compatibility with Keras; it has no effect.
        zero_output_for_mask: Whether a returned sequence is 0 at masked steps, instead of repeating the step before.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `(batch, time, features)` -> `(batch, units)`, or `(batch, time, units)` with `return_sequences`. A
        `PackedSequence` -> the last output of each row, `(batch, units)`, or a `PackedSequence`.

    >>> import torch
    >>> SimpleRNN(3, return_sequences=True)(torch.zeros(2, 6, 5)).shape
    torch.Size([2, 6, 3])
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
        super().__init__(RecurrentOptions.from_arguments(locals()))

    def _kernel_name(self) -> str | None:
        return "rnn_tanh" if self.activation in TANH else "rnn_relu" if self.activation in RELU else None


class LSTM(_FusedRNN, _LSTMMath):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with a forget gate).

    torch's fused kernel runs the steps if the activations are the defaults. Weights have the names and the layout of
    `torch.nn.LSTM`, so each loads the state dict of the other. The second bias, `bias_hh_l0`, which only torch has, is
    zero and is not trained.

    Args:
        units: Size of the output and of both states.
        activation: Activation of the state, a name or a callable; `None` is linear.
        recurrent_activation: Activation of the gates, a name or a callable; `None` is linear.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of `weight_ih_l0`, `(4 * units, features)`, gates i, f, g, o.
        recurrent_initializer: Initializer of `weight_hh_l0`, `(4 * units, units)`.
        bias_initializer: Initializer of `bias_ih_l0`.
        unit_forget_bias: Whether the bias of the forget gate is initialized to 1.
        kernel_regularizer: Penalty on `weight_ih_l0`.
        recurrent_regularizer: Penalty on `weight_hh_l0`.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output, divided by the batch size.
        kernel_constraint: Constraint on `weight_ih_l0`, applied after each optimizer step.
        recurrent_constraint: Constraint on `weight_hh_l0`.
        bias_constraint: Constraint on the bias.
        dropout: Fraction of the inputs that is set to 0 in training, 0 to 1; all time steps have the same mask.
        recurrent_dropout: Fraction of the states that is set to 0 in training, with one mask for each gate and the
            same masks at all time steps. If it is not 0, inputs have one mask for each gate, too, and training runs
            a loop instead of torch's kernel.
        seed: Seed of the dropout masks; `None` uses torch's global generator.
        return_sequences: Whether to return the outputs of all time steps instead of the last one.
        return_state: Whether to return `(output, h, c)` instead of the output.
        go_backwards: Whether to process the last time step first; outputs are in the order of computation.
        stateful: Whether each row of a batch starts from the last states of the same row in the previous batch, until
            `reset_state()` is called.
        unroll: Accepted for compatibility with Keras; it has no effect.
        use_cudnn: `"auto"` uses torch's kernel, on any device, if the other arguments permit it; `False` always runs
            the loop; `True` raises an error if only the loop is possible.
        zero_output_for_mask: Whether a returned sequence is 0 at masked steps, instead of repeating the step before.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `(batch, time, features)` -> `(batch, units)`, or `(batch, time, units)` with `return_sequences`. A
        `PackedSequence` -> the last output of each row, `(batch, units)`, or a `PackedSequence`.

    >>> import torch
    >>> LSTM(3, return_sequences=True)(torch.zeros(2, 6, 5)).shape
    torch.Size([2, 6, 3])
    """

    _kernel_needs = "activation='tanh' and recurrent_activation='sigmoid'"

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
        super().__init__(RecurrentOptions.from_arguments(locals()))

    def _kernel_name(self) -> str | None:
        return "lstm" if self.activation in TANH and self.recurrent_activation in SIGMOID else None


class GRU(_FusedRNN, _GRUMath):
    """Gated recurrent unit (Cho et al. 2014).

    torch's fused kernel runs the steps if the activations are the defaults and `reset_after=True`. Weights have the
    names and the layout of `torch.nn.GRU`, so each loads the state dict of the other. The gates are in torch's order
    r, z, n; Keras' order is z, r, n.

    Args:
        units: Size of the output and of the state.
        activation: Activation of the state, a name or a callable; `None` is linear.
        recurrent_activation: Activation of the gates, a name or a callable; `None` is linear.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of `weight_ih_l0`, `(3 * units, features)`, gates r, z, n.
        recurrent_initializer: Initializer of `weight_hh_l0`, `(3 * units, units)`.
        bias_initializer: Initializer of `bias_ih_l0`, and with `reset_after` of `bias_hh_l0`.
        kernel_regularizer: Penalty on `weight_ih_l0`.
        recurrent_regularizer: Penalty on `weight_hh_l0`.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output, divided by the batch size.
        kernel_constraint: Constraint on `weight_ih_l0`, applied after each optimizer step.
        recurrent_constraint: Constraint on `weight_hh_l0`.
        bias_constraint: Constraint on the bias.
        dropout: Fraction of the inputs that is set to 0 in training, 0 to 1; all time steps have the same mask.
        recurrent_dropout: Fraction of the states that is set to 0 in training, with one mask for each gate and the
            same masks at all time steps. If it is not 0, inputs have one mask for each gate, too, and training runs
            a loop instead of torch's kernel.
        seed: Seed of the dropout masks; `None` uses torch's global generator.
        return_sequences: Whether to return the outputs of all time steps instead of the last one.
        return_state: Whether to return `(output, state)` instead of the output.
        go_backwards: Whether to process the last time step first; outputs are in the order of computation.
        stateful: Whether each row of a batch starts from the last states of the same row in the previous batch, until
            `reset_state()` is called.
        unroll: Accepted for compatibility with Keras; it has no effect.
        reset_after: Whether the reset gate is applied after the product with the state, as in torch, or before it, as
            in the paper. torch has no kernel for the latter.
        use_cudnn: `"auto"` uses torch's kernel, on any device, if the other arguments permit it; `False` always runs
            the loop; `True` raises an error if only the loop is possible.
        zero_output_for_mask: Whether a returned sequence is 0 at masked steps, instead of repeating the step before.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `(batch, time, features)` -> `(batch, units)`, or `(batch, time, units)` with `return_sequences`. A
        `PackedSequence` -> the last output of each row, `(batch, units)`, or a `PackedSequence`.

    >>> import torch
    >>> GRU(3, return_sequences=True)(torch.zeros(2, 6, 5)).shape
    torch.Size([2, 6, 3])
    """

    _kernel_needs = "activation='tanh', recurrent_activation='sigmoid' and reset_after=True"

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
        super().__init__(RecurrentOptions.from_arguments(locals()))

    def _kernel_name(self) -> str | None:
        has_kernel = self.activation in TANH and self.recurrent_activation in SIGMOID and self.reset_after
        return "gru" if has_kernel else None
