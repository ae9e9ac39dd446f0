"""Random tensors: `keras.random`, with Keras' names and arguments.

`seed` is an integer, which gives the same numbers in each call; a `SeedGenerator`, which gives further ones in each
call; or `None`, the default, for torch's global generator, which `kt.utils.set_random_seed` sets. The numbers
themselves are not Keras'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor

from kerastorch.core.absent_names import absent_name
from kerastorch.core.errors import check_float, mismatch
from kerastorch.ops.conversion import as_float, check_axis, device_of, floatx, to_dtype, to_tensor
from kerastorch.ops.recording import random_op
from kerastorch.ops.seed_generator import SeedGenerator, as_generator

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint", "shuffle",
    "truncated_normal", "uniform",
]  # fmt: skip


def _new(shape: Any, dtype: Any, *tensors: Any) -> Tensor:
    """Return an empty tensor for random floats, on the device of the first tensor among some values."""
    found = floatx() if dtype is None else to_dtype(dtype)
    if not found.is_floating_point:
        raise mismatch("dtype", dtype, "a dtype of floats")
    return torch.empty(tuple(int(size) for size in shape), dtype=found, device=device_of(*tensors))


@random_op
def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return numbers from a normal distribution.

    Args:
        shape: The shape of the result.
        mean: The mean.
        stddev: The standard deviation.
        dtype: A dtype of floats. Default float32.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    return as_generator(seed).normal(_new(shape, dtype, mean, stddev)) * stddev + mean


@random_op
def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return numbers from a uniform distribution.

    Args:
        shape: The shape of the result.
        minval: The least number.
        maxval: The number above all.
        dtype: A dtype of floats; of integers, as in `randint`. Default float32.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    if dtype is not None and not to_dtype(dtype).is_floating_point:
        return randint(shape, minval, maxval, dtype, seed)
    return as_generator(seed).uniform(_new(shape, dtype, minval, maxval)) * (maxval - minval) + minval


@random_op
def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Return integers from `minval` to `maxval - 1`, all of one probability.

    Args:
        shape: The shape of the result.
        minval: The least integer.
        maxval: The integer above all.
        dtype: A dtype of integers. Default int32.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    low, high = int(minval), int(maxval)
    if high <= low:
        raise ValueError(f"randint: maxval must be above minval, got {low} and {high}.")
    found = torch.floor(as_generator(seed).uniform(_new(shape, torch.float64)) * (high - low))
    return (found.long() + low).clamp(max=high - 1).to(to_dtype(dtype))


@random_op
def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return numbers from a normal distribution, without those more than two standard deviations from the mean.

    Args:
        shape: The shape of the result.
        mean: The mean.
        stddev: The standard deviation.
        dtype: A dtype of floats. Default float32.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    like = _new(shape, dtype, mean, stddev)
    within = math.erf(math.sqrt(2))  # the probability of two standard deviations on both sides
    drawn = as_generator(seed).uniform(like.double())
    standard = math.sqrt(2) * torch.erfinv((2 * drawn - 1) * within)
    return standard.clamp(-2, 2).to(like.dtype) * stddev + mean


@random_op
def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Return random classes: `(batch, classes)` -> `(batch, num_samples)`.

    Args:
        logits: Logarithms of the probabilities, up to a constant for each row.
        num_samples: How many classes are drawn for each row, independently.
        dtype: A dtype of integers. Default int32.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    x = as_float(to_tensor(logits))
    bounds = torch.softmax(x.double(), -1).cumsum(-1)
    drawn = as_generator(seed).uniform(bounds.new_empty(*x.shape[:-1], num_samples)) * bounds[..., -1:]
    found = torch.searchsorted(bounds, drawn, right=True).clamp(max=x.shape[-1] - 1)
    return found.to(to_dtype(dtype))


@random_op
def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return numbers from gamma distributions of scale 1.

    Args:
        shape: The shape of the result.
        alpha: The shape parameter, a number or a tensor that broadcasts.
        dtype: A dtype of floats. Default float32.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    like = _new(shape, dtype, alpha)
    return as_generator(seed).gamma(to_tensor(alpha, like.dtype, like.device).expand(like.shape).contiguous())


@random_op
def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return numbers from beta distributions.

    Args:
        shape: The shape of the result.
        alpha: The first parameter, a number or a tensor that broadcasts.
        beta: The second parameter.
        dtype: A dtype of floats. Default float32.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    like = _new(shape, dtype, alpha, beta)
    parameters = (to_tensor(one, torch.float64, like.device).expand(like.shape) for one in (alpha, beta))
    first, second = as_generator(seed).gamma(torch.stack(list(parameters)))
    return (first / (first + second)).to(like.dtype)


@random_op
def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return how many of some trials succeed.

    Args:
        shape: The shape of the result.
        counts: The number of trials, a number or a tensor that broadcasts.
        probabilities: The probability of a success.
        dtype: A dtype. Default float32.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    like = _new(shape, torch.float64, counts, probabilities)
    n, p = (
        to_tensor(one, torch.float64, like.device).expand(like.shape).contiguous() for one in (counts, probabilities)
    )
    draws = as_generator(seed)
    generator = None
    if draws.count is not None:
        number = draws.uniform(torch.empty((), dtype=torch.float64, device="cpu"))
        generator = torch.Generator(like.device).manual_seed(int(number * 2**53))
    return torch.binomial(n, p, generator=generator).to(floatx() if dtype is None else to_dtype(dtype))


@random_op
def dropout(inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None) -> Tensor:
    """Return a tensor with random elements set to 0 and the others divided by `1 - rate`.

    Args:
        inputs: Floats.
        rate: The probability of 0, 0 to 1.
        noise_shape: The shape of what is drawn, which broadcasts; `None` in it is the size of `inputs`. Default: the
            shape of `inputs`.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    x = to_tensor(inputs)
    rate = check_float("rate", rate, least=0, most=1)
    if rate in (0, 1):
        return torch.zeros_like(x) if rate else x
    drawn = (
        x.shape if noise_shape is None else [n if m is None else m for n, m in zip(x.shape, noise_shape, strict=True)]
    )
    return x * as_generator(seed).dropout(drawn, rate, x)


@random_op
def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """Return the slices of a tensor along an axis in random order.

    Args:
        x: A tensor.
        axis: The axis.
        seed: An integer, a `SeedGenerator` or `None`.
    """
    x = to_tensor(x)
    axis = check_axis(axis, x.ndim)
    return x.index_select(axis, as_generator(seed).permutation(x.shape[axis], x))


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__)
