"""Activations that take arguments, as layers: ReLU, LeakyReLU, PReLU, ELU and Softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import activations
from kerastorch.core.errors import check_float, mismatch
from kerastorch.layers.axes import LAST
from kerastorch.layers.base import Layer
from kerastorch.layers.constant_output import warn_if_constant
from kerastorch.layers.weight_options import make_weight, set_weight_options


class ReLU(Layer):
    """Rectified linear unit: `x` from `threshold` on, `negative_slope * (x - threshold)` below it.

    With the default arguments it is `max(x, 0)`.

    Args:
        max_value: Upper bound of the output, at least 0; `None`, the default, for no bound.
        negative_slope: Slope below the threshold, at least 0. Default 0.
        threshold: Value below which the slope applies, at least 0. Default 0.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> ReLU(max_value=2.0)(torch.tensor([-1.0, 1.0, 3.0]))
    tensor([0., 1., 2.])
    """

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
    """Leaky rectified linear unit: `x` if positive, else `negative_slope * x`.

    Args:
        negative_slope: Slope for negative values, at least 0. Default 0.3, as in the layer of Keras; torch's is 0.01.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> LeakyReLU(0.1)(torch.tensor([-1.0, 2.0]))
    tensor([-0.1000,  2.0000])
    """

    keyword_advice = {"alpha": "Its name is negative_slope."}
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
    """Parametric rectified linear unit: `x` if positive, else `weight * x` (He et al. 2015).

    The slopes are trained. `weight` has the shape of the input without the batch axis, with size 1 on shared axes.

    Args:
        alpha_initializer: Fills `weight`. Default zeros.
        alpha_regularizer: Penalty on `weight`, added to the training loss. Default none.
        alpha_constraint: Constraint that is applied to `weight` after each step. Default none.
        shared_axes: Axes along which all elements share one slope; 1 is the first axis after the batch. Default none.
        name: Name of the layer. Default none.
        trainable: Whether the slopes are trained. Default `True`.

    >>> PReLU("ones", shared_axes=[1])(torch.full((1, 2, 3), -1.0)).shape
    torch.Size([1, 2, 3])
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
        set_weight_options(self, "alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        self.shared_axes = tuple(shared_axes or ())

    def build(self, input_shape: torch.Size) -> None:
        shape = [1 if axis in self.shared_axes else size for axis, size in enumerate(input_shape)][1:]
        self.weight = make_weight(self, "alpha", shape, "weight")

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.weight * x)


class ELU(Layer):
    """Exponential linear unit: `x` if positive, else `alpha * (exp(x) - 1)` (Clevert et al. 2015).

    Args:
        alpha: Negative of the limit for large negative values. Default 1.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    >>> ELU()(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

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
    """Softmax: `exp(x) / sum(exp(x))` along `axis`.

    Args:
        axis: The axis, or several axes over which one sum is taken. Default -1, the last. It must be given after layers
            whose channels are on axis 1, if that is known, as in chains and functional models.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    A call takes a `mask`, as in Keras: `True` for the elements that count; all others become 0. It has the shape of
    `x`, or a shape that torch broadcasts to it. A mask of time steps, without the last axis, excludes steps from a
    softmax along other axes, and does not change a softmax along the last axis.

    >>> Softmax()(torch.zeros(1, 3), mask=torch.tensor([[True, True, False]]))
    tensor([[0.5000, 0.5000, 0.0000]])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(self, axis: int | Sequence[int] = LAST, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
        self.axis_given = axis is not LAST
        if not axes or any(isinstance(entry, bool) or not isinstance(entry, int) for entry in axes):
            raise mismatch("axis", axis, "an integer or several, as -1 for the last")
        self.axis: int | tuple[int, ...] = int(axes[0]) if len(axes) == 1 else axes

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of a softmax along an axis of size 1."""
        if isinstance(self.axis, int):
            warn_if_constant(self, self.axis, input_shapes[0])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self._softmax(x)
        if not _can_broadcast(mask, x):
            if mask.shape != x.shape[:-1]:
                raise ValueError(
                    f"Softmax got a mask of shape {tuple(mask.shape)} for an input of shape {tuple(x.shape)}. It needs "
                    "that shape, with or without the last axis, or 1 where it is the same along an axis."
                )
            if self.axis in (-1, x.ndim - 1):
                return self._softmax(x)  # each step has a softmax of its own
            mask = mask.unsqueeze(-1)
        is_excluded = ~mask.bool()
        y = self._softmax(x.masked_fill(is_excluded, torch.finfo(x.dtype).min))
        # without this, a row in which every element is excluded would be uniform
        return y.masked_fill(is_excluded, 0)

    def _softmax(self, x: Tensor) -> Tensor:
        if isinstance(self.axis, int):
            return torch.softmax(x, self.axis)
        return torch.exp(x - torch.logsumexp(x, self.axis, keepdim=True))

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


def _can_broadcast(mask: Tensor, x: Tensor) -> bool:
    """Return whether torch broadcasts `mask` to the shape of `x`."""
    pairs = zip(reversed(mask.shape), reversed(x.shape), strict=False)
    return mask.ndim <= x.ndim and all(size in (1, full_size) for size, full_size in pairs)
