"""Dropout, and the drawing of random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.errors import number, whole
from kerastorch.layers.base import Layer


class Seeded(Layer):
    """Draws from a generator of its own where it has a seed, else from torch's global one."""

    supports_masking = True

    def __init__(self, seed: int | None, name: str | None, trainable: bool) -> None:
        super().__init__(name=name, trainable=trainable)
        self.seed = None if seed is None else whole("seed", seed, 0)
        self._generators: dict[torch.device, torch.Generator] = {}

    def _generator(self, device: torch.device) -> torch.Generator | None:
        if self.seed is None:
            return None
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]

    def _normal(self, x: Tensor) -> Tensor:
        """Standard normal numbers in the shape of `x`."""
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=self._generator(x.device))


class Dropout(Seeded):
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
        super().__init__(seed, name, trainable)
        self.rate = number("rate", rate, least=0, most=1)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        shape = self._shape_of_noise(x)
        if self.rate == 1 or (shape is None and self.seed is None):
            return F.dropout(x, self.rate)
        return x * (self._kept(x, shape) / (1 - self.rate))

    def _kept(self, x: Tensor, shape: list[int] | None) -> Tensor:
        """1 where an element of `x` is kept, 0 where it is dropped."""
        keep = torch.full(shape or x.shape, 1 - self.rate, dtype=x.dtype, device=x.device)
        return torch.bernoulli(keep, generator=self._generator(x.device))

    def _shape_of_noise(self, x: Tensor) -> list[int] | None:
        if self.noise_shape is None:
            return None
        if len(self.noise_shape) != x.ndim:
            raise ValueError(f"noise_shape {self.noise_shape} has {len(self.noise_shape)} axes, the input {x.ndim}.")
        return [size if asked is None else asked for asked, size in zip(self.noise_shape, x.shape, strict=True)]

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
