"""Layers that act only in training: variants of dropout, Gaussian noise, and a penalty on activations."""

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
    """Dropout: a random fraction `rate` of the elements is set to 0 in training.

    The other elements are scaled by `1 / (1 - rate)`.

    In evaluation and prediction, the input is returned unchanged (Srivastava et al. 2014, in the inverted form).

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
            return F.dropout(x, self.rate)
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

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


class _SpatialDropout(Dropout):
    """Dropout with one random number for all positions of a feature.

    Args:
        rate: Probability that a feature is set to 0, 0 to 1.
        data_format: `"channels_first"`, `"channels_last"`, or `None` for the default of the class.
        seed: Seed of the random masks; `None` uses torch's global generator.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.
    """

    _ndim: int  # number of axes of the input, including the batch and the channels

    def __init__(
        self, rate: float, *, data_format: str | None, seed: int | None, name: str | None, trainable: bool
    ) -> None:
        super().__init__(rate, seed=seed, name=name, trainable=trainable)
        self.data_format = None if data_format is None else check_choice("data_format", data_format, FORMATS)

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of images and volumes that look channels-last, unless `data_format` was given."""
        if self.data_format is None and self._ndim > 3 and len(input_shapes[0]) == self._ndim:
            warn_if_channels_last(self, input_shapes[0], "data_format")

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the channel axis, or `None` if `data_format` is given or `ndim` is wrong."""
        return None if self.data_format is not None or ndim != self._ndim else self._channel_axis()

    def axis_advice(self, axis: int) -> str:
        """Return the argument with which the channels are on `axis`, for warnings."""
        return f"data_format={FORMATS[axis == -1]!r}"

    @property
    def takes_channels_first(self) -> bool:
        """Return whether the input is images or volumes with the channels on axis 1."""
        return self._ndim > 3 and self._channel_axis() == 1

    def _mask_shape(self, x: Tensor) -> list[int]:
        if x.ndim != self._ndim:
            raise ValueError(
                f"{type(self).__name__} takes inputs of {self._ndim} axes, the batch's among them, "
                f"got shape {tuple(x.shape)}."
            )
        axis = self._channel_axis()
        return [size if index in (0, axis) else 1 for index, size in enumerate(x.shape)]

    def _channel_axis(self) -> int:
        """Return the axis of the channels, counted from the front."""
        return self._ndim - 1 if self.data_format == "channels_last" else 1


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole features of a sequence: each is 0 at all time steps or at none (Tompson et al. 2015).

    Args:
        rate: Probability that a feature is set to 0 in training, 0 to 1; the others are scaled by `1 / (1 - rate)`.
        seed: Seed of random numbers that are the same in each run, an integer >= 0; `None` uses torch's global
            generator.
        data_format: `"channels_last"` (default): `(batch, steps, features)`, as in Keras and as the output of
            `Embedding`, `Conv1D` and recurrent layers. `"channels_first"`: `(batch, features, steps)`, as in torch.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

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
        super().__init__(rate, data_format=data_format, seed=seed, name=name, trainable=trainable)

    def _channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else 2


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole feature maps: each is 0 at all pixels or at none (Tompson et al. 2015).

    Args:
        rate: Probability that a feature map is set to 0 in training, 0 to 1; the others are scaled by
            `1 / (1 - rate)`.
        data_format: `"channels_first"` (default): `(batch, channels, height, width)`; `"channels_last"`: `(batch,
            height, width, channels)`.
        seed: Seed of random numbers that are the same in each run, an integer >= 0; `None` uses torch's global
            generator.
        name: Name of the layer.
        trainable: Accepted as in every layer; there are no weights.

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
        super().__init__(rate, data_format=data_format, seed=seed, name=name, trainable=trainable)


class SpatialDropout3D(SpatialDropout2D):
    """Dropout of whole channels of a volume, `(batch, channels, depth, height, width)`.

    Arguments are those of `SpatialDropout2D`.

    >>> SpatialDropout3D(0.5)(torch.ones(2, 3, 4, 4, 4)).std((2, 3, 4)).max()
    tensor(0.)
    """

    _ndim = 5


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
