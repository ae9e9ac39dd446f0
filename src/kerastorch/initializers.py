"""Initializers under their Keras names, based on `torch.nn.init`: callables that fill a tensor in place.

Weights have torch's layout, `(out, in, *kernel)`, so `fan_in` and `fan_out` are torch's. The functions of
`torch.nn.init`, such as `torch.nn.init.orthogonal_`, are initializers too.

With a `seed`, an initializer has a generator of its own, and every call draws the same values. By default it draws from
torch's global generator.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor
from torch.nn import init

from kerastorch.core.absent_names import absent_name
from kerastorch.core.errors import check_float
from kerastorch.core.keras_names import INITIALIZERS
from kerastorch.core.name_lookup import resolve
from kerastorch.core.serialization import Configurable, Proxy
from kerastorch.core.torch_private import calculate_fan_in_and_fan_out

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "constant", "get", "glorot_normal",
    "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform", "ones", "orthogonal",
    "random_normal", "random_uniform", "truncated_normal", "variance_scaling", "zeros",
]  # fmt: skip

FillFunction = Callable[[Tensor], Any]  # what `get` returns: it fills a tensor in place


def _generator(seed: int | None, device: torch.device) -> torch.Generator | None:
    if seed is None or device.type == "meta":  # which has no numbers to draw
        return None
    return torch.Generator(device).manual_seed(seed)


class Initializer(Configurable):
    """Base of the initializers, and of one of your own that defines `fill(tensor)`.

    An initializer of your own may also be in Keras' form, with `__call__(self, shape, dtype=None)`, which returns a
    tensor in Keras' layout.

    >>> Ones()(shape=(2,), dtype="float64")
    tensor([1., 1.], dtype=torch.float64)
    """

    def __call__(self, tensor: Any = None, dtype: Any = None, *, shape: Sequence[int] | None = None) -> Tensor:
        """Fill a tensor in place; or return a new one of a shape, in Keras' layout `(*kernel, in, out)`.

        Args:
            tensor: The tensor, or a shape.
            dtype: Dtype of a new tensor, or its name. Default: torch's default dtype.
            shape: The shape of a new tensor, in place of `tensor`.
        """
        if isinstance(tensor, Tensor):
            return self.fill(tensor)
        kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype or torch.get_default_dtype()
        made = torch.empty(tuple(tensor if shape is None else shape), dtype=kind)
        self.fill(torch_view(made))
        return made

    def fill(self, tensor: Tensor) -> Tensor:
        """Fill a tensor in torch's layout in place, and return it."""
        raise NotImplementedError(f"{type(self).__name__} must define fill(self, tensor).")


def torch_view(weight: Tensor) -> Tensor:
    """Return a view with torch's layout, `(out, in, *kernel)`, of a weight with Keras', `(*kernel, in, out)`."""
    return weight.movedim((-1, -2), (0, 1)) if weight.ndim > 1 else weight


def keras_view(weight: Tensor) -> Tensor:
    """Return a view with Keras' layout, `(*kernel, in, out)`, of a weight with torch's, `(out, in, *kernel)`."""
    return weight.movedim((0, 1), (-1, -2)) if weight.ndim > 1 else weight


class ShapeInitializer(Proxy):
    """A function in Keras' form, `function(shape, dtype)`, as one that fills a tensor.

    Args:
        original: The function.
    """

    def __init__(self, original: Any) -> None:
        self.original = original

    def __call__(self, tensor: Tensor) -> Tensor:
        values = self.original(tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))
        with torch.no_grad():
            return tensor.copy_(torch.as_tensor(values))


def _takes_shape(function: Any) -> bool:
    """Return whether a callable is in Keras' form: it has a parameter `shape` or `dtype`, and is none of these here."""
    if isinstance(function, (Initializer, ShapeInitializer)) and type(function).__call__ is Initializer.__call__:
        return False
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):  # it is not written in Python
        return False
    return "shape" in names or "dtype" in names


class Constant(Initializer):
    """A constant: every element is `value`.

    Args:
        value: A number, or an array of the shape of the weight, in torch's layout or in Keras'.
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def fill(self, tensor: Tensor) -> Tensor:
        if isinstance(self.value, (int, float)):
            return init.constant_(tensor, self.value)
        values = torch.as_tensor(self.value)
        if values.shape != tensor.shape and values.shape == keras_view(tensor).shape:
            values = torch_view(values)
        with torch.no_grad():
            return tensor.copy_(values)


def is_in_keras_layout(initializer: Any, by_default: bool) -> bool:
    """Return whether the numbers of an initializer have the layout of Keras.

    Args:
        initializer: As `get` returns it.
        by_default: Whether arrays have it.
    """
    is_array = isinstance(initializer, Constant) and not isinstance(initializer.value, (int, float))
    return isinstance(initializer, ShapeInitializer) or (by_default and is_array)


class Zeros(Constant):
    """All zeros."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """All ones."""

    def __init__(self) -> None:
        super().__init__(1.0)


class RandomNormal(Initializer):
    """Values from a normal distribution with mean `mean` and standard deviation `stddev`."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def fill(self, tensor: Tensor) -> Tensor:
        return init.normal_(tensor, self.mean, self.stddev, generator=_generator(self.seed, tensor.device))


class RandomUniform(Initializer):
    """Values from the uniform distribution between `minval` and `maxval`."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def fill(self, tensor: Tensor) -> Tensor:
        return init.uniform_(tensor, self.minval, self.maxval, generator=_generator(self.seed, tensor.device))


class TruncatedNormal(RandomNormal):
    """Values from a normal distribution, truncated at two standard deviations from the mean."""

    def fill(self, tensor: Tensor) -> Tensor:
        low, high = self.mean - 2 * self.stddev, self.mean + 2 * self.stddev
        generator = _generator(self.seed, tensor.device)
        return init.trunc_normal_(tensor, self.mean, self.stddev, low, high, generator=generator)


class VarianceScaling(Initializer):
    """Values with variance `scale / n` (Glorot & Bengio 2010, He et al. 2015).

    Args:
        scale: Factor of the variance, > 0.
        mode: What `n` is: `'fan_in'` (inputs of a unit), `'fan_out'` (outputs), or `'fan_avg'` (their mean).
        distribution: `'truncated_normal'`, `'untruncated_normal'` or `'uniform'`.
        seed: Seed of a generator for this initializer. Default: torch's global generator.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"mode must be 'fan_in', 'fan_out' or 'fan_avg', got {mode!r}.")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                f"distribution must be 'truncated_normal', 'untruncated_normal' or 'uniform', got {distribution!r}."
            )
        scale = check_float("scale", scale, above=0)
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def fill(self, tensor: Tensor) -> Tensor:
        if tensor.ndim < 2:
            fan_in = fan_out = tensor.numel()
        else:
            fan_in, fan_out = calculate_fan_in_and_fan_out(tensor)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return RandomUniform(-limit, limit, self.seed)(tensor)
        if self.distribution == "untruncated_normal":
            return RandomNormal(0.0, math.sqrt(variance), self.seed)(tensor)
        # 0.8796... is the standard deviation of a standard normal distribution truncated at -2 and 2
        return TruncatedNormal(0.0, math.sqrt(variance) / 0.87962566103423978, self.seed)(tensor)


class GlorotUniform(VarianceScaling):
    """Values from a uniform distribution with variance `2 / (fan_in + fan_out)`."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Values from a truncated normal distribution with variance `2 / (fan_in + fan_out)`."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Values from a uniform distribution with variance `2 / fan_in`."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Values from a truncated normal distribution with variance `2 / fan_in`."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Values from a uniform distribution with variance `1 / fan_in`."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Values from a truncated normal distribution with variance `1 / fan_in`."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


class Orthogonal(Initializer):
    """A (semi-)orthogonal matrix times `gain` (Saxe et al. 2013).

    A tensor with more than two axes is seen as the matrix `(out, in * kernel)`.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = gain, seed

    def fill(self, tensor: Tensor) -> Tensor:
        # torch has no QR decomposition for float16 and bfloat16
        wide = tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))
        init.orthogonal_(wide, self.gain, generator=_generator(self.seed, tensor.device))
        with torch.no_grad():
            return tensor.copy_(wide)


class Identity(Initializer):
    """The identity matrix times `gain`."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def fill(self, tensor: Tensor) -> Tensor:
        init.eye_(tensor)
        with torch.no_grad():
            return tensor.mul_(self.gain)


# Keras' aliases
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal
zeros, ones, constant, identity, orthogonal = Zeros, Ones, Constant, Identity, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, glorot_uniform, glorot_normal = VarianceScaling, GlorotUniform, GlorotNormal
he_uniform, he_normal, lecun_uniform, lecun_normal = HeUniform, HeNormal, LecunUniform, LecunNormal

_NAMES: dict[str, type] = {
    "zeros": Zeros, "ones": Ones, "constant": Constant, "random_normal": RandomNormal, "normal": RandomNormal,
    "random_uniform": RandomUniform, "uniform": RandomUniform, "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling, "glorot_uniform": GlorotUniform, "glorot_normal": GlorotNormal,
    "xavier_uniform": GlorotUniform, "xavier_normal": GlorotNormal, "he_uniform": HeUniform, "he_normal": HeNormal,
    "lecun_uniform": LecunUniform, "lecun_normal": LecunNormal, "orthogonal": Orthogonal, "identity": Identity,
    "orthogonal_initializer": Orthogonal, "identity_initializer": Identity,
}  # fmt: skip


def get(identifier: Any) -> FillFunction:
    """Return the initializer for a name, class, instance or function of `torch.nn.init`.

    A function, or instance, in Keras' form, `function(shape, dtype=None)`, is wrapped in one that fills a tensor.

    Raises:
        ValueError: The name is unknown.
        TypeError: The identifier is no name, class or callable.

    >>> get("ones")(torch.empty(2))
    tensor([1., 1.])
    """
    found: FillFunction = resolve("initializer", identifier, _NAMES, callable)
    return ShapeInitializer(found) if _takes_shape(found) else found


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, INITIALIZERS)
