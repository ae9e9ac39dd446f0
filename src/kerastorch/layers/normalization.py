"""Normalization of each sample by itself: layer, group, RMS and unit normalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch.core.errors import check_float, mismatch
from kerastorch.core.torch_class import TorchClass
from kerastorch.layers.axes import (
    LAST,
    apply_along_axes,
    check_axes,
    last_sizes,
    positive_axes,
    positive_channel_axis,
)
from kerastorch.layers.base import Layer
from kerastorch.layers.channel_axis import ChannelAxis
from kerastorch.layers.keras_weight import keras_weight
from kerastorch.layers.options import LayerOptions
from kerastorch.layers.weight_options import make_weight, set_weight_options_from


@dataclass(frozen=True, kw_only=True)
class AffineOptions(LayerOptions):
    """Options of normalizations that end in `weight * x + bias`; `LayerNormalization` documents them."""

    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Any = "zeros"
    gamma_initializer: Any = "ones"
    beta_regularizer: Any = None
    gamma_regularizer: Any = None
    beta_constraint: Any = None
    gamma_constraint: Any = None


class AffineNormalization(Layer):
    """Base of normalizations that end in `weight * x + bias`.

    Args:
        options: Constructor arguments of the layer.
    """

    supports_masking = True
    keeps_axes = True
    weight: torch.nn.Parameter | None
    bias: torch.nn.Parameter | None
    gamma = keras_weight("weight")
    beta = keras_weight("bias")

    def __init__(self, options: AffineOptions) -> None:
        super().__init__(name=options.name, trainable=options.trainable)
        self.epsilon = check_float("epsilon", options.epsilon, least=0)
        self.center = options.center
        self.scale = options.scale
        set_weight_options_from(self, options, "beta", "gamma")

    def add_affine_weights(self, *sizes: int) -> None:
        """Create `weight` and `bias` of these sizes; one that the options exclude is `None`."""
        self.weight = self.bias = None
        if self.scale:
            self.weight = make_weight(self, "gamma", sizes, "weight")
        if self.center:
            self.bias = make_weight(self, "beta", sizes, "bias")


class LayerNormalization(AffineNormalization):
    """Layer normalization: mean 0 and variance 1 along `axis` in each sample, then `weight * x + bias`.

    Source: Ba et al. 2016. It computes the same as `torch.nn.LayerNorm`, whose default epsilon is 1e-5. Once built, it
    is an instance of that class if `axis` are the last axes and no `bias` comes without a `weight`.

    Args:
        axis: Axis or axes, default the last one. It is required behind a layer whose channels are on axis 1, for which
            the last axis would be a wrong guess.
        epsilon: Added to the variance.
        center: Whether a `bias` (Keras' beta), of the sizes of `axis`, is added.
        scale: Whether the result is multiplied by a `weight` (Keras' gamma), of the same sizes.
        beta_initializer: Initializer of `bias`.
        gamma_initializer: Initializer of `weight`.
        beta_regularizer: Penalty on `bias`.
        gamma_regularizer: Penalty on `weight`.
        beta_constraint: Constraint on `bias`, applied after each optimizer step.
        gamma_constraint: Constraint on `weight`.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: any; the output has the shape of the input.

    >>> LayerNormalization(epsilon=0)(torch.tensor([[1.0, 3.0]])).detach()
    tensor([[-1.,  1.]])
    """

    torch_class = TorchClass(nn.LayerNorm, {"eps": "epsilon"})

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
        super().__init__(AffineOptions.from_arguments(locals()))
        self.axis, self.axis_given = check_axes(axis), axis is not LAST

    def build(self, input_shape: torch.Size) -> None:
        """Create `weight` and `bias` with the sizes of `axis`."""
        self.add_affine_weights(*(input_shape[axis] for axis in positive_axes(self, self.axis, len(input_shape))))

    def forward(self, x: Tensor) -> Tensor:
        def normalize(last: Tensor, sizes: list[int]) -> Tensor:
            return F.layer_norm(last, sizes, self.weight, self.bias, self.epsilon)

        return apply_along_axes(x, positive_axes(self, self.axis, x.ndim), normalize)

    def torch_attributes(self) -> dict[str, Any] | None:
        sizes = last_sizes(self, self.axis)
        if sizes is None or (self.weight is None and self.bias is not None):
            return None
        return {"normalized_shape": sizes, "elementwise_affine": self.weight is not None}


class GroupNormalization(AffineNormalization, ChannelAxis):
    """Group normalization: mean 0 and variance 1 over a group of channels and all positions of each sample.

    This is followed by `weight * x + bias` (Wu & He 2018). It computes the same as `torch.nn.GroupNorm`, whose default
    epsilon is 1e-5. Once built, it is an instance of that class if the channels are axis 1 and no `bias` comes without
    a `weight`.

    Args:
        groups: Number of groups, a divisor of the number of channels; -1 makes each channel a group (instance
            normalization).
        axis: Axis of the channels. Default: 1 for images and volumes, `(batch, channels, height, width)`, and the last
            axis for `(batch, features)` and `(batch, steps, features)`. Keras' default is -1.
        epsilon: Added to the variance.
        center: Whether a `bias` (Keras' beta), one number for each channel, is added.
        scale: Whether the result is multiplied by a `weight` (Keras' gamma), of the same sizes.
        beta_initializer: Initializer of `bias`.
        gamma_initializer: Initializer of `weight`.
        beta_regularizer: Penalty on `bias`.
        gamma_regularizer: Penalty on `weight`.
        beta_constraint: Constraint on `bias`, applied after each optimizer step.
        gamma_constraint: Constraint on `weight`.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: any with at least 2 axes; the output has the shape of the input.

    >>> GroupNormalization(2, epsilon=0)(torch.tensor([[1.0, 3.0, 10.0, 20.0]])).detach()
    tensor([[-1.,  1., -1.,  1.]])
    """

    torch_class = TorchClass(nn.GroupNorm, {"eps": "epsilon"})

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
        super().__init__(AffineOptions.from_arguments(locals()))
        if isinstance(groups, bool) or not isinstance(groups, int) or (groups < 1 and groups != -1):
            raise mismatch("groups", groups, "an integer >= 1, or -1 for a group of each channel")
        self.groups = groups
        self.axis = self.given_or_chosen_axis(axis)

    def build(self, input_shape: torch.Size) -> None:
        """Create `weight` and `bias`, one number for each channel.

        Raises:
            ValueError: The number of channels is not a multiple of `groups`.
        """
        channels = input_shape[positive_channel_axis(self, self.axis, len(input_shape))]
        self.add_affine_weights(channels)
        if channels % self.groups:
            raise ValueError(
                f"GroupNormalization: {channels} channels cannot be divided into groups={self.groups} of equal size."
            )

    def forward(self, x: Tensor) -> Tensor:
        axis = positive_channel_axis(self, self.axis, x.ndim)
        groups = x.shape[axis] if self.groups == -1 else self.groups
        y = F.group_norm(x if axis == 1 else x.movedim(axis, 1), groups, self.weight, self.bias, self.epsilon)
        return y if axis == 1 else y.movedim(1, axis)

    def torch_attributes(self) -> dict[str, Any] | None:
        if not self.built_on or (self.weight is None and self.bias is not None):
            return None
        shape = self.built_on[0]
        if positive_channel_axis(self, self.axis, len(shape)) != 1 or shape[1] < 0:
            return None
        groups = shape[1] if self.groups == -1 else self.groups
        return {"num_groups": groups, "num_channels": shape[1], "affine": self.weight is not None}

    def extra_repr(self) -> str:
        return f"groups={self.groups}, axis={self.axis}"


class RMSNormalization(Layer):
    """RMS normalization: `weight * x / sqrt(mean(x^2) + epsilon)` along `axis`, as `torch.nn.RMSNorm`.

    Source: Zhang & Sennrich 2019. Once built, it is an instance of `torch.nn.RMSNorm` if `axis` are the last axes.

    Args:
        axis: Axis or axes, default the last one. It is required behind a layer whose channels are on axis 1, for which
            the last axis would be a wrong guess.
        epsilon: Added to the mean of the squares.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: any; the output has the shape of the input, and `weight` has the sizes of `axis`.

    >>> RMSNormalization(epsilon=0)(torch.tensor([[1.0, -1.0, 7.0, 7.0]])).detach()
    tensor([[ 0.2000, -0.2000,  1.4000,  1.4000]])
    """

    supports_masking = True
    keeps_axes = True
    torch_class = TorchClass(nn.RMSNorm, {"eps": "epsilon"})
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
        """Create `weight` with the sizes of `axis`."""
        sizes = [input_shape[axis] for axis in positive_axes(self, self.axis, len(input_shape))]
        self.weight = self.add_weight(sizes, "ones")

    def forward(self, x: Tensor) -> Tensor:
        def normalize(last: Tensor, sizes: list[int]) -> Tensor:
            return F.rms_norm(last, sizes, self.weight, self.epsilon)

        return apply_along_axes(x, positive_axes(self, self.axis, x.ndim), normalize)

    def torch_attributes(self) -> dict[str, Any] | None:
        sizes = last_sizes(self, self.axis)
        return None if sizes is None else {"normalized_shape": sizes, "elementwise_affine": True}


class UnitNormalization(Layer):
    """Unit normalization: `x / |x|` with the Euclidean norm along `axis`, as `torch.nn.functional.normalize`.

    Args:
        axis: Axis or axes over which one norm is computed, default the last one. It is required behind a layer whose
            channels are on axis 1, for which the last axis would be a wrong guess.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: any; the output has the shape of the input.

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
