"""Configs of the torch.nn modules that a file may name: read from attributes of a module, and made into one."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.errors import unknown
from kerastorch.core.sharded_modules import class_before_sharding

# names of the arguments of `__init__`, which are also attributes of the module, except for those in `_read`
_CONV = "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode"
_NORM = "num_features eps momentum affine track_running_stats bias"
_RECURRENT = "input_size hidden_size num_layers bias batch_first dropout bidirectional"
_AVERAGE_POOL = "kernel_size stride padding ceil_mode count_include_pad divisor_override"
_MAX_POOL = "kernel_size stride padding dilation return_indices ceil_mode"
_REDUCTION = "reduction"
_TRANSFORMER_LAYER = "d_model nhead dim_feedforward dropout activation layer_norm_eps batch_first norm_first bias"

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
    "AvgPool1d": _AVERAGE_POOL, "AvgPool2d": _AVERAGE_POOL, "AvgPool3d": _AVERAGE_POOL,
    "MaxPool1d": _MAX_POOL, "MaxPool2d": _MAX_POOL, "MaxPool3d": _MAX_POOL,
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
    "RNN": f"{_RECURRENT} nonlinearity", "LSTM": f"{_RECURRENT} proj_size", "GRU": _RECURRENT,
    "RNNCell": "input_size hidden_size bias nonlinearity", "LSTMCell": "input_size hidden_size bias",
    "GRUCell": "input_size hidden_size bias",
    "MultiheadAttention": "embed_dim num_heads dropout bias add_bias_kv add_zero_attn kdim vdim batch_first",
    "TransformerEncoderLayer": _TRANSFORMER_LAYER, "TransformerDecoderLayer": _TRANSFORMER_LAYER,
    "L1Loss": _REDUCTION, "MSELoss": _REDUCTION, "SoftMarginLoss": _REDUCTION, "MultiLabelMarginLoss": _REDUCTION,
    "SmoothL1Loss": "reduction beta", "HuberLoss": "reduction delta", "BCELoss": "weight reduction",
    "CrossEntropyLoss": "weight ignore_index reduction label_smoothing", "NLLLoss": "weight ignore_index reduction",
    "BCEWithLogitsLoss": "weight reduction pos_weight", "KLDivLoss": "reduction log_target",
    "PoissonNLLLoss": "log_input full eps reduction", "HingeEmbeddingLoss": "margin reduction",
    "MultiLabelSoftMarginLoss": "weight reduction", "MultiMarginLoss": "p margin weight reduction",
}  # fmt: skip
_CONTAINERS = ("Sequential", "ModuleList", "ModuleDict", "TransformerEncoder", "TransformerDecoder")

KINDS: dict[str, type[nn.Module]] = {
    f"torch.nn.{name}": getattr(nn, name) for name in (*ARGUMENTS, *_CONTAINERS) if hasattr(nn, name)
}
NAMES = {kind: name for name, kind in KINDS.items()}
MOST_PARTS = 1000  # limit of `num_layers` in a file


def config_of(module: nn.Module) -> dict[str, Any]:
    """Return the arguments that make a module like this one; the values are not encoded yet."""
    name = NAMES[class_before_sharding(type(module))].rpartition(".")[2]
    if name in _CONTAINERS:
        return _container_config(module, name)
    takes = inspect.signature(type(module)).parameters
    arguments = [argument for argument in ARGUMENTS[name].split() if argument in takes or "kwargs" in takes]
    return {argument: _read(module, name, argument) for argument in arguments}


def _container_config(module: Any, name: str) -> dict[str, Any]:
    """Return the modules in a container, and what else makes it."""
    if name in ("TransformerEncoder", "TransformerDecoder"):
        config = {"layers": list(module.layers), "norm": module.norm}
        if name == "TransformerEncoder":
            config["enable_nested_tensor"] = module.enable_nested_tensor
        return config
    return {"names": list(module._modules), "modules": list(module._modules.values())}


_TRANSFORMER_ATTRIBUTES = {  # argument of a transformer's layer -> path of the attribute that has its value
    "d_model": "self_attn.embed_dim", "nhead": "self_attn.num_heads", "dim_feedforward": "linear1.out_features",
    "dropout": "dropout.p", "layer_norm_eps": "norm1.eps", "batch_first": "self_attn.batch_first",
    "bias": "linear1.bias",
}  # fmt: skip


def _read(module: Any, name: str, argument: str) -> Any:
    """Return the value that an argument of `__init__` had."""
    if name.startswith("Transformer"):
        value = module
        for step in _TRANSFORMER_ATTRIBUTES.get(argument, argument).split("."):
            value = getattr(value, step)
    elif name == "MultiheadAttention" and argument in ("bias", "add_bias_kv"):
        value = module.in_proj_bias if argument == "bias" else module.bias_k
    elif name == "Softmax" and argument == "dim":
        value = module.dim
    else:
        value = getattr(module, argument)
    return value is not None if argument in ("bias", "add_bias_kv") and not isinstance(value, bool) else value


def make(name: str, config: Mapping[str, Any]) -> nn.Module:
    """Return a module of torch from its name in the table and its decoded config.

    Raises:
        ValueError: An argument is not in the table, is a tensor but no class weight, or asks for too many layers.
    """
    short = name.rpartition(".")[2]
    kind: Any = KINDS[name]
    if short in _CONTAINERS:
        return _make_container(kind, short, config)
    arguments = ARGUMENTS[short].split()
    for argument in config:
        if argument not in arguments:
            raise unknown(f"argument of {name}", str(argument), arguments)
    if isinstance(config.get("num_layers"), int) and config["num_layers"] > MOST_PARTS:
        raise ValueError(f"{name} has num_layers={config['num_layers']}; at most {MOST_PARTS} are made from a file.")
    if any(
        isinstance(value, Tensor) and argument not in ("weight", "pos_weight") for argument, value in config.items()
    ):
        raise ValueError(f"{name} takes no tensors but weights of classes.")
    module: nn.Module = kind(**config)
    return module


def _make_container(kind: Any, short: str, config: Mapping[str, Any]) -> nn.Module:
    """Return a container of decoded modules."""
    if short.startswith("Transformer"):
        layers, norm = config["layers"], config["norm"]
        options = {key: value for key, value in config.items() if key == "enable_nested_tensor"}
        transformer = kind(layers[0], 1, norm, **options)
        transformer.layers, transformer.num_layers = nn.ModuleList(layers), len(layers)
        return transformer  # type: ignore[no-any-return]
    names, parts = config["names"], config["modules"]
    if len(names) != len(parts) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"torch.nn.{short} has {len(parts)} parts and {len(names)} names.")
    if short == "ModuleList":
        return nn.ModuleList(parts)
    pairs = OrderedDict(zip(names, parts, strict=True))
    return nn.Sequential(pairs) if short == "Sequential" else nn.ModuleDict(pairs)
