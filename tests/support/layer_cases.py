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
        initial: Whether the weights keep their first values, which are no random numbers.
    """

    layer: str
    shape: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: str = "normal"
    training: bool = False
    others: tuple[tuple[int, ...], ...] = ()
    masks: dict[str, tuple[int, ...]] = field(default_factory=dict)
    tolerance: float = 1e-5
    initial: bool = False


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
    **{
        name: Case(layer, (1, 6, 7, 3), arguments | _LAST, "pixels", training=True, tolerance=1e-2)
        for name, (layer, arguments) in {
            "hue": ("RandomHue", {"factor": (1.0, 1.0)}),  # half the circle is the same in both directions
            "saturation": ("RandomSaturation", {"factor": (0.3, 0.3)}),
            "saturation_of_255": ("RandomSaturation", {"factor": (0.5, 0.5)}),
            "degeneration": ("RandomColorDegeneration", {"factor": (0.4, 0.4)}),
            "grayscale": ("RandomGrayscale", {"factor": 1.0}),
            "jitter": (
                "RandomColorJitter",
                {"brightness_factor": (0.1, 0.1), "saturation_factor": (0.2, 0.2), "hue_factor": (1.0, 1.0)},
            ),
            "posterization": ("RandomPosterization", {"factor": (3, 3)}),
            "sharpness": ("RandomSharpness", {"factor": (0.9, 0.9)}),
            "smoothing": ("RandomSharpness", {"factor": (0.1, 0.1)}),
            "invert": ("RandomInvert", {"factor": (1.0, 1.0)}),
            "blur": ("RandomGaussianBlur", {"factor": (1.0, 1.0), "kernel_size": 5, "sigma": (0.8, 0.8)}),
            "auto_contrast": ("AutoContrast", {"value_range": (-50, 300)}),
            "equalization": ("Equalization", {}),
            "equalization_bins": ("Equalization", {"bins": 20}),
            "clahe_unlimited": (
                "ContrastLimitedAdaptiveHistogramEqualization",
                {"tile_grid_size": (1, 2), "clip_limit": 0},
            ),
        }.items()
    },
    # tiles of 8 times 8, where the limit is a whole number, which Keras on torch rounds it to, and one column is padded
    "clahe": Case(
        "ContrastLimitedAdaptiveHistogramEqualization",
        (2, 16, 15, 2),
        {"tile_grid_size": (2, 2), "clip_limit": 8.0} | _LAST,
        "pixels",
        tolerance=1e-2,
    ),
    "solarization": Case("Solarization", (2, 6, 7, 3), {} | _LAST, "pixels", training=True),
    "mel": Case(
        "MelSpectrogram",
        (1, 400),
        {"fft_length": 64, "sequence_stride": 20, "num_mel_bins": 8, "top_db": 20.0},
        tolerance=1e-3,
    ),
    "mel_options": Case(
        "MelSpectrogram",
        (2, 2, 300),
        {
            "fft_length": 64,
            "sequence_stride": 30,
            "sequence_length": 50,
            "window": "hamming",
            "sampling_rate": 8000,
            "num_mel_bins": 5,
            "min_freq": 100.0,
            "max_freq": 3000.0,
            "power_to_db": False,
            "mag_exp": 1.0,
        },
        tolerance=1e-3,
    ),
    **{
        f"stft_{name}": Case(
            "STFTSpectrogram", (1, 50, 2), {"frame_length": 16} | arguments | _LAST, tolerance=1e-4, initial=True
        )
        for name, arguments in {
            "log": {},
            "magnitude": {"mode": "magnitude", "window": None, "frame_step": 5, "fft_length": 32},
            "psd": {"mode": "psd", "scaling": "spectrum", "window": "blackman", "periodic": True},
            "real": {"mode": "real", "padding": "same", "frame_step": 7, "window": "hamming"},
            "imag": {"mode": "imag", "scaling": None, "expand_dims": True, "window": "bartlett"},
            "odd": {"mode": "real", "window": "cosine", "frame_length": 15, "fft_length": 15, "frame_step": 10},
            "stft": {"mode": "stft", "expand_dims": True, "padding": "same", "window": "nuttall"},
        }.items()
    },
    "stft_trained": Case("STFTSpectrogram", (2, 20, 2), {"frame_length": 8, "mode": "magnitude"} | _LAST),
}
