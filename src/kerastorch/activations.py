"""Activations under their Keras names, as functions of a tensor; `get` makes one from a name.

They take NumPy arrays, lists and numbers too, which become tensors of torch's default dtype, float32: `relu([-1, 2])`.
Every callable that maps a tensor to a tensor is an activation too: `torch.relu`, `torch.nn.ReLU()`, a function of your
own. Except for `glu` and `maxout`, the output has the shape of the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.absent_names import absent_name
from kerastorch.core.array_conversion import to_float_tensor
from kerastorch.core.keras_names import ACTIVATIONS
from kerastorch.core.name_lookup import resolve
from kerastorch.core.serialization import register

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "celu", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "maxout", "mish", "relu", "relu6", "selu", "sigmoid",
    "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "squareplus", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip

Activation = Callable[[Tensor], Tensor]


def linear(x: Tensor | ArrayLike) -> Tensor:
    """Return `x` unchanged."""
    return to_float_tensor(x, "x")


def relu(
    x: Tensor | ArrayLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """Return `x` if at least `threshold`, else `negative_slope * (x - threshold)`.

    The result is at most `max_value`.

    >>> relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    x = to_float_tensor(x, "x")
    if not threshold:
        x = F.leaky_relu(x, negative_slope) if negative_slope else torch.relu(x)
    else:
        x = torch.where(x >= threshold, x, negative_slope * (x - threshold))
    return x if max_value is None else x.clamp(max=max_value)


def leaky_relu(x: Tensor | ArrayLike, negative_slope: float = 0.2, *, alpha: float | None = None) -> Tensor:
    """Return `x` if positive, else `negative_slope * x`.

    The default slope is that of Keras; torch has 0.01. `alpha` is another name of it.
    """
    x = to_float_tensor(x, "x")
    return F.leaky_relu(x, negative_slope if alpha is None else alpha)


def relu6(x: Tensor | ArrayLike) -> Tensor:
    """Return `min(max(x, 0), 6)`."""
    x = to_float_tensor(x, "x")
    return F.relu6(x)


def elu(x: Tensor | ArrayLike, alpha: float = 1.0) -> Tensor:
    """Return `x` if positive, else `alpha * (exp(x) - 1)` (Clevert et al. 2015)."""
    x = to_float_tensor(x, "x")
    return F.elu(x, alpha)


def celu(x: Tensor | ArrayLike, alpha: float = 1.0) -> Tensor:
    """Return `max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)` (Barron 2017)."""
    x = to_float_tensor(x, "x")
    return F.celu(x, alpha)


def selu(x: Tensor | ArrayLike) -> Tensor:
    """Return the scaled ELU, `1.0507 * elu(x, 1.6733)` (Klambauer et al. 2017)."""
    x = to_float_tensor(x, "x")
    return torch.selu(x)


def gelu(x: Tensor | ArrayLike, approximate: bool = False) -> Tensor:
    """Return `x * Phi(x)` (Hendrycks & Gimpel 2016).

    `Phi` is the standard normal distribution function, or its tanh approximation if `approximate` is set.
    """
    x = to_float_tensor(x, "x")
    return F.gelu(x, approximate="tanh" if approximate else "none")


def silu(x: Tensor | ArrayLike) -> Tensor:
    """Return `x * sigmoid(x)`, also called swish."""
    x = to_float_tensor(x, "x")
    return F.silu(x)


def mish(x: Tensor | ArrayLike) -> Tensor:
    """Return `x * tanh(softplus(x))` (Misra 2019)."""
    x = to_float_tensor(x, "x")
    return F.mish(x)


def sigmoid(x: Tensor | ArrayLike) -> Tensor:
    """Return `1 / (1 + exp(-x))`."""
    x = to_float_tensor(x, "x")
    return torch.sigmoid(x)


def log_sigmoid(x: Tensor | ArrayLike) -> Tensor:
    """Return `log(sigmoid(x))`, without overflow."""
    x = to_float_tensor(x, "x")
    return F.logsigmoid(x)


def hard_sigmoid(x: Tensor | ArrayLike) -> Tensor:
    """Return `relu6(x + 3) / 6`."""
    x = to_float_tensor(x, "x")
    return F.hardsigmoid(x)


def hard_silu(x: Tensor | ArrayLike) -> Tensor:
    """Return `x * hard_sigmoid(x)`, also called hard_swish."""
    x = to_float_tensor(x, "x")
    return F.hardswish(x)


def tanh(x: Tensor | ArrayLike) -> Tensor:
    """Return the hyperbolic tangent, `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`."""
    x = to_float_tensor(x, "x")
    return torch.tanh(x)


def hard_tanh(x: Tensor | ArrayLike) -> Tensor:
    """Return `x` clipped to -1..1."""
    x = to_float_tensor(x, "x")
    return F.hardtanh(x)


def tanh_shrink(x: Tensor | ArrayLike) -> Tensor:
    """Return `x - tanh(x)`."""
    x = to_float_tensor(x, "x")
    return F.tanhshrink(x)


def soft_shrink(x: Tensor | ArrayLike, threshold: float = 0.5) -> Tensor:
    """Return `x` moved towards 0 by `threshold`, and 0 if `|x| <= threshold`."""
    x = to_float_tensor(x, "x")
    return F.softshrink(x, threshold)


def hard_shrink(x: Tensor | ArrayLike, threshold: float = 0.5) -> Tensor:
    """Return `x` if `|x| > threshold`, else 0."""
    x = to_float_tensor(x, "x")
    return F.hardshrink(x, threshold)


def threshold(x: Tensor | ArrayLike, threshold: float, default_value: float) -> Tensor:
    """Return `x` if `x > threshold`, else `default_value`."""
    x = to_float_tensor(x, "x")
    return F.threshold(x, threshold, default_value)


def softplus(x: Tensor | ArrayLike) -> Tensor:
    """Return `log(1 + exp(x))`."""
    x = to_float_tensor(x, "x")
    return F.softplus(x)


def softsign(x: Tensor | ArrayLike) -> Tensor:
    """Return `x / (1 + |x|)`."""
    x = to_float_tensor(x, "x")
    return F.softsign(x)


def squareplus(x: Tensor | ArrayLike, b: float = 4) -> Tensor:
    """Return `(x + sqrt(x^2 + b)) / 2` (Barron 2021)."""
    x = to_float_tensor(x, "x")
    return (x + torch.sqrt(x * x + b)) / 2


def sparse_plus(x: Tensor | ArrayLike) -> Tensor:
    """Return 0 below -1, `(x + 1)^2 / 4` from -1 to 1, and `x` above 1."""
    x = to_float_tensor(x, "x")
    return torch.where(x >= 1, x, (x.clamp(-1, 1) + 1).square() / 4)


def sparse_sigmoid(x: Tensor | ArrayLike) -> Tensor:
    """Return `(x + 1) / 2` clipped to 0..1, the derivative of `sparse_plus`."""
    x = to_float_tensor(x, "x")
    return (0.5 * (x + 1)).clamp(0, 1)


def exponential(x: Tensor | ArrayLike) -> Tensor:
    """Return `exp(x)`."""
    x = to_float_tensor(x, "x")
    return torch.exp(x)


def softmax(x: Tensor | ArrayLike, axis: int = -1) -> Tensor:
    """Return `exp(x) / sum(exp(x))` along `axis`.

    >>> softmax([2.0, 1.0, 0.1])
    tensor([0.6590, 0.2424, 0.0986])
    """
    x = to_float_tensor(x, "x")
    return torch.softmax(x, axis)


def log_softmax(x: Tensor | ArrayLike, axis: int = -1) -> Tensor:
    """Return `log(softmax(x))` along `axis`, without overflow."""
    x = to_float_tensor(x, "x")
    return torch.log_softmax(x, axis)


def sparsemax(x: Tensor | ArrayLike, axis: int = -1) -> Tensor:
    """Return the point of the probability simplex that is nearest to `x` along `axis`.

    Martins & Astudillo 2016, algorithm 1.
    """
    x = to_float_tensor(x, "x")
    ordered, _ = x.sort(dim=axis, descending=True)
    excess = ordered.cumsum(axis) - 1
    shape = [1] * x.ndim
    shape[axis] = -1
    rank = torch.arange(1, x.shape[axis] + 1, device=x.device, dtype=x.dtype).view(shape)
    support = (rank * ordered > excess).sum(axis, keepdim=True)
    tau = excess.gather(axis, support - 1) / support
    return (x - tau).clamp(min=0)


def glu(x: Tensor | ArrayLike, axis: int = -1) -> Tensor:
    """Return `a * sigmoid(b)` of the halves `a` and `b` of `x` along `axis`.

    Dauphin et al. 2017. The axis becomes half as long.
    """
    x = to_float_tensor(x, "x")
    return F.glu(x, axis)


def maxout(x: Tensor | ArrayLike, pieces: int = 2, axis: int = -1) -> Tensor:
    """Return the maximum of each group of `pieces` neighbours along `axis`.

    Goodfellow et al. 2013. The axis becomes `pieces` times shorter: `n` features -> `n / pieces`.

    Raises:
        ValueError: The size of the axis is not a multiple of `pieces`.

    >>> maxout(torch.tensor([1.0, 5.0, 2.0, 0.0]))
    tensor([5., 2.])
    """
    x = to_float_tensor(x, "x")
    size = x.shape[axis]
    if size % pieces:
        raise ValueError(f"maxout: axis {axis} has {size} features, which is no multiple of pieces={pieces}.")
    grouped: Tensor = x.unflatten(axis, (size // pieces, pieces))
    return grouped.amax(axis if axis < 0 else axis + 1)


ALONG_LAST_AXIS = (softmax, log_softmax, sparsemax, glu, maxout)  # they combine values along `axis`, by default -1
_CONSTANT_FOR_ONE_VALUE = (softmax, log_softmax, sparsemax)


def constant_axis(activation: Any) -> int | None:
    """Return the axis along which an activation of one value is constant; `None` if none.

    A softmax over one output is always 1, so a model that ends in it cannot learn.

    >>> constant_axis(softmax), constant_axis(torch.nn.Softmax(dim=1)), constant_axis(relu)
    (-1, 1, None)
    """
    if isinstance(activation, (torch.nn.Softmax, torch.nn.LogSoftmax)):
        return activation.dim
    return -1 if activation in _CONSTANT_FOR_ONE_VALUE else None


# `threshold` requires arguments, so it has no name for `get`
_NAMES: dict[str, Activation] = {name: globals()[name] for name in __all__ if name not in ("get", "threshold")}
_NAMES |= {"swish": silu, "hard_swish": hard_silu, "exp": exponential, "identity": linear, "logsigmoid": log_sigmoid}
for _name, _function in _NAMES.items():
    register(_function, f"activations.{_name}")


def get(identifier: Any) -> Activation:
    """Return the activation for a name, class, instance or callable; `None` is `linear`.

    Raises:
        ValueError: The name is unknown.
        TypeError: The identifier is no name, class or callable.

    >>> get("relu")(torch.tensor([-1.0, 1.0]))
    tensor([0., 1.])
    >>> get("rellu")
    Traceback (most recent call last):
    ValueError: Unknown activation 'rellu'. Did you mean 'relu'? Known: ...
    """
    if identifier is None:
        return linear
    if isinstance(identifier, int):
        raise TypeError(
            f"An activation is a name, a class, an instance or a callable, got {identifier!r}. A layer takes the "
            "number of its outputs alone. The size of its input is read from the data, unlike in torch."
        )
    found: Activation = resolve("activation", identifier, _NAMES, callable)
    return found


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, ACTIVATIONS)
