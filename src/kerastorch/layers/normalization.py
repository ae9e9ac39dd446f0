"""Normalization of each sample by itself, and the `weight` and `bias` after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import constraints, initializers, regularizers
from kerastorch.core.errors import check_float, mismatch
from kerastorch.layers.axes import LAST, apply_along_axes, check_axes, check_axis, positive_axes, positive_channel_axis
from kerastorch.layers.base import Layer
from kerastorch.layers.channel_axis import ChannelAxis


class Affine(Layer):
    """What normalizations that end in `weight * x + bias` have in common.

    Args:
        epsilon: added to the variance.
        center: whether there is a `bias` (Keras' beta).
        scale: whether there is a `weight` (Keras' gamma).
        beta_initializer: fills `bias`; so on for its regularizer and constraint.
        gamma_initializer: fills `weight`; so on for its regularizer and constraint.
        name: see `Layer`; so is `trainable`.
    """

    supports_masking = True
    keeps_axes = True
    weight: torch.nn.Parameter | None
    bias: torch.nn.Parameter | None

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        name: str | None,
        trainable: bool,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.epsilon = check_float("epsilon", epsilon, least=0)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def make_affine(self, *sizes: int) -> None:
        """Make `weight` and `bias` of these sizes, where they are wanted."""
        self.weight = self.bias = None
        if self.scale:
            self.weight = self.add_weight(
                sizes,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="weight",
            )
        if self.center:
            self.bias = self.add_weight(
                sizes,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="bias",
            )


class LayerNormalization(Affine):
    """Mean 0 and variance 1 along `axis` in each sample by itself, then `weight * x + bias` (Ba et al. 2016).

    `torch.nn.LayerNorm`, which has an epsilon of 1e-5 where Keras has 1e-3.

    Args:
        axis: the axis, or several; -1, the default, is the last. Behind layers whose channels are on axis 1 it must
            be given: see `Softmax`.
        epsilon: added to the variance.
        center: whether there is a `bias` (Keras' beta), of the sizes of `axis`.
        scale: whether there is a `weight` (Keras' gamma).
        beta_initializer: fills `bias`.
        gamma_initializer: fills `weight`.
        beta_regularizer: penalty on `bias`.
        gamma_regularizer: penalty on `weight`.
        beta_constraint: what `bias` must satisfy after each step.
        gamma_constraint: what `weight` must satisfy.
        name: see `Layer`; so is `trainable`.

    Shape: any, and the same.

    >>> LayerNormalization(epsilon=0)(torch.tensor([[1.0, 3.0]])).detach()
    tensor([[-1.,  1.]])
    """

    def __init__(
        self,
        axis: int | Sequence[int] = LAST,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            name,
            trainable,
        )
        self.axis, self.axis_given = check_axes(axis), axis is not LAST

    def build(self, input_shape: torch.Size) -> None:
        self.make_affine(*(input_shape[axis] for axis in positive_axes(self, self.axis, len(input_shape))))

    def forward(self, x: Tensor) -> Tensor:
        def normalized(last: Tensor, sizes: list[int]) -> Tensor:
            return F.layer_norm(last, sizes, self.weight, self.bias, self.epsilon)

        return apply_along_axes(x, positive_axes(self, self.axis, x.ndim), normalized)


class GroupNormalization(Affine, ChannelAxis):
    """Mean 0 and variance 1 over a group of channels and all positions, then `weight * x + bias` (Wu & He 2018).

    `torch.nn.GroupNorm`, which has an epsilon of 1e-5 where Keras has 1e-3.

    Args:
        groups: how many groups; the channels must be a multiple of it. -1: one a channel (instance normalization).
        axis: that of the channels. `None` is 1 for images and volumes, `(batch, channels, height, width)`, and the last
            for `(batch, features)` and `(batch, steps, features)`. Keras has -1.
        epsilon: added to the variance.
        center: whether there is a `bias` (Keras' beta), one number a channel.
        scale: whether there is a `weight` (Keras' gamma).
        beta_initializer: fills `bias`.
        gamma_initializer: fills `weight`.
        beta_regularizer: penalty on `bias`.
        gamma_regularizer: penalty on `weight`.
        beta_constraint: what `bias` must satisfy after each step.
        gamma_constraint: what `weight` must satisfy.
        name: see `Layer`; so is `trainable`.

    Shape: any with two axes or more, and the same.

    >>> GroupNormalization(2, epsilon=0)(torch.tensor([[1.0, 3.0, 10.0, 20.0]])).detach()
    tensor([[-1.,  1., -1.,  1.]])
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int | None = None,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            name,
            trainable,
        )
        if isinstance(groups, bool) or not isinstance(groups, int) or (groups < 1 and groups != -1):
            raise mismatch("groups", groups, "an integer >= 1, or -1 for a group of each channel")
        self.groups = groups
        self.axis = None if axis is None else check_axis(axis)

    def build(self, input_shape: torch.Size) -> None:
        channels = input_shape[positive_channel_axis(self, self.axis, len(input_shape))]
        self.make_affine(channels)
        if channels % self.groups:
            raise ValueError(
                f"GroupNormalization: {channels} channels cannot be put in groups={self.groups} of one size."
            )

    def forward(self, x: Tensor) -> Tensor:
        axis = positive_channel_axis(self, self.axis, x.ndim)
        groups = x.shape[axis] if self.groups == -1 else self.groups
        first = F.group_norm(x if axis == 1 else x.movedim(axis, 1), groups, self.weight, self.bias, self.epsilon)
        return first if axis == 1 else first.movedim(1, axis)

    def extra_repr(self) -> str:
        return f"groups={self.groups}, axis={self.axis}"


class RMSNormalization(Layer):
    """`weight * x / sqrt(mean(x^2) + epsilon)` along `axis` (Zhang & Sennrich 2019): `torch.nn.RMSNorm`.

    Args:
        axis: the axis, or several; -1, the default, is the last. Behind layers whose channels are on axis 1 it must
            be given: see `Softmax`.
        epsilon: added to the mean of squares.
        name: see `Layer`; so is `trainable`.

    Shape: any, and the same; `weight` has the sizes of `axis`.

    >>> RMSNormalization(epsilon=0)(torch.tensor([[1.0, -1.0, 7.0, 7.0]])).detach()
    tensor([[ 0.2000, -0.2000,  1.4000,  1.4000]])
    """

    supports_masking = True
    keeps_axes = True
    weight: torch.nn.Parameter

    def __init__(
        self,
        axis: int | Sequence[int] = LAST,
        epsilon: float = 1e-6,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.axis, self.axis_given = check_axes(axis), axis is not LAST
        self.epsilon = check_float("epsilon", epsilon, least=0)

    def build(self, input_shape: torch.Size) -> None:
        sizes = [input_shape[axis] for axis in positive_axes(self, self.axis, len(input_shape))]
        self.weight = self.add_weight(sizes, "ones")

    def forward(self, x: Tensor) -> Tensor:
        def normalized(last: Tensor, sizes: list[int]) -> Tensor:
            return F.rms_norm(last, sizes, self.weight, self.epsilon)

        return apply_along_axes(x, positive_axes(self, self.axis, x.ndim), normalized)


class UnitNormalization(Layer):
    """`x / |x|`, the Euclidean norm along `axis`: `torch.nn.functional.normalize`.

    Args:
        axis: the axis, or several over which one norm is taken; -1, the default, is the last. Behind layers whose
            channels are on axis 1 it must be given: see `Softmax`.
        name: see `Layer`; so is `trainable`.

    Shape: any, and the same.

    >>> UnitNormalization()(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(self, axis: int | Sequence[int] = LAST, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.axis, self.axis_given = check_axes(axis), axis is not LAST

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=positive_axes(self, self.axis, x.ndim))  # type: ignore[arg-type]
