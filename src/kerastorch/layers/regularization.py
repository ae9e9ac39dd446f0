"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.errors import number
from kerastorch.layers.base import Layer


class Dropout(Layer):
    """Sets each element to 0 with probability `rate` in training and scales the rest by `1 / (1 - rate)`.

    In evaluation and prediction it does nothing (Srivastava et al. 2014, in the inverted form).

    Args:
        rate: probability, 0 to 1.
        noise_shape: shape of the random mask; 1 where it is shared along an axis, `None` where it is the input's.
        seed: draws from a generator of its own instead of torch's global one.
        name: see `Layer`; so is `trainable`.

    >>> Dropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

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
        self.rate = number("rate", rate, least=0, most=1)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        if self.rate == 1 or (self.noise_shape is None and self.seed is None):
            return F.dropout(x, self.rate)
        return x * (self._mask(x) / (1 - self.rate))

    def _mask(self, x: Tensor) -> Tensor:
        shape = x.shape if self.noise_shape is None else self._shape_of_noise(x)
        keep = torch.full(shape, 1 - self.rate, dtype=x.dtype, device=x.device)
        if self.seed is None:
            return torch.bernoulli(keep)
        if x.device not in self._generators:
            self._generators[x.device] = torch.Generator(x.device).manual_seed(self.seed)
        return torch.bernoulli(keep, generator=self._generators[x.device])

    def _shape_of_noise(self, x: Tensor) -> list[int]:
        assert self.noise_shape is not None
        if len(self.noise_shape) != x.ndim:
            raise ValueError(f"noise_shape {self.noise_shape} has {len(self.noise_shape)} axes, the input {x.ndim}.")
        return [size if asked is None else asked for asked, size in zip(self.noise_shape, x.shape, strict=True)]

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
