"""Layers whose outputs are compared with those of Keras 3, by `make_layer_values.py` and `test_keras_layers.py`.

A case is the class, its arguments, and the shape of the input, channels-last, as both sides take it.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """A layer and its input.

    Args:
        layer: Name of the class.
        shape: Shape of the input.
        arguments: Arguments of the constructor.
        inputs: Kind of the input: `"normal"` numbers, or `"pixels"`, integers from 0 to 255 as floats.
        training: Whether the layer is in training mode.
        others: Shapes of the further inputs.
        masks: Shapes of masks by the name of their argument.
        tolerance: Largest difference that is allowed.
    """

    layer: str
    shape: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: str = "normal"
    training: bool = False
    others: tuple[tuple[int, ...], ...] = ()
    masks: dict[str, tuple[int, ...]] = field(default_factory=dict)
    tolerance: float = 1e-5


_LAST = {"data_format": "channels_last"}

CASES = {
    "conv_lstm_1d": Case("ConvLSTM1D", (2, 3, 6, 2), {"filters": 2, "kernel_size": 3} | _LAST),
    "conv_lstm_2d": Case("ConvLSTM2D", (2, 3, 5, 6, 2), {"filters": 2, "kernel_size": 3, "padding": "same"} | _LAST),
    "conv_lstm_2d_options": Case(
        "ConvLSTM2D",
        (2, 3, 7, 6, 2),
        {
            "filters": 3,
            "kernel_size": (3, 2),
            "strides": 2,
            "padding": "same",
            "activation": "relu",
            "recurrent_activation": "hard_sigmoid",
            "return_sequences": True,
            "return_state": True,
            "go_backwards": True,
        }
        | _LAST,
    ),
    "conv_lstm_2d_dilation": Case(
        "ConvLSTM2D",
        (2, 2, 7, 6, 2),
        {"filters": 2, "kernel_size": 2, "dilation_rate": 2, "use_bias": False} | _LAST,
    ),
    "conv_lstm_3d": Case("ConvLSTM3D", (2, 2, 4, 4, 3, 1), {"filters": 2, "kernel_size": 2} | _LAST),
    "attention_all_axes": Case(
        "MultiHeadAttention", (2, 3, 4, 5), {"num_heads": 2, "key_dim": 3}, others=((2, 3, 2, 5),)
    ),
    "attention_axis_2": Case(
        "MultiHeadAttention",
        (2, 3, 4, 5),
        {"num_heads": 2, "key_dim": 3, "attention_axes": 2, "value_dim": 2},
        others=((2, 3, 6, 5),),
        masks={"attention_mask": (2, 4, 6)},
    ),
    "attention_axis_1": Case(
        "MultiHeadAttention",
        (2, 4, 3, 5),
        {"num_heads": 2, "key_dim": 3, "attention_axes": -3, "output_shape": [4]},
        others=((2, 2, 3, 5), (2, 2, 3, 5)),
        masks={"attention_mask": (2, 4, 2)},
    ),
    "attention_two_of_three_axes": Case(
        "MultiHeadAttention",
        (2, 3, 2, 4, 5),
        {"num_heads": 2, "key_dim": 3, "attention_axes": [1, 3]},
        others=((2, 2, 2, 3, 5),),
        masks={"attention_mask": (2, 3, 4, 2, 3)},
    ),
}
