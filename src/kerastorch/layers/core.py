"""Dense, Maxout and Activation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch import activations, constraints, initializers, regularizers
from kerastorch.core.channel_tracking import Channels
from kerastorch.core.errors import check_int
from kerastorch.layers.base import Layer, activation_name
from kerastorch.layers.constant_output import refuse_constant, warn_of_constant


class Dense(Layer):
    """`activation(x @ weight.T + bias)`; the input width is read from the first batch.

    Args:
        units: size of the last axis of the output.
        activation: name or callable; `None` is linear. A softmax over one unit, which would be constant, is refused.
        use_bias: whether there is a bias.
        kernel_initializer: fills `weight`, `(units, features)`.
        bias_initializer: fills `bias`, `(units,)`.
        kernel_regularizer: penalty on `weight`, added to the training loss.
        bias_regularizer: penalty on `bias`.
        activity_regularizer: penalty on the output, over the batch size.
        kernel_constraint: what `weight` must satisfy after each step.
        bias_constraint: what `bias` must satisfy.
        name: see `Layer`; so is `trainable`.

    Shape: `(batch, ..., features)` -> `(batch, ..., units)`.

    >>> Dense(3)(torch.zeros(2, 5)).shape
    torch.Size([2, 3])
    """

    supports_masking = True
    takes_channels_last = True
    weight: torch.nn.Parameter
    bias: torch.nn.Parameter | None

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self.units = check_int("units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: torch.Size) -> None:
        refuse_constant(self, activations.constant_axis(self.activation), self.units, -1, len(input_shape))
        self._make(self.units, input_shape[-1])

    def _make(self, rows: int, columns: int) -> None:
        self.weight = self.add_weight(
            (rows, columns),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="weight",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (rows,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(F.linear(x, self.weight, self.bias))

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return what is known of the units: they are on the last axis, where the channels were or were not."""
        return given if given is not None and given.axis == -1 else None

    def extra_repr(self) -> str:
        features = f"{self.weight.shape[-1]} -> " if self.built else ""
        return f"{features}{self.units}{activation_name(self.activation)}{'' if self.built else ', unbuilt'}"


class Maxout(Dense):
    """The largest of `pieces` linear maps, unit by unit (Goodfellow et al. 2013, eq. 2).

    Args:
        units: size of the last axis of the output.
        pieces: how many linear maps each unit takes the maximum of.
        use_bias: see `Dense`; so are the initializers and regularizers, for `weight` `(units * pieces, features)`.

    Shape: `(batch, ..., features)` -> `(batch, ..., units)`.

    >>> Maxout(3, pieces=4)(torch.zeros(2, 5)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        units: int,
        pieces: int = 2,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            units,
            None,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            name=name,
            trainable=trainable,
        )
        self.pieces = check_int("pieces", pieces, 2)

    def build(self, input_shape: torch.Size) -> None:
        self._make(self.units * self.pieces, input_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        return activations.maxout(F.linear(x, self.weight, self.bias), self.pieces)


class Activation(Layer):
    """An activation as a layer, by name or callable.

    >>> Activation("relu")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    supports_masking = True
    keeps_axes = True

    def __init__(self, activation: Any, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.activation = activations.get(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x)

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of a softmax along an axis of size 1."""
        axis = activations.constant_axis(self.activation)
        if axis is not None:
            warn_of_constant(self, axis, input_shapes[0])

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the axis that a softmax and its like work along."""
        return -1 if self.activation in activations.ALONG_LAST_AXIS else None

    def axis_advice(self, axis: int) -> str:
        """Say what to write so that it works along this axis."""
        if self.activation is activations.softmax:
            return f"Softmax(axis={axis})"
        return f"Activation(functools.partial(activations.{getattr(self.activation, '__name__', '')}, axis={axis}))"

    def extra_repr(self) -> str:
        return getattr(self.activation, "__name__", repr(self.activation))
