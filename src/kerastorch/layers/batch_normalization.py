"""Normalization over the batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import initializers
from kerastorch.core.errors import check_float
from kerastorch.layers.axes import check_axis, positive_channel_axis
from kerastorch.layers.channel_axis import ChannelAxis
from kerastorch.layers.normalization import Affine


class BatchNormalization(Affine, ChannelAxis):
    """Mean 0 and variance 1 of each channel over the batch, then `weight * x + bias` (Ioffe & Szegedy 2015).

    In training the mean and variance are those of the batch, and `running_mean` and `running_var` follow them; in
    evaluation those are taken, and wherever `trainable` is `False`. Parameters and buffers are named as those of
    `torch.nn.BatchNorm1d` and its kin, which open its `state_dict` and whose it opens.

    Two things differ from torch, as in Keras: the defaults (torch's `momentum=0.1, eps=1e-5` are `momentum=0.9,
    epsilon=1e-5` here), and `running_var` follows the variance with a divisor of `n`, where torch takes `n - 1`.

    Args:
        axis: that of the channels. `None` is that of the layers here: 1 for images and volumes, `(batch, channels,
            height, width)`, and the last for `(batch, features)` and `(batch, steps, features)`. Keras has -1, which
            images that are channels-last need.
        momentum: how much of the running mean and variance stays at each step; torch's is `1 - momentum`.
        epsilon: added to the variance.
        center: whether there is a `bias` (Keras' beta), one number a channel.
        scale: whether there is a `weight` (Keras' gamma).
        beta_initializer: fills `bias`.
        gamma_initializer: fills `weight`.
        moving_mean_initializer: fills `running_mean`.
        moving_variance_initializer: fills `running_var`.
        beta_regularizer: penalty on `bias`.
        gamma_regularizer: penalty on `weight`.
        beta_constraint: what `bias` must satisfy after each step.
        gamma_constraint: what `weight` must satisfy.
        synchronized: only `False`; `torch.nn.SyncBatchNorm` takes the mean over several processes.
        name: see `Layer`; so is `trainable`.

    Shape: any with two axes or more, and the same. A `mask` has one axis less; what it leaves out does not count
    for mean and variance; the channels are on the last axis then.

    >>> BatchNormalization(epsilon=1e-9)(torch.tensor([[1.0], [3.0]])).detach()
    tensor([[-1.],
            [ 1.]])
    """

    running_mean: Tensor
    running_var: Tensor
    single_rows = False  # known to be built for (batch, features), where a batch of one has one value a channel

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
        self.epsilon = check_float("epsilon", epsilon, above=0)
        self.axis = None if axis is None else check_axis(axis)
        self.momentum = check_float("momentum", momentum, least=0, most=1)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        if synchronized:
            raise ValueError("BatchNormalization has no synchronized=True; use torch.nn.SyncBatchNorm.")
        self.synchronized = synchronized

    def build(self, input_shape: torch.Size) -> None:
        channels = input_shape[positive_channel_axis(self, self.axis, len(input_shape))]
        self.make_affine(channels)
        self.register_buffer("running_mean", self.add_weight((channels,), self.moving_mean_initializer).detach())
        self.register_buffer("running_var", self.add_weight((channels,), self.moving_variance_initializer).detach())
        self.single_rows = len(input_shape) == 2

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        learns = self.training and self.trainable
        axis = positive_channel_axis(self, self.axis, x.ndim)
        if axis == 1 and (mask is None or not learns):
            return self._normalized(x, learns)
        if mask is not None and learns:
            return self._masked(x, mask, axis)
        if axis == x.ndim - 1:  # rows of channels: no axis is moved, and torch has a fast kernel
            return self._normalized(x.reshape(-1, x.shape[-1]), learns).reshape(x.shape)
        return self._normalized(x.movedim(axis, 1), learns).movedim(1, axis)

    def _normalized(self, x: Tensor, learns: bool) -> Tensor:
        mean, var = self.running_mean, self.running_var
        if not learns:
            return F.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.epsilon)
        count = x.numel() // max(x.shape[1], 1)
        if count < 2:
            raise ValueError(
                f"BatchNormalization cannot train on one value a channel, an input of shape {tuple(x.shape)}. "
                "Change batch_size, or leave one sample out."
            )
        # torch's step is from v to (1 - m) v + m n/(n-1) batch; taken on n/(n-1) v it is n/(n-1) times Keras'
        larger = var * (count / (count - 1))
        y = F.batch_norm(x, mean, larger, self.weight, self.bias, True, 1 - self.momentum, self.epsilon)
        torch.mul(larger, (count - 1) / count, out=var)
        return y

    def _masked(self, x: Tensor, mask: Tensor, axis: int) -> Tensor:
        """Mean and variance of what counts; torch's kernel knows no masks."""
        if axis != x.ndim - 1 or mask.shape != x.shape[:-1]:
            raise ValueError(
                f"BatchNormalization got a mask of shape {tuple(mask.shape)} for an input of shape {tuple(x.shape)}, "
                f"with the channels on axis {axis}. A mask has all axes but the last, that of the channels: axis=-1."
            )
        counts = mask.unsqueeze(-1)
        axes = tuple(range(axis))
        total = counts.sum(axes).clamp(min=1)
        mean = torch.where(counts, x, 0).sum(axes) / total
        centered = x - mean
        var = torch.where(counts, centered, 0).square().sum(axes) / total
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), 1 - self.momentum)
            self.running_var.lerp_(var.to(self.running_var.dtype), 1 - self.momentum)
        y = centered * torch.rsqrt(var + self.epsilon)
        y = y if self.weight is None else y * self.weight
        return y if self.bias is None else y + self.bias

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.pop(f"{prefix}num_batches_tracked", None)  # torch's, which counts for nothing here
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        channels = f"{len(self.running_mean)}, " if self.built else ""
        return f"{channels}axis={self.axis}, momentum={self.momentum:g}, epsilon={self.epsilon:g}"
