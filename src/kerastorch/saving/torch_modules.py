"""Modules of torch.nn: which a file may name, and what they were made with, read back from their attributes."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.errors import unknown

_CONV = "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode"
_NORM = "num_features eps momentum affine track_running_stats bias"
_OVER_TIME = "input_size hidden_size num_layers bias batch_first dropout bidirectional"
_AVERAGE = "kernel_size stride padding ceil_mode count_include_pad divisor_override"
_MAXIMUM = "kernel_size stride padding dilation return_indices ceil_mode"
_REDUCED = "reduction"
_LAYER = "d_model nhead dim_feedforward dropout activation layer_norm_eps batch_first norm_first bias"

ARGUMENTS: dict[str, str] = {
    "Linear": "in_features out_features bias", "Bilinear": "in1_features in2_features out_features bias",
    "Identity": "", "Flatten": "start_dim end_dim", "Unflatten": "dim unflattened_size",
    "Conv1d": _CONV, "Conv2d": _CONV, "Conv3d": _CONV,
    **{f"ConvTranspose{n}d": f"{_CONV} output_padding" for n in (1, 2, 3)},
    **{f"BatchNorm{n}d": _NORM for n in (1, 2, 3)}, **{f"InstanceNorm{n}d": _NORM for n in (1, 2, 3)},
    "LayerNorm": "normalized_shape eps elementwise_affine bias", "RMSNorm": "normalized_shape eps elementwise_affine",
    "GroupNorm": "num_groups num_channels eps affine bias", "LocalResponseNorm": "size alpha beta k",
    "Embedding": "num_embeddings embedding_dim padding_idx max_norm norm_type scale_grad_by_freq sparse",
    "EmbeddingBag": "num_embeddings embedding_dim max_norm norm_type scale_grad_by_freq mode sparse "
    "include_last_offset padding_idx",
    **dict.fromkeys(("Dropout", "Dropout1d", "Dropout2d", "Dropout3d"), "p inplace"),
    **dict.fromkeys(("AlphaDropout", "FeatureAlphaDropout"), "p inplace"),
    "CELU": "alpha inplace", "ELU": "alpha inplace", "GELU": "approximate", "GLU": "dim", "Hardshrink": "lambd",
    "Hardsigmoid": "inplace", "Hardswish": "inplace", "Hardtanh": "min_val max_val inplace",
    "LeakyReLU": "negative_slope inplace", "LogSigmoid": "", "LogSoftmax": "dim", "Mish": "inplace",
    "PReLU": "num_parameters", "ReLU": "inplace", "ReLU6": "inplace", "RReLU": "lower upper inplace",
    "SELU": "inplace", "SiLU": "inplace", "Sigmoid": "", "Softmax": "dim", "Softmax2d": "", "Softmin": "dim",
    "Softplus": "beta threshold", "Softshrink": "lambd", "Softsign": "", "Tanh": "", "Tanhshrink": "",
    "Threshold": "threshold value inplace",
    "AvgPool1d": _AVERAGE, "AvgPool2d": _AVERAGE, "AvgPool3d": _AVERAGE,
    "MaxPool1d": _MAXIMUM, "MaxPool2d": _MAXIMUM, "MaxPool3d": _MAXIMUM,
    **{f"AdaptiveAvgPool{n}d": "output_size" for n in (1, 2, 3)},
    **{f"AdaptiveMaxPool{n}d": "output_size return_indices" for n in (1, 2, 3)},
    **{f"LPPool{n}d": "norm_type kernel_size stride ceil_mode" for n in (1, 2, 3)},
    **{f"{kind}Pad{n}d": "padding" for kind in ("Circular", "Reflection", "Replication", "Zero") for n in (1, 2, 3)},
    **{f"ConstantPad{n}d": "padding value" for n in (1, 2, 3)},
    "Fold": "output_size kernel_size dilation padding stride", "Unfold": "kernel_size dilation padding stride",
    "Upsample": "size scale_factor mode align_corners recompute_scale_factor",
    "UpsamplingNearest2d": "size scale_factor", "UpsamplingBilinear2d": "size scale_factor",
    "PixelShuffle": "upscale_factor", "PixelUnshuffle": "downscale_factor", "ChannelShuffle": "groups",
    "CosineSimilarity": "dim eps",
    "RNN": f"{_OVER_TIME} nonlinearity", "LSTM": f"{_OVER_TIME} proj_size", "GRU": _OVER_TIME,
    "RNNCell": "input_size hidden_size bias nonlinearity", "LSTMCell": "input_size hidden_size bias",
    "GRUCell": "input_size hidden_size bias",
    "MultiheadAttention": "embed_dim num_heads dropout bias add_bias_kv add_zero_attn kdim vdim batch_first",
    "TransformerEncoderLayer": _LAYER, "TransformerDecoderLayer": _LAYER,
    "L1Loss": _REDUCED, "MSELoss": _REDUCED, "SoftMarginLoss": _REDUCED, "MultiLabelMarginLoss": _REDUCED,
    "SmoothL1Loss": "reduction beta", "HuberLoss": "reduction delta", "BCELoss": "weight reduction",
    "CrossEntropyLoss": "weight ignore_index reduction label_smoothing", "NLLLoss": "weight ignore_index reduction",
    "BCEWithLogitsLoss": "weight reduction pos_weight", "KLDivLoss": "reduction log_target",
    "PoissonNLLLoss": "log_input full eps reduction", "HingeEmbeddingLoss": "margin reduction",
    "MultiLabelSoftMarginLoss": "weight reduction", "MultiMarginLoss": "p margin weight reduction",
}  # fmt: skip
_HOLDERS = ("Sequential", "ModuleList", "ModuleDict", "TransformerEncoder", "TransformerDecoder")

KINDS: dict[str, type[nn.Module]] = {
    f"torch.nn.{name}": getattr(nn, name) for name in (*ARGUMENTS, *_HOLDERS) if hasattr(nn, name)
}
NAMES = {kind: name for name, kind in KINDS.items()}
MOST_PARTS = 1000  # layers of one recurrent module or transformer


def config_of(module: nn.Module) -> dict[str, Any]:
    """What makes another one like this; its values are to be encoded.

    Raises:
        TypeError: it was changed into something that its class does not make.
    """
    name = NAMES[type(module)].rpartition(".")[2]
    if name in _HOLDERS:
        return _parts(module, name)
    takes = inspect.signature(type(module)).parameters
    listed = [one for one in ARGUMENTS[name].split() if one in takes or "kwargs" in takes]
    return {one: _read(module, name, one) for one in listed}


def _parts(module: Any, name: str) -> dict[str, Any]:
    if name in ("TransformerEncoder", "TransformerDecoder"):
        found = {"layers": list(module.layers), "norm": module.norm}
        if name == "TransformerEncoder":
            found["enable_nested_tensor"] = module.enable_nested_tensor
        return found
    return {"names": list(module._modules), "modules": list(module._modules.values())}


_IN_LAYERS = {
    "d_model": "self_attn.embed_dim", "nhead": "self_attn.num_heads", "dim_feedforward": "linear1.out_features",
    "dropout": "dropout.p", "layer_norm_eps": "norm1.eps", "batch_first": "self_attn.batch_first",
    "bias": "linear1.bias",
}  # fmt: skip


def _read(module: Any, name: str, argument: str) -> Any:
    if name.startswith("Transformer"):
        value = module
        for step in _IN_LAYERS.get(argument, argument).split("."):
            value = getattr(value, step)
    elif name == "MultiheadAttention" and argument in ("bias", "add_bias_kv"):
        value = module.in_proj_bias if argument == "bias" else module.bias_k
    elif name == "Softmax" and argument == "dim":
        value = module.dim
    else:
        value = getattr(module, argument)
    return value is not None if argument in ("bias", "add_bias_kv") and not isinstance(value, bool) else value


def make(name: str, config: Mapping[str, Any]) -> nn.Module:
    """A module from its name in the table and its decoded config.

    Raises:
        ValueError: another argument than those listed; more parts than anybody has.
    """
    short = name.rpartition(".")[2]
    kind: Any = KINDS[name]
    if short in _HOLDERS:
        return _made_of_parts(kind, short, config)
    listed = ARGUMENTS[short].split()
    for argument in config:
        if argument not in listed:
            raise unknown(f"argument of {name}", str(argument), listed)
    if isinstance(config.get("num_layers"), int) and config["num_layers"] > MOST_PARTS:
        raise ValueError(f"{name} has num_layers={config['num_layers']}; at most {MOST_PARTS} are made from a file.")
    if any(
        isinstance(value, Tensor) and argument not in ("weight", "pos_weight") for argument, value in config.items()
    ):
        raise ValueError(f"{name} takes no tensors but weights of classes.")
    made: nn.Module = kind(**config)
    return made


def _made_of_parts(kind: Any, short: str, config: Mapping[str, Any]) -> nn.Module:
    if short.startswith("Transformer"):
        layers, norm = config["layers"], config["norm"]
        rest = {key: value for key, value in config.items() if key == "enable_nested_tensor"}
        made = kind(layers[0], 1, norm, **rest)
        made.layers, made.num_layers = nn.ModuleList(layers), len(layers)
        return made  # type: ignore[no-any-return]
    names, parts = config["names"], config["modules"]
    if len(names) != len(parts) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"torch.nn.{short} has {len(parts)} parts and {len(names)} names.")
    if short == "ModuleList":
        return nn.ModuleList(parts)
    pairs = OrderedDict(zip(names, parts, strict=True))
    return nn.Sequential(pairs) if short == "Sequential" else nn.ModuleDict(pairs)
