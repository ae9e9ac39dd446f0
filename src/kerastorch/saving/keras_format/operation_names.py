"""The operations of functional models in Keras' files, which names them by classes, and in kerastorch's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from kerastorch.saving.operations import operation_named, operation_names

# operators and methods that scripts write in place of the operation
_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "mod", "pow": "power", "matmul": "matmul", "neg": "negative", "abs": "absolute", "getitem": "get_item",
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "and_": "logical_and", "or_": "logical_or", "xor": "logical_xor", "invert": "logical_not",
}  # fmt: skip

# arguments that Keras' classes take when they are made; all other arguments are those of the call
_OPTIONS = frozenset(
    [
    "N", "alpha", "antialias", "approximate", "assume_unique", "axes", "axis", "axis1", "axis2", "axisa",
    "axisb", "axisc", "base", "block_size", "center", "compute_uv", "crop_to_aspect_ratio", "data_format",
    "decimals", "dilation", "dilation_rate", "dtype", "dx", "endpoint", "epsilon", "equal_nan", "fft_length",
    "fill_mode", "filter_sigma", "filter_size", "flash_attention", "from_logits", "full_matrices", "increasing",
    "indexing", "indices_or_sections", "initial", "interpolation", "invert", "is_causal", "k", "k1", "k2",
    "keepdims", "kernel_size", "kth", "left_padding", "length", "lower", "mask_index", "max_val", "method",
    "minlength", "mode", "n", "nan", "negative_slope", "neginf", "newshape", "num", "num_classes",
    "num_segments", "ord", "order", "output_padding", "output_size", "pad_width", "padding", "pool_size",
    "posinf", "range", "rcond", "repeats", "return_counts", "return_index", "return_inverse", "reverse",
    "rms_scaling", "seed", "sequence_length", "sequence_stride", "shape", "shift", "side", "sigma", "size",
    "sorted", "source", "sparse", "spatial_dims", "stride", "strides", "subscripts", "synchronized",
    "target_height", "target_width", "threshold", "tol", "top_padding", "bottom_padding", "right_padding",
    "destination", "x_max", "x_min",
])  # fmt: skip
_FURTHER_OPTIONS = {
    "allclose": ("rtol", "atol"), "bincount": ("weights",), "diagonal": ("offset",), "trace": ("offset",),
    "trapezoid": ("x",), "histogram": ("bins",), "squareplus": ("b",), "unique": ("fill_value",),
    "image.resize": ("fill_value",), "image.affine_transform": ("fill_value",),
    "image.map_coordinates": ("fill_value",), "image.perspective_transform": ("fill_value",),
    "image.elastic_transform": ("fill_value",),
}  # fmt: skip


def read_call(class_name: str, options: Mapping[str, Any], args: list[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the name, the positional arguments and the arguments by name of an operation here.

    Args:
        class_name: The class in a file of Keras.
        options: The arguments that it was made with.
        args: Positional arguments of its call.
        kwargs: Arguments of its call by name.

    Raises:
        ValueError: There is no operation of this name.
    """
    name = _by_class().get(_key(class_name))
    if name is None:
        raise ValueError(f"Keras' operation {class_name} is none of kerastorch.ops.")
    if name == "get_item":
        args = [args[0], *map(_key_of_item, args[1:])]
    parameters = inspect.signature(_named(name)).parameters
    rest = [one for one in parameters.values() if one.name not in options]
    if any(one.kind is one.VAR_POSITIONAL for one in rest):  # einsum(subscripts, *operands)
        return name, [*options.values(), *args], dict(kwargs)
    by_position = dict(zip((one.name for one in rest), args, strict=False))
    known = {key: value for key, value in options.items() if key in parameters}
    first = next(iter(parameters))
    positional = [by_position.pop(first)] if first in by_position else []
    return name, positional, {**by_position, **known, **kwargs}


def is_operation_class(name: str) -> bool:
    """Return whether Keras has an operation of this name of a class."""
    return _key(name) in _by_class()


def _key_of_item(key: Any) -> Any:
    """Return the key of `x[key]`: a list with slices in it was a tuple."""
    is_tuple = isinstance(key, list) and any(one is None or isinstance(one, Mapping) for one in key)
    return {"tuple": key} if is_tuple else key


def write_call(name: str, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the module, the class, the options, and the arguments of the call for a file of Keras.

    Args:
        name: `"ops.mean"`, `"operator.add"`, or the name of a function or method of torch.
        args: Positional arguments.
        kwargs: Arguments by name.

    Raises:
        TypeError: Keras has no class for it.
    """
    own = _own_name(name)
    if own is None:
        raise TypeError(f"{name} has no counterpart in files of Keras; write it as a function of kerastorch.ops.")
    function = _named(own)
    parameters = [*inspect.signature(function).parameters.values()]
    further = _FURTHER_OPTIONS.get(own, ())
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return _module(own), _class_name(own), {"subscripts": args[0]}, args[1:], dict(kwargs)
    by_name = dict(zip((one.name for one in parameters), args, strict=False)) | dict(kwargs)
    options = {key: value for key, value in by_name.items() if key in _OPTIONS or key in further}
    called = [by_name[one.name] for one in parameters if one.name in by_name and one.name not in options]
    return _module(own), _class_name(own), options, called, {}


def _own_name(name: str) -> str | None:
    """Return the name in the table of operations, without `ops.`."""
    room, _, bare = name.partition(".")
    if room == "ops":
        return bare
    if room == "operator":
        return _OPERATORS.get(bare)
    return None


def _named(name: str) -> Any:
    found = operation_named(name if name.startswith("random.") else f"ops.{name}")
    assert found is not None
    return found


# operations by the module of Keras that has their classes; all others are in `numpy`
_MODULES = {
    "nn": [
        "adaptive_average_pool", "adaptive_max_pool", "average_pool", "batch_normalization",
        "binary_crossentropy", "categorical_crossentropy", "celu", "conv", "conv_transpose", "ctc_loss",
        "depth_to_space", "depthwise_conv", "dot_product_attention", "elu", "fold", "gelu", "glu",
        "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "layer_normalization",
        "leaky_relu", "log_sigmoid", "log_softmax", "max_pool", "moments", "multi_hot", "normalize", "one_hot",
        "polar", "psnr", "relu", "relu6", "rms_normalization", "selu", "separable_conv", "sigmoid", "silu",
        "soft_shrink", "softmax", "softplus", "softsign", "space_to_depth", "sparse_categorical_crossentropy",
        "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
        "unfold",
    ],
    "math": [
        "cdist", "erf", "erfc", "erfinv", "extract_sequences", "fft", "fft2", "ifft2", "in_top_k", "irfft",
        "istft", "logdet", "logsumexp", "rfft", "rsqrt", "segment_max", "segment_min", "segment_prod",
        "segment_sum", "stft", "top_k", "view_as_complex", "view_as_real",
    ],
    "core": [
        "cast", "saturate_cast", "scatter", "scatter_update", "slice", "slice_update", "unstack",
    ],
    "linalg": [
        "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "lstsq", "lu_factor", "matrix_rank",
        "norm", "pinv", "qr", "solve", "solve_triangular", "svd",
    ],
}  # fmt: skip


def _module(name: str) -> str:
    """Return the module of Keras that has the class of an operation."""
    if name.startswith("image."):
        return "keras.src.ops.image"
    return f"keras.src.ops.{next((room for room, names in _MODULES.items() if name in names), 'numpy')}"


@cache
def _by_class() -> dict[str, str]:
    names = [name for name in map(_bare, operation_names()) if not name.startswith("random.")]
    return {_key(name.rpartition(".")[2]): name for name in names} | {
        _key(class_name): name for name, class_name in _CLASSES.items() if name in names
    }


def _bare(name: str) -> str:
    return name.removeprefix("ops.")


def _key(name: str) -> str:
    """Return a name without what differs between `expand_dims` and `ExpandDims`."""
    return name.replace("_", "").lower()


# classes of Keras whose names are not those of their functions in capitals
_CLASSES = {
    "swish": "Silu", "hard_swish": "HardSilu", "batch_normalization": "BatchNorm", "layer_normalization": "LayerNorm",
    "rms_normalization": "RMSNorm",
    "allclose": "AllClose", "isin": "IsIn", "searchsorted": "SearchSorted", "ctc_loss": "CTCLoss", "psnr": "PSNR",
    "svd": "SVD", "cdist": "CDist", "fft": "FFT", "fft2": "FFT2", "ifft2": "IFFT2", "rfft": "RFFT", "irfft": "IRFFT",
    "stft": "STFT", "istft": "ISTFT", "rgb_to_grayscale": "RGBToGrayscale", "rgb_to_hsv": "RGBToHSV",
    "hsv_to_rgb": "HSVToRGB", "ssim": "SSIM",
}  # fmt: skip


def _class_name(name: str) -> str:
    bare = name.rpartition(".")[2]
    return _CLASSES.get(bare, "".join(part[:1].upper() + part[1:] for part in bare.split("_")))
