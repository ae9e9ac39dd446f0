"""Constructors of layers have the arguments of Keras 3, its order and its defaults, but for those named here.

`support/make_layer_signatures.py` has stored those of Keras.
"""

import inspect
import json
import pathlib

import pytest

from kerastorch import keras, layers

SIGNATURES = json.loads((pathlib.Path(__file__).parent / "support/layer_signatures.json").read_text())
# `InputLayer` has the arguments of `Input`
LAYERS = [name for name in SIGNATURES if hasattr(layers, name) and name != "InputLayer"]

_ADAPTERS = "low-rank adapters and quantization are those of packages for torch modules, as peft and torchao"
_DTYPE = "behind `kerastorch.keras`, every layer takes dtype=; else model.to(dtype)"
MISSING = {  # (layer, argument): why it is not there
    **{
        ("BatchNormalization", name): "batch renormalization is not there"
        for name in ("renorm", "renorm_clipping", "renorm_momentum")
    },
    **{
        (layer, name): _ADAPTERS
        for layer in ("Dense", "EinsumDense", "Embedding")
        for name in ("lora_rank", "lora_alpha", "quantization_config")
    },
    ("EinsumDense", "gptq_unpacked_column_size"): _ADAPTERS,
    **{
        (layer, "dtype"): _DTYPE
        for layer in (
            "Discretization", "HashedCrossing", "Layer", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
        )
    },
    ("Layer", "autocast"): "mixed precision is that of a model, compile(precision=)",
}  # fmt: skip
DEFAULTS = {  # (layer, argument): the default here, and why
    ("BatchNormalization", "axis"): (None, "the channels of channels-first images; behind `kerastorch.keras` it is -1"),
    ("GroupNormalization", "axis"): (None, "the channels of channels-first images; behind `kerastorch.keras` it is -1"),
}
NOT_LAYERS_HERE = {  # names of Keras without a layer of that name in kerastorch.layers
    "FlaxLayer", "InputSpec", "JaxLayer", "TFSMLayer", "TorchModuleWrapper",
}  # fmt: skip


def _plain(default):
    """One number for a pair of equal ones, which mean the same."""
    if isinstance(default, (list, tuple)) and default:
        parts = [_plain(part) for part in default]
        return parts[0] if all(part == parts[0] for part in parts) else parts
    return default.lower() if isinstance(default, str) else default


def _parameters(name):
    parameters = inspect.signature(getattr(layers, name)).parameters.values()
    return {one.name: "required" if one.default is one.empty else one.default for one in parameters}


def test_every_layer_of_keras_is_here_but_for_those_of_other_frameworks():
    absent = {name for name in SIGNATURES if not hasattr(layers, name) and not hasattr(keras.layers, name)}
    aliases = {name for name in SIGNATURES if "Convolution" in name}  # `Conv2D` and the like
    assert absent - aliases <= NOT_LAYERS_HERE


@pytest.mark.parametrize("name", LAYERS)
def test_a_constructor_has_the_arguments_of_keras(name):
    own = _parameters(name)
    missing = {argument for argument, _ in SIGNATURES[name] if argument not in own}
    assert missing == {argument for layer, argument in MISSING if layer == name}
    for argument, default in SIGNATURES[name]:
        if argument in missing:
            continue
        expected = DEFAULTS[name, argument][0] if (name, argument) in DEFAULTS else default
        assert _plain(own[argument]) == _plain(expected), argument


@pytest.mark.parametrize("name", LAYERS)
def test_positional_arguments_have_the_order_of_keras(name):
    parameters = inspect.signature(getattr(layers, name)).parameters.values()
    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    of_keras = [argument for argument, _ in SIGNATURES[name]]
    n_before_missing = next((n for n, argument in enumerate(of_keras) if (name, argument) in MISSING), len(of_keras))
    assert positional[:n_before_missing] == of_keras[: len(positional)][:n_before_missing]


def test_the_differences_named_here_exist():
    assert {layer for layer, _ in (*MISSING, *DEFAULTS)} <= set(LAYERS)
    for layer, argument in (*MISSING, *DEFAULTS):
        assert argument in dict(SIGNATURES[layer])
