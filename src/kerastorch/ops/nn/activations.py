"""Activations as operations: those of `kerastorch.activations`, with the dtypes and defaults of `keras.ops`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch import activations
from kerastorch.ops.conversion import to_tensor
from kerastorch.ops.makers import unary
from kerastorch.ops.recording import op

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu",
    "log_sigmoid", "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus",
    "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
]  # fmt: skip

hard_sigmoid = unary("hard_sigmoid", activations.hard_sigmoid, "Return `relu6(x + 3) / 6`.")
hard_silu = unary("hard_silu", activations.hard_silu, "Return `x * hard_sigmoid(x)`.")
hard_swish = unary("hard_swish", activations.hard_silu, "Return `x * hard_sigmoid(x)`, as `hard_silu`.")
hard_tanh = unary("hard_tanh", activations.hard_tanh, "Return `x` clipped to -1..1.")
log_sigmoid = unary("log_sigmoid", activations.log_sigmoid, "Return `log(sigmoid(x))`, without overflow.")
relu = unary("relu", torch.relu, "Return `max(x, 0)`.")
relu6 = unary("relu6", activations.relu6, "Return `min(max(x, 0), 6)`.")
selu = unary("selu", activations.selu, "Return the scaled ELU, `1.0507 * elu(x, 1.6733)`.")
sigmoid = unary("sigmoid", activations.sigmoid, "Return `1 / (1 + exp(-x))`.")
silu = unary("silu", activations.silu, "Return `x * sigmoid(x)`.")
swish = unary("swish", activations.silu, "Return `x * sigmoid(x)`, as `silu`.")
softplus = unary("softplus", activations.softplus, "Return `log(1 + exp(x))`.")
softsign = unary("softsign", activations.softsign, "Return `x / (1 + |x|)`.")
sparse_plus = unary(
    "sparse_plus", activations.sparse_plus, "Return 0 below -1, `(x + 1)^2 / 4` from -1 to 1, and `x` above 1."
)
sparse_sigmoid = unary("sparse_sigmoid", activations.sparse_sigmoid, "Return `(x + 1) / 2` clipped to 0..1.")
tanh_shrink = unary("tanh_shrink", activations.tanh_shrink, "Return `x - tanh(x)`.")


@op
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """Return `x` if positive, else `negative_slope * x`."""
    return activations.leaky_relu(to_tensor(x), negative_slope)


@op
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return `x` if positive, else `alpha * (exp(x) - 1)`."""
    return activations.elu(to_tensor(x), alpha)


@op
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return `max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)`."""
    return activations.celu(to_tensor(x), alpha)


@op
def gelu(x: Any, approximate: bool = True) -> Tensor:
    """Return `x * Phi(x)`; by default `Phi` is the tanh approximation of the normal distribution function."""
    return activations.gelu(to_tensor(x), approximate)


@op
def glu(x: Any, axis: int = -1) -> Tensor:
    """Return `a * sigmoid(b)` of the halves `a` and `b` of `x` along an axis."""
    return activations.glu(to_tensor(x), axis)


@op
def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """Return `x` if `|x| > threshold`, else 0."""
    return activations.hard_shrink(to_tensor(x), threshold)


@op
def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """Return `x` moved towards 0 by `threshold`, and 0 if `|x| <= threshold`."""
    return activations.soft_shrink(to_tensor(x), threshold)


@op
def squareplus(x: Any, b: float = 4) -> Tensor:
    """Return `(x + sqrt(x^2 + b)) / 2`."""
    return activations.squareplus(to_tensor(x), b)


@op
def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """Return `x` if `x > threshold`, else `default_value`."""
    return activations.threshold(to_tensor(x), threshold, default_value)


@op
def softmax(x: Any, axis: int | None = -1) -> Tensor:
    """Return `exp(x) / sum(exp(x))` along an axis; `None` is all axes.

    >>> softmax([0.0, 0.0])
    tensor([0.5000, 0.5000])
    """
    return _along(activations.softmax, x, axis)


@op
def log_softmax(x: Any, axis: int | None = -1) -> Tensor:
    """Return `log(softmax(x))` along an axis, without overflow; `None` is all axes."""
    return _along(activations.log_softmax, x, axis)


@op
def sparsemax(x: Any, axis: int = -1) -> Tensor:
    """Return the point of the probability simplex that is nearest to `x` along an axis."""
    return activations.sparsemax(to_tensor(x), axis)


def _along(function: Any, x: Any, axis: int | None) -> Tensor:
    x = to_tensor(x)
    found: Tensor = function(x.flatten(), 0).reshape(x.shape) if axis is None else function(x, axis)
    return found
