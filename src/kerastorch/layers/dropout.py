"""Layers that act only in training: variants of dropout, Gaussian noise, and a penalty on activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_float
from kerastorch.core.torch_class import TorchClass
from kerastorch.layers.base import Layer
from kerastorch.layers.dropout_noise import dropout
from kerastorch.layers.random_generator import RandomGenerator
from kerastorch.regularizers import L1L2


class Dropout(Layer):
    """Dropout: a random fraction `rate` of the elements is set to 0 in training.

    The other elements are scaled by `1 / (1 - rate)`.

    In evaluation and prediction, the input is returned unchanged (Srivastava et al. 2014, in the inverted form). Once
    built, a layer without `noise_shape` and `seed` is an instance of `torch.nn.Dropout`. On the CPU it draws masks of
    many elements in a quarter of torch's time, which are other masks than those of torch under the same seed.

    Args:
        rate: Probability that an element is set to 0, 0 to 1.
        noise_shape: Shape of the random mask; a size of 1 shares the mask along that axis, and `None` is the size of
            the input. Default: the shape of the input.
        seed: Seed of random numbers that are the same in each run, an integer >= 0; `None` uses torch's global
            generator.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    >>> Dropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    supports_masking = True
    keeps_axes = True
    torch_class = TorchClass(nn.Dropout, {"p": "rate"})

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._draws = RandomGenerator(seed)
        self.seed = self._draws.seed
        self.rate = check_float("rate", rate, least=0, most=1)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        shape = self._mask_shape(x)
        if self.rate == 1 or (shape is None and self.seed is None):
            return dropout(x, self.rate)
        return x * self._draws.dropout(shape or x.shape, self.rate, x)

    def _mask_shape(self, x: Tensor) -> list[int] | None:
        """Return the shape of the random mask for `x`, or `None` if it is the shape of `x`.

        Raises:
            ValueError: The number of axes does not fit `x`.
        """
        if self.noise_shape is None:
            return None
        if len(self.noise_shape) != x.ndim:
            raise ValueError(f"noise_shape {self.noise_shape} has {len(self.noise_shape)} axes, the input {x.ndim}.")
        return [size if noise is None else noise for noise, size in zip(self.noise_shape, x.shape, strict=True)]

    def torch_attributes(self) -> dict[str, Any] | None:
        return {"inplace": False} if self.noise_shape is None and self.seed is None else None

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


class AlphaDropout(Dropout):
    """Dropout that preserves the mean and variance of SELU activations (Klambauer et al. 2017).

    A dropped element gets the lowest value of SELU instead of 0, and the result is scaled and shifted.

    Args:
        rate: Probability that an element is dropped in training, 0 to 1.
        noise_shape: Shape of the random mask; see `Dropout`.
        seed: Seed of random numbers that are the same in each run, an integer >= 0; `None` uses torch's global
            generator.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    >>> AlphaDropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        shape = self._mask_shape(x)
        if self.rate == 1 or (shape is None and self.seed is None):
            return torch.alpha_dropout(x, self.rate, True)
        keep = self._draws.bernoulli_mask(shape or x.shape, self.rate, x)
        scale = 1 / math.sqrt((1 + self.rate * _LOWEST**2) * (1 - self.rate))
        return scale * (x * keep + _LOWEST * (1 - keep) - _LOWEST * self.rate)


_LOWEST = -1.7580993408473766  # the lowest value of SELU: -scale * alpha


class GaussianDropout(Layer):
    """Multiplicative normal noise of mean 1 and standard deviation `sqrt(rate / (1 - rate))`, in training only.

    Source: Srivastava et al. 2014.

    Args:
        rate: Rate of the `Dropout` layer whose noise has the same mean and variance, >= 0 and < 1.
        seed: Seed of random numbers that are the same in each run, an integer >= 0; `None` uses torch's global
            generator.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    >>> GaussianDropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(
        self, rate: float, seed: int | None = None, *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._draws = RandomGenerator(seed)
        self.seed = self._draws.seed
        self.rate = check_float("rate", rate, least=0, below=1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        return x * (1 + math.sqrt(self.rate / (1 - self.rate)) * self._draws.normal(x))

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


class GaussianNoise(Layer):
    """Additive normal noise of mean 0, in training only.

    Args:
        stddev: Standard deviation of the noise, >= 0.
        seed: Seed of random numbers that are the same in each run, an integer >= 0; `None` uses torch's global
            generator.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    >>> GaussianNoise(0.1).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(
        self, stddev: float, seed: int | None = None, *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._draws = RandomGenerator(seed)
        self.seed = self._draws.seed
        self.stddev = check_float("stddev", stddev, least=0)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.stddev:
            return x
        return x + self.stddev * self._draws.normal(x)

    def extra_repr(self) -> str:
        return f"stddev={self.stddev:g}"


class ActivityRegularization(Layer):
    """Identity that adds a penalty on its input to the loss: `(l1 * sum(|x|) + l2 * sum(x^2)) / batch_size`.

    Args:
        l1: Factor of the absolute values, >= 0.
        l2: Factor of the squares, >= 0.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

    >>> ActivityRegularization(l1=0.1)(torch.ones(2))
    tensor([1., 1.])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, *, name: str | None = None, trainable: bool = True) -> None:
        penalty = L1L2(l1, l2)
        super().__init__(name=name, trainable=trainable, activity_regularizer=penalty)
        self.l1, self.l2 = penalty.l1, penalty.l2

    def forward(self, x: Tensor) -> Tensor:
        return x
