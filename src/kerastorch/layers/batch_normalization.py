"""BatchNormalization."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import initializers
from kerastorch.core.errors import check_float
from kerastorch.layers.axes import positive_channel_axis
from kerastorch.layers.channel_axis import ChannelAxis
from kerastorch.layers.keras_weight import keras_weight
from kerastorch.layers.normalization import AffineNormalization, AffineOptions


class BatchNormalization(AffineNormalization, ChannelAxis):
    """Batch normalization: mean 0 and variance 1 of each channel over the batch, then `weight * x + bias`.

    Source: Ioffe & Szegedy 2015. In training, the mean and variance are those of the batch, and `running_mean` and
    `running_var` are moving averages of them. In evaluation, and if `trainable` is `False`, the moving averages are
    used. Parameters and buffers have the names of `torch.nn.BatchNorm1d`, `2d` and `3d`, so each loads the state dict
    of the other.

    Two things differ from torch, as in Keras. The defaults differ: torch's `momentum=0.1, eps=1e-5` are `momentum=0.9,
    epsilon=1e-5` here. And `running_var` averages the variance with divisor `n`, in torch with divisor `n - 1`.

    Args:
        axis: Axis of the channels. Default: 1 for images and volumes, `(batch, channels, height, width)`, and the last
            axis for `(batch, features)` and `(batch, steps, features)`. Keras' default is -1, which channels-last
            images need.
        momentum: Fraction of the running mean and variance that remains at each step; torch's is `1 - momentum`.
        epsilon: Added to the variance.
        center: Whether a `bias` (Keras' beta), one number for each channel, is added.
        scale: Whether the result is multiplied by a `weight` (Keras' gamma), of the same sizes.
        beta_initializer: Initializer of `bias`.
        gamma_initializer: Initializer of `weight`.
        moving_mean_initializer: Initializer of `running_mean`.
        moving_variance_initializer: Initializer of `running_var`.
        beta_regularizer: Penalty on `bias`.
        gamma_regularizer: Penalty on `weight`.
        beta_constraint: Constraint on `bias`, applied after each optimizer step.
        gamma_constraint: Constraint on `weight`.
        synchronized: Must be `False`; `torch.nn.SyncBatchNorm` computes the mean over several processes.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: any with at least 2 axes; the output has the shape of the input. A `mask` has the same axes except the last,
        which must be the channels. Positions where it is `False` are excluded from the mean and variance.

    >>> BatchNormalization(epsilon=1e-9)(torch.tensor([[1.0], [3.0]])).detach()
    tensor([[-1.],
            [ 1.]])
    """

    running_mean: Tensor
    moving_mean = keras_weight("running_mean")
    moving_variance = keras_weight("running_var")
    running_var: Tensor
    single_rows = False  # whether it is built for (batch, features): then a batch of one has one value for each channel

    def __init__(
        self,
        axis: int | None = None,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        *,
        synchronized: bool = False,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(AffineOptions.from_arguments(locals()))
        self.epsilon = check_float("epsilon", epsilon, above=0)
        self.axis = self.given_or_chosen_axis(axis)
        self.momentum = check_float("momentum", momentum, least=0, most=1)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        if synchronized:
            raise ValueError("BatchNormalization has no synchronized=True; use torch.nn.SyncBatchNorm.")
        self.synchronized = synchronized

    def build(self, input_shape: torch.Size) -> None:
        """Create the weights and the moving averages, one number for each channel."""
        channels = input_shape[positive_channel_axis(self, self.axis, len(input_shape))]
        self.add_affine_weights(channels)
        self.register_buffer("running_mean", self.add_weight((channels,), self.moving_mean_initializer).detach())
        self.register_buffer("running_var", self.add_weight((channels,), self.moving_variance_initializer).detach())
        self.single_rows = len(input_shape) == 2

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalize each channel, and update the moving averages in training.

        Args:
            x: Any shape with at least 2 axes.
            mask: The shape of `x` without its last axis, the channels; `False` excludes a position from the mean and
                variance.

        Raises:
            ValueError: In training, there is only one value for each channel, or the mask does not fit.
        """
        uses_batch_statistics = self.training and self.trainable
        axis = positive_channel_axis(self, self.axis, x.ndim)
        if axis == 1 and (mask is None or not uses_batch_statistics):
            return self._normalize(x, uses_batch_statistics)
        if mask is not None and uses_batch_statistics:
            return self._normalize_masked(x, mask, axis)
        if axis == x.ndim - 1:
            # As a matrix of rows, no axis has to be moved, and torch has a fast kernel.
            return self._normalize(x.reshape(-1, x.shape[-1]), uses_batch_statistics).reshape(x.shape)
        return self._normalize(x.movedim(axis, 1), uses_batch_statistics).movedim(1, axis)

    def _normalize(self, x: Tensor, uses_batch_statistics: bool) -> Tensor:
        """Normalize `x`, `(batch, channels, ...)`, with torch's kernel, and update the moving averages.

        Raises:
            ValueError: In training, there is only one value for each channel.
        """
        mean, var = self.running_mean, self.running_var
        if not uses_batch_statistics:
            return F.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.epsilon)
        count = x.numel() // max(x.shape[1], 1)
        if count < 2:
            raise ValueError(
                f"BatchNormalization cannot train on one value a channel, an input of shape {tuple(x.shape)}. "
                "Change batch_size, or leave one sample out."
            )
        # torch's update is v <- momentum v + (1 - momentum) n/(n-1) batch_var, Keras' has no factor n/(n-1). So torch
        # updates n/(n-1) v, which is then divided by the factor.
        scaled_var = var * (count / (count - 1))
        y = F.batch_norm(x, mean, scaled_var, self.weight, self.bias, True, 1 - self.momentum, self.epsilon)
        torch.mul(scaled_var, (count - 1) / count, out=var)
        return y

    def _normalize_masked(self, x: Tensor, mask: Tensor, axis: int) -> Tensor:
        """Normalize `x` with the mean and variance of the positions in `mask`.

        torch's kernel has no mask argument.

        Args:
            x: `(batch, ..., channels)`.
            mask: `(batch, ...)`, boolean.
            axis: Axis of the channels; must be the last.

        Raises:
            ValueError: The mask does not fit `x`, or the channels are not the last axis.
        """
        if axis != x.ndim - 1 or mask.shape != x.shape[:-1]:
            raise ValueError(
                f"BatchNormalization got a mask of shape {tuple(mask.shape)} for an input of shape {tuple(x.shape)}, "
                f"with the channels on axis {axis}. A mask has all axes but the last, that of the channels: axis=-1."
            )
        selected = mask.unsqueeze(-1)  # (batch, ..., 1)
        axes = tuple(range(axis))
        total = selected.sum(axes).clamp(min=1)
        mean = torch.where(selected, x, 0).sum(axes) / total
        centered = x - mean
        var = torch.where(selected, centered, 0).square().sum(axes) / total
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), 1 - self.momentum)
            self.running_var.lerp_(var.to(self.running_var.dtype), 1 - self.momentum)
        y = centered * torch.rsqrt(var + self.epsilon)
        y = y if self.weight is None else y * self.weight
        return y if self.bias is None else y + self.bias

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.pop(f"{prefix}num_batches_tracked", None)  # only torch has this buffer; the layer does not use it
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        channels = f"{len(self.running_mean)}, " if self.built else ""
        return f"{channels}axis={self.axis}, momentum={self.momentum:g}, epsilon={self.epsilon:g}"
