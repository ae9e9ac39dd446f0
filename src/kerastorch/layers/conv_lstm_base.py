"""Base of the convolutional LSTMs: weights, axes, dropout and the formula of a time step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from kerastorch import activations
from kerastorch.core.channel_tracking import Channels
from kerastorch.core.errors import check_choice, check_int
from kerastorch.core.image_format import FORMATS, chosen_image_format
from kerastorch.layers.base import activation_name
from kerastorch.layers.channels_check import SPATIAL_AXES, warn_if_channels_last
from kerastorch.layers.convolution import CONVOLUTIONS, check_strides_or_dilation
from kerastorch.layers.padding import fixed_padding, pad_input
from kerastorch.layers.rnn import RecurrentBase
from kerastorch.layers.rnn_gates import _GatedLayer
from kerastorch.layers.rnn_options import GateOptions
from kerastorch.layers.scan import scan
from kerastorch.layers.spatial import check_sizes
from kerastorch.layers.weight_options import make_weight

_N_GATES = 4


class _ConvLSTM(RecurrentBase, _GatedLayer):
    """LSTM in which convolutions replace the products with weights: gates i, f, g, o (Shi et al. 2015)."""

    spatial_rank: int
    takes_channels_last = False

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        *,
        zero_output_for_mask: bool = False,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        options = GateOptions.from_arguments(locals())
        super().__init__(options)
        rank = self.spatial_rank
        self.filters = check_int("filters", filters)
        self.kernel_size = check_sizes("kernel_size", kernel_size, rank)
        self.strides = check_sizes("strides", strides, rank)
        self.padding = check_choice("padding", padding, ("valid", "same"))
        self.dilation_rate = check_sizes("dilation_rate", dilation_rate, rank)
        check_strides_or_dilation(self.display_name(), self.strides, self.dilation_rate)
        if data_format is None and rank > 1:
            data_format = chosen_image_format()
        self.data_format_given = data_format is not None
        default = "channels_last" if rank == 1 else "channels_first"
        self.data_format = check_choice("data_format", data_format or default, FORMATS)
        self._is_channels_last = self.data_format == "channels_last"
        self.feature_axis = -1 if self._is_channels_last else -1 - rank
        self.unit_forget_bias = unit_forget_bias
        self._set_options(options)
        self._span = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments; a `data_format` that was not given stays `None`."""
        config = super().get_config()
        return config if self.data_format_given else config | {"data_format": None}

    # --- axes -------------------------------------------------------------------------------------------------

    def check_shapes(self, *input_shapes: Any) -> None:
        """Warn of sequences of images that look channels-last, unless `data_format` was given."""
        if self.spatial_rank > 1 and not self.data_format_given:
            warn_if_channels_last(self, input_shapes[0], "data_format", leading=("batch", "time"))

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the last axis if that is the default of `data_format`, and it was not given."""
        return -1 if self._is_channels_last and not self.data_format_given else None

    def axis_advice(self, axis: int) -> str:
        """Return the argument that puts the channels in front of the other axes or behind them, for messages."""
        return f"data_format={FORMATS[axis == -1]!r}"

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return the channel axis of the output; `None` for sequences with the channels behind the time axis."""
        if self._is_channels_last:
            return Channels(-1, self.spatial_rank + 2 + self.return_sequences, self.display_name())
        return None if self.return_sequences else Channels(1, self.spatial_rank + 2, self.display_name())

    def _expected_axes(self) -> str:
        spatial = SPATIAL_AXES[self.spatial_rank]
        order = f"{spatial}, channels" if self._is_channels_last else f"channels, {spatial}"
        return f"(batch, time, {order})"

    def _to_channels_first(self, x: Tensor) -> Tensor:
        return x.movedim(-1, -1 - self.spatial_rank) if self._is_channels_last else x

    def _from_channels_first(self, x: Tensor) -> Tensor:
        return x.movedim(-1 - self.spatial_rank, -1) if self._is_channels_last else x

    # --- weights ----------------------------------------------------------------------------------------------

    def build(self, input_shape: torch.Size) -> None:
        """Create the weights for inputs of a shape.

        Raises:
            ValueError: The shape has a different number of axes, or the window is larger than the images.
        """
        rank = self.spatial_rank
        if len(input_shape) != rank + 3:
            raise ValueError(
                f"{self.display_name()} takes {rank + 3} axes, {self._expected_axes()}, and got {len(input_shape)}: "
                f"{tuple(input_shape)}."
            )
        channels = input_shape[-1] if self._is_channels_last else input_shape[2]
        spatial = input_shape[2:-1] if self._is_channels_last else input_shape[3:]
        if self.padding == "valid" and any(-1 < size < span for size, span in zip(spatial, self._span, strict=True)):
            raise ValueError(
                f"{self.display_name()} has a window of {self._span} and images of {tuple(spatial)}, as it takes "
                f"{self._expected_axes()}: nothing would come out. "
                f"Data in the other order need data_format={FORMATS[not self._is_channels_last]!r}."
            )
        rows = _N_GATES * self.filters
        self.weight_ih = make_weight(self, "kernel", (rows, channels, *self.kernel_size), "weight_ih")
        self.weight_hh = make_weight(self, "recurrent", (rows, self.filters, *self.kernel_size), "weight_hh")
        self.bias_ih = None
        if self.use_bias:
            self.bias_ih = make_weight(self, "bias", (rows,), "bias_ih", initializer=self._initialize_bias)

    def _initialize_bias(self, bias: Tensor) -> Any:
        """Fill the bias of all gates, `(4 * filters,)`, in place."""
        self.bias_initializer(bias)
        if self.unit_forget_bias:
            bias[self.filters : 2 * self.filters] = 1

    # --- steps ------------------------------------------------------------------------------------------------

    def forward(self, x: Any, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        """Run over all time steps; the docstring of the class describes the result.

        Args:
            x: Sequences of images, in `data_format`.
            initial_state: The states before the first step, a list of two tensors, each like one image of the output.
                `None`: zeros, or the last states of the batch before if the layer is `stateful`.
            mask: `(batch, time)`; a step where it is `False` changes no state.

        Raises:
            TypeError: `x` is a `PackedSequence`.
            ValueError: A mask of another shape, or a wrong number of states.
        """
        if isinstance(x, PackedSequence):
            raise TypeError(f"{self.display_name()} takes no PackedSequence; give it padded sequences and a mask.")
        return super().forward(x, initial_state, mask)

    def _state_sizes(self) -> list[Any]:
        return [self.filters, self.filters]

    def _zero_states(self, x: Tensor) -> list[Any]:
        spatial = [
            (size + stride - 1) // stride if self.padding == "same" else (size - span) // stride + 1
            for size, span, stride in zip(self._to_channels_first(x).shape[3:], self._span, self.strides, strict=True)
        ]
        shape = (*spatial, self.filters) if self._is_channels_last else (self.filters, *spatial)
        return [x.new_zeros(x.shape[0], *shape) for _ in range(2)]

    def _run(self, x: Tensor, states: list[Any], mask: Tensor | None) -> tuple[Tensor, list[Any]]:
        gate, activation = self.recurrent_activation, self.activation
        states = [self._to_channels_first(state) for state in states]
        projected = self._project_inputs(self._to_channels_first(x))
        state_masks = None
        if self.training and self.recurrent_dropout:
            state_masks = self._draws.dropout((_N_GATES, *states[0].shape), self.recurrent_dropout, x)

        def step(z: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            h, c = states
            i, f, g, o = (z + self._convolve_by_gate(h, state_masks, self._convolve_state)).chunk(_N_GATES, 1)
            c = gate(f) * c + gate(i) * activation(g)
            h = gate(o) * activation(c)
            return h, [h, c]

        outputs, last = scan(step, projected, states, mask)
        return self._from_channels_first(outputs), [self._from_channels_first(state) for state in last]

    def _project_inputs(self, x: Tensor) -> Tensor:
        """Return the part of all gates that depends on the inputs, for all steps in one convolution.

        Args:
            x: `(batch, time, channels, ...)`.

        Returns:
            `(batch, time, 4 * filters, ...)`.
        """
        sizes = x.shape[:2]
        masks = None
        if self.training and self.dropout:
            batch, time, *image = x.shape
            masks = self._draws.dropout((_N_GATES, batch, 1, *image), self.dropout, x)
            masks = masks.expand(_N_GATES, batch, time, *image).flatten(1, 2)
        y = self._convolve_by_gate(x.flatten(0, 1), masks, self._convolve_input)
        if self.bias_ih is not None:
            y = y + self.bias_ih.view(-1, *[1] * self.spatial_rank)
        projected: Tensor = y.unflatten(0, sizes)
        return projected

    def _convolve_by_gate(self, x: Tensor, masks: Tensor | None, convolve: Any) -> Tensor:
        """Return the convolutions for all gates, with dropout of the input of each gate.

        Args:
            x: `(batch, channels, ...)`.
            masks: Dropout factors, `(4, batch, channels, ...)`; `None` is no dropout.
            convolve: Function of the input and of the position of a gate, or of `None` for all gates.
        """
        if masks is None:
            return convolve(x, None)  # type: ignore[no-any-return]
        return torch.cat([convolve(x * factors, index) for index, factors in enumerate(masks.unbind())], 1)

    def _convolve_input(self, x: Tensor, gate: int | None) -> Tensor:
        fixed = fixed_padding(self.padding, self._span, self.strides)
        x, padding = pad_input(x, fixed, self._span, self.strides)
        weight = self._rows_of(self.weight_ih, gate)
        return CONVOLUTIONS[self.spatial_rank](x, weight, None, self.strides, padding, self.dilation_rate)

    def _convolve_state(self, h: Tensor, gate: int | None) -> Tensor:
        ones = (1,) * self.spatial_rank
        h, padding = pad_input(h, fixed_padding("same", self.kernel_size, ones), self.kernel_size, ones)
        return CONVOLUTIONS[self.spatial_rank](h, self._rows_of(self.weight_hh, gate), None, ones, padding)

    def _rows_of(self, weight: Tensor, gate: int | None) -> Tensor:
        return weight if gate is None else weight[gate * self.filters : (gate + 1) * self.filters]

    def extra_repr(self) -> str:
        shown = "" if self.activation is activations.tanh else activation_name(self.activation)
        channels = f"{self.weight_ih.shape[1]} -> " if self.built else ""
        return (
            f"{channels}{self.filters}, kernel_size={self.kernel_size}, strides={self.strides}, "
            f"padding={self.padding}{shown}{'' if self.built else ', unbuilt'}"
        )
