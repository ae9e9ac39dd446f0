"""Options of the recurrent layers and of their cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerastorch.layers.options import LayerOptions


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(LayerOptions):
    """Options of every layer that runs over time; `RNN` documents them."""

    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False


@dataclass(frozen=True, kw_only=True)
class GateOptions(SequenceOptions):
    """Options of every layer and cell with weights for its inputs and for its states; `LSTM` documents them."""

    activation: Any = "tanh"
    recurrent_activation: Any = None
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    recurrent_initializer: Any = "orthogonal"
    bias_initializer: Any = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    kernel_constraint: Any = None
    recurrent_constraint: Any = None
    bias_constraint: Any = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class RecurrentOptions(GateOptions):
    """Options of `SimpleRNN`, `LSTM`, `GRU` and their cells; `LSTM` and `GRU` document them.

    A new option is added here, in the signatures of the classes that have it, and in the base class that reads it:
    `_RecurrentWeights`, `_LSTMMath`, `_GRUMath` or `_FusedRNN`.
    """

    units: int
    reset_after: bool = True
    use_cudnn: Any = "auto"
