"""Dense, Maxout and Activation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerastorch import activations
from kerastorch.core.channel_tracking import Channels
from kerastorch.core.errors import check_int
from kerastorch.core.torch_class import TorchClass
from kerastorch.layers.base import Layer, activation_name
from kerastorch.layers.constant_output import raise_if_constant, warn_if_constant
from kerastorch.layers.keras_weight import keras_weight, outputs_last
from kerastorch.layers.weight_options import make_weight, set_weight_options


class Dense(Layer):
    """Densely connected layer: `activation(x @ weight.T + bias)`.

    The number of input features is read from the first batch. Once built, a layer without an activation is an instance
    of `torch.nn.Linear`.

    Args:
        units: Size of the last axis of the output.
        activation: Name or callable; `None`, the default, is linear.
        use_bias: Whether the layer has a bias. Default `True`.
        kernel_initializer: Fills `weight`, `(units, features)`. Default Glorot uniform.
        bias_initializer: Fills `bias`, `(units,)`. Default zeros.
        kernel_regularizer: Penalty on `weight`, added to the training loss. Default none.
        bias_regularizer: Penalty on `bias`. Default none.
        activity_regularizer: Penalty on the output, divided by the batch size. Default none.
        kernel_constraint: Constraint that is applied to `weight` after each step. Default none.
        bias_constraint: Constraint that is applied to `bias` after each step. Default none.
        name: Name of the layer. Default none.
        trainable: Whether the weights are trained. Default `True`.

    Shape: `(batch, ..., features)` -> `(batch, ..., units)`.

    Raises:
        ValueError: At the first call: a softmax over one unit, whose output would be constant.

    >>> Dense(3)(torch.zeros(2, 5)).shape
    torch.Size([2, 3])
    """

    supports_masking = True
    takes_channels_last = True
    torch_class = TorchClass(nn.Linear, {"out_features": "units"}, decided_by=("activation",))
    weight: torch.nn.Parameter
    bias: torch.nn.Parameter | None
    kernel = keras_weight("weight", outputs_last)

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
        set_weight_options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_weight_options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: torch.Size) -> None:
        raise_if_constant(self, activations.constant_axis(self.activation), self.units, -1, len(input_shape))
        self._make_weights(self.units, input_shape[-1])

    def _make_weights(self, n_outputs: int, n_inputs: int) -> None:
        self.weight = make_weight(self, "kernel", (n_outputs, n_inputs), "weight")
        self.bias = make_weight(self, "bias", (n_outputs,), "bias") if self.use_bias else None

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(F.linear(x, self.weight, self.bias))

    def torch_attributes(self) -> dict[str, Any] | None:
        return {"in_features": self.weight.shape[-1]} if self.activation is activations.linear else None

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return the channel axis of the output: the units take the place of channels on the last axis."""
        return given if given is not None and given.axis == -1 else None

    def extra_repr(self) -> str:
        features = f"{self.weight.shape[-1]} -> " if self.built else ""
        return f"{features}{self.units}{activation_name(self.activation)}{'' if self.built else ', unbuilt'}"


class Maxout(Dense):
    """Maximum of `pieces` linear maps for each unit (Goodfellow et al. 2013, eq. 2).

    Args:
        units: Size of the last axis of the output.
        pieces: Number of linear maps for each unit, at least 2. Default 2.
        use_bias: Whether the linear maps have a bias. Default `True`.
        kernel_initializer: Fills `weight`, `(units * pieces, features)`. Default Glorot uniform.
        bias_initializer: Fills `bias`, `(units * pieces,)`. Default zeros.
        kernel_regularizer: Penalty on `weight`, added to the training loss. Default none.
        bias_regularizer: Penalty on `bias`. Default none.
        activity_regularizer: Penalty on the output, divided by the batch size. Default none.
        kernel_constraint: Constraint that is applied to `weight` after each step. Default none.
        bias_constraint: Constraint that is applied to `bias` after each step. Default none.
        name: Name of the layer. Default none.
        trainable: Whether the weights are trained. Default `True`.

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
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            name=name,
            trainable=trainable,
        )
        self.pieces = check_int("pieces", pieces, 2)

    def build(self, input_shape: torch.Size) -> None:
        self._make_weights(self.units * self.pieces, input_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        return activations.maxout(F.linear(x, self.weight, self.bias), self.pieces)


class Activation(Layer):
    """Layer that applies an activation function.

    Args:
        activation: Name or callable.
        name: Name of the layer. Default none.
        trainable: No effect: the layer has no weights.

    Shape: that of the input, for activations that work element by element.

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
            warn_if_constant(self, axis, input_shapes[0])

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return -1 for a softmax and other activations along the last axis, else `None`."""
        return -1 if self.activation in activations.ALONG_LAST_AXIS else None

    def axis_advice(self, axis: int) -> str:
        """Return the code of a layer that works along `axis`, for messages."""
        if self.activation is activations.softmax:
            return f"Softmax(axis={axis})"
        return f"Activation(functools.partial(activations.{getattr(self.activation, '__name__', '')}, axis={axis}))"

    def extra_repr(self) -> str:
        return getattr(self.activation, "__name__", repr(self.activation))
