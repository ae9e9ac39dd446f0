"""Activations that take arguments, as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import activations, constraints, initializers, regularizers
from kerastorch.core.errors import check_float, mismatch
from kerastorch.layers.axes import LAST
from kerastorch.layers.base import Layer
from kerastorch.layers.constant_output import warn_of_constant


class ReLU(Layer):
    """`max(x, 0)`, with Keras' arguments: see `activations.relu`."""

    supports_masking = True
    keeps_axes = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.max_value = None if max_value is None else check_float("max_value", max_value, least=0)
        self.negative_slope = check_float("negative_slope", negative_slope, least=0)
        self.threshold = check_float("threshold", threshold, least=0)

    def forward(self, x: Tensor) -> Tensor:
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """`x` if positive, else `negative_slope * x`. The default slope is that of Keras' layer, 0.3.

    >>> LeakyReLU(0.1)(torch.tensor([-1.0, 2.0]))
    tensor([-0.1000,  2.0000])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(self, negative_slope: float = 0.3, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.negative_slope = check_float("negative_slope", negative_slope, least=0)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope:g}"


class PReLU(Layer):
    """`x` if positive, else `weight * x` with a learned slope for each feature (He et al. 2015).

    Args:
        alpha_initializer: fills `weight`.
        alpha_regularizer: penalty on `weight`.
        alpha_constraint: what `weight` must satisfy.
        shared_axes: axes (1 is the first after the batch) along which one slope serves.
        name: see `Layer`; so is `trainable`.
    """

    supports_masking = True
    keeps_axes = True

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Sequence[int] | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = tuple(shared_axes or ())

    def build(self, input_shape: torch.Size) -> None:
        shape = [1 if axis in self.shared_axes else size for axis, size in enumerate(input_shape)][1:]
        self.weight = self.add_weight(
            shape,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="weight",
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.weight * x)


class ELU(Layer):
    """`x` if positive, else `alpha * (exp(x) - 1)`."""

    supports_masking = True
    keeps_axes = True

    def __init__(self, alpha: float = 1.0, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.alpha = check_float("alpha", alpha)

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}"


class Softmax(Layer):
    """`exp(x) / sum(exp(x))` along `axis`.

    Args:
        axis: the axis, or several over which one sum is taken; -1, the default, is the last. Behind layers whose
            channels are on axis 1, as they are known in chains and functional models, it must be given.
        name: see `Layer`; so is `trainable`.

    A `mask` says what counts, the rest becomes 0: of the shape of `x` or one that torch repeats to it, as in Keras. One
    without the last axis, of time steps, counts along the other axes and leaves a softmax over the last as it is.

    >>> Softmax()(torch.zeros(1, 3), mask=torch.tensor([[True, True, False]]))
    tensor([[0.5000, 0.5000, 0.0000]])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(self, axis: int | Sequence[int] = LAST, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
        self.axis_given = axis is not LAST
        if not axes or any(isinstance(one, bool) or not isinstance(one, int) for one in axes):
            raise mismatch("axis", axis, "an integer or several, as -1 for the last")
        self.axis: int | tuple[int, ...] = int(axes[0]) if len(axes) == 1 else axes

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of a softmax along an axis of size 1."""
        if isinstance(self.axis, int):
            warn_of_constant(self, self.axis, input_shapes[0])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self._softmax(x)
        if not _repeats(mask, x):
            if mask.shape != x.shape[:-1]:
                raise ValueError(
                    f"Softmax got a mask of shape {tuple(mask.shape)} for an input of shape {tuple(x.shape)}. It needs "
                    "that shape, with or without the last axis, or 1 where it is the same along an axis."
                )
            if self.axis in (-1, x.ndim - 1):
                return self._softmax(x)  # each step is by itself
            mask = mask.unsqueeze(-1)
        left_out = ~mask.bool()
        y = self._softmax(x.masked_fill(left_out, torch.finfo(x.dtype).min))
        return y.masked_fill(left_out, 0)  # where nothing counts, all were alike

    def _softmax(self, x: Tensor) -> Tensor:
        if isinstance(self.axis, int):
            return torch.softmax(x, self.axis)
        return torch.exp(x - torch.logsumexp(x, self.axis, keepdim=True))

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


def _repeats(mask: Tensor, x: Tensor) -> bool:
    """Whether torch repeats `mask` to the shape of `x`."""
    pairs = zip(reversed(mask.shape), reversed(x.shape), strict=False)
    return mask.ndim <= x.ndim and all(one in (1, other) for one, other in pairs)
