"""Layers that act in training only: dropout in its kinds, Gaussian noise, a penalty on the activity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_choice, check_float
from kerastorch.layers.base import Layer
from kerastorch.layers.channels_check import warn_if_channels_last
from kerastorch.layers.random_generator import RandomGenerator
from kerastorch.layers.spatial import FORMATS
from kerastorch.regularizers import L1L2


class Dropout(Layer):
    """Sets each element to 0 with probability `rate` in training and scales the rest by `1 / (1 - rate)`.

    In evaluation and prediction it does nothing (Srivastava et al. 2014, in the inverted form).

    Args:
        rate: probability, 0 to 1.
        noise_shape: shape of the random mask; 1 where it is shared along an axis, `None` where it is the input's.
        seed: of numbers of its own, the same at each start; `None` draws from torch's global generator.
        name: see `Layer`; so is `trainable`.

    >>> Dropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    supports_masking = True
    keeps_axes = True

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
        shape = self._shape_of_noise(x)
        if self.rate == 1 or (shape is None and self.seed is None):
            return F.dropout(x, self.rate)
        return x * self._draws.dropout(shape or x.shape, self.rate, x)

    def _shape_of_noise(self, x: Tensor) -> list[int] | None:
        if self.noise_shape is None:
            return None
        if len(self.noise_shape) != x.ndim:
            raise ValueError(f"noise_shape {self.noise_shape} has {len(self.noise_shape)} axes, the input {x.ndim}.")
        return [size if asked is None else asked for asked, size in zip(self.noise_shape, x.shape, strict=True)]

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


class _SpatialDropout(Dropout):
    """One draw for all positions of a feature."""

    _ndim: int

    def __init__(
        self, rate: float, data_format: str | None, seed: int | None, name: str | None, trainable: bool
    ) -> None:
        super().__init__(rate, seed=seed, name=name, trainable=trainable)
        self.data_format = None if data_format is None else check_choice("data_format", data_format, FORMATS)

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of images and volumes that look channels-last, unless `data_format` was given."""
        if self.data_format is None and self._ndim > 3 and len(input_shapes[0]) == self._ndim:
            warn_if_channels_last(self, input_shapes[0], "data_format")

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the axis taken for the channels if no `data_format` was given."""
        return None if self.data_format is not None or ndim != self._ndim else self._axis() or None

    def axis_advice(self, axis: int) -> str:
        """Say what to write for the channels on this axis."""
        return f"data_format={FORMATS[axis == -1]!r}"

    @property
    def takes_channels_first(self) -> bool:
        """Whether it takes axis 1 of images and volumes for the channels."""
        return self._ndim > 3 and self._axis() == 1

    def _shape_of_noise(self, x: Tensor) -> list[int]:
        if x.ndim != self._ndim:
            raise ValueError(
                f"{type(self).__name__} takes inputs of {self._ndim} axes, the batch's among them, "
                f"got shape {tuple(x.shape)}."
            )
        axis = self._axis()
        return [size if at in (0, axis) else 1 for at, size in enumerate(x.shape)]

    def _axis(self) -> int:
        return self._ndim - 1 if self.data_format == "channels_last" else 1


class SpatialDropout1D(_SpatialDropout):
    """Sets whole features to 0 over all steps, with probability `rate` in training (Tompson et al. 2015).

    Args:
        rate: probability, 0 to 1; what is left is scaled by `1 / (1 - rate)`.
        seed: see `Dropout`.
        data_format: `None` or `'channels_last'`: `(batch, steps, features)`, as in Keras and as an `Embedding`, a
            `Conv1D` or a recurrent layer gives it. `'channels_first'`: `(batch, features, steps)`, as in torch.
        name: see `Layer`; so is `trainable`.

    >>> y = SpatialDropout1D(0.5)(torch.ones(1, 3, 4))
    >>> torch.equal(y[:, 0], y[:, 2])
    True
    """

    _ndim = 3

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        *,
        data_format: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(rate, data_format, seed, name, trainable)

    def _axis(self) -> int:
        return 1 if self.data_format == "channels_first" else 2


class SpatialDropout2D(_SpatialDropout):
    """Sets whole feature maps to 0 with probability `rate` in training (Tompson et al. 2015).

    Args:
        rate: probability, 0 to 1; what is left is scaled by `1 / (1 - rate)`.
        data_format: `None` or `'channels_first'`: `(batch, channels, height, width)`; `'channels_last'`: the channels
            are the last axis.
        seed: see `Dropout`.
        name: see `Layer`; so is `trainable`.

    >>> SpatialDropout2D(0.5)(torch.ones(2, 3, 4, 4)).std((2, 3)).max()
    tensor(0.)
    """

    _ndim = 4

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(rate, data_format, seed, name, trainable)


class SpatialDropout3D(SpatialDropout2D):
    """As `SpatialDropout2D`, of inputs `(batch, channels, depth, height, width)`.

    >>> SpatialDropout3D(0.5)(torch.ones(2, 3, 4, 4, 4)).std((2, 3, 4)).max()
    tensor(0.)
    """

    _ndim = 5


class AlphaDropout(Dropout):
    """Dropout for SELU: what is dropped becomes SELU's lowest value; mean and variance stay (Klambauer et al. 2017).

    Args:
        rate: probability, 0 to 1.
        noise_shape: see `Dropout`.
        seed: see `Dropout`.
        name: see `Layer`; so is `trainable`.

    >>> AlphaDropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        shape = self._shape_of_noise(x)
        if self.rate == 1 or (shape is None and self.seed is None):
            return torch.alpha_dropout(x, self.rate, True)
        keep = self._draws.bernoulli_mask(shape or x.shape, self.rate, x)
        scale = 1 / math.sqrt((1 + self.rate * _LOWEST**2) * (1 - self.rate))
        return scale * (x * keep + _LOWEST * (1 - keep) - _LOWEST * self.rate)


_LOWEST = -1.7580993408473766  # of SELU: -scale * alpha


class GaussianDropout(Layer):
    """Multiplies by normal noise of mean 1 and standard deviation `sqrt(rate / (1 - rate))` (Srivastava et al. 2014).

    In evaluation it does nothing.

    Args:
        rate: as of a `Dropout` with the same mean and variance; below 1.
        seed: of numbers of its own, the same at each start; `None` draws from torch's global generator.
        name: see `Layer`; so is `trainable`.

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
    """Adds normal noise of mean 0 in training; in evaluation it does nothing.

    Args:
        stddev: its standard deviation.
        seed: of numbers of its own, the same at each start; `None` draws from torch's global generator.
        name: see `Layer`; so is `trainable`.

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
    """Passes its input on and adds `l1 * sum(|x|) + l2 * sum(x^2)`, over the batch size, to the loss.

    Args:
        l1: factor of the absolute values, >= 0.
        l2: factor of the squares, >= 0.
        name: see `Layer`; so is `trainable`.

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
