"""Bidirectional: a recurrent layer that runs in both directions."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from kerastorch.core.errors import mismatch
from kerastorch.core.module_tree import modules
from kerastorch.core.name_lookup import own_name
from kerastorch.core.serialization import encode
from kerastorch.layers.base import Layer
from kerastorch.layers.rnn import RecurrentBase
from kerastorch.layers.scan import pack_rows, pad_with_mask

_MERGE_MODES = ("sum", "mul", "concat", "ave", None)


class Bidirectional(Layer):
    """Recurrent layer that runs forwards and backwards and merges both outputs (Schuster & Paliwal 1997).

    A returned sequence is 0 at masked steps, regardless of the layers' `zero_output_for_mask`.

    Args:
        layer: Recurrent layer, such as `LSTM` or `RNN(cell)`; a copy of it with new weights becomes `forward_layer`.
            The weights of a cell that is not kerastorch's are copied, so both directions start from the same ones.
        merge_mode: How the outputs are merged: `"concat"` along the features, `"sum"`, `"mul"`, `"ave"` (the mean), or
            `None` to return both.
        weights: Must be `None`; use `load_state_dict`.
        backward_layer: Recurrent layer with `go_backwards=True`; default a copy of `layer` in this direction.
        activity_regularizer: Penalty on the output, divided by the batch size.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `(batch, time, features)` -> `(batch, 2 * units)`, or `(batch, time, 2 * units)` with `return_sequences`; the
        last axis has `units` unless `merge_mode="concat"`. With `return_state`, the states of the forward layer and
        then those of the backward layer follow the output. `initial_state` has the same order.

    >>> from kerastorch.layers.recurrent import LSTM
    >>> Bidirectional(LSTM(3, return_sequences=True))(torch.zeros(2, 6, 5)).shape
    torch.Size([2, 6, 6])
    """

    excluded_args = frozenset({"weights"})
    takes_channels_last = True

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: None = None,
        backward_layer: Layer | None = None,
        *,
        activity_regularizer: Any = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        for direction in (layer, *([] if backward_layer is None else [backward_layer])):
            if not isinstance(direction, Layer) or not hasattr(direction, "go_backwards"):
                raise TypeError(f"Bidirectional takes a recurrent layer, as LSTM or RNN(cell), got {direction!r}.")
        if merge_mode not in _MERGE_MODES:
            raise mismatch("merge_mode", merge_mode, f"one of {', '.join(map(repr, _MERGE_MODES))}")
        if weights is not None:
            raise ValueError("weights must be None. Build the layer, then call load_state_dict.")
        self.merge_mode = merge_mode
        self.forward_layer: Any = _copy_without_weights(layer)
        self.backward_layer: Any = _backward_copy(layer) if backward_layer is None else backward_layer
        for setting in ("return_sequences", "return_state", "stateful"):
            if getattr(self.forward_layer, setting) != getattr(self.backward_layer, setting):
                raise ValueError(f"layer and backward_layer differ in {setting}; give both the same.")
        if self.forward_layer.go_backwards or not self.backward_layer.go_backwards:
            raise ValueError("layer must go forwards and backward_layer backwards, go_backwards=True.")
        for direction in (self.forward_layer, self.backward_layer):
            direction.zero_output_for_mask = direction.return_sequences
        self.return_sequences, self.return_state = self.forward_layer.return_sequences, self.forward_layer.return_state
        self.stateful = self.forward_layer.stateful

    def build(self, input_shape: torch.Size) -> None:
        """Build both layers."""
        self.forward_layer.ensure_built(input_shape)
        self.backward_layer.ensure_built(input_shape)

    def forward(self, x: Any, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        """Run both layers over all time steps; the docstring of the class describes the result.

        Args:
            x: `(batch, time, features)`, or a `PackedSequence`.
            initial_state: List of the states of the forward layer, followed by those of the backward layer. `None` uses
                the default of each layer.
            mask: `(batch, time)`; a step where it is `False` changes no state.

        Raises:
            ValueError: A mask with a `PackedSequence`, a mask of another shape, or a wrong number of states.
        """
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, initial_state, mask)
        forward_state, backward_state = self._split_states(initial_state)
        ahead = self.forward_layer(x, initial_state=forward_state, mask=mask)
        back = self.backward_layer(x, initial_state=backward_state, mask=mask)
        states: tuple[Tensor, ...] = ()
        if self.return_state:
            ahead, back, states = ahead[0], back[0], (*ahead[1:], *back[1:])
        if self.return_sequences:
            back = back.flip(1)  # into the order of the input
        merged = self._merge(ahead, back)
        if not self.return_state:
            return merged
        return (*merged, *states) if self.merge_mode is None else (merged, *states)

    def _split_states(self, initial_state: Any) -> tuple[list[Tensor] | None, list[Tensor] | None]:
        """Return the initial states of the forward layer and those of the backward layer; `None` for `None`.

        Raises:
            ValueError: The number of states is wrong.
        """
        if initial_state is None:
            return None, None
        states = [initial_state] if isinstance(initial_state, Tensor) else list(initial_state)
        half = len(states) // 2
        # The number of states of a layer that is not kerastorch's is unknown; both directions then have equally many.
        n_ahead, n_back = (
            len(layer._state_sizes()) if isinstance(layer, RecurrentBase) else half
            for layer in (self.forward_layer, self.backward_layer)
        )
        if len(states) != n_ahead + n_back:
            raise ValueError(
                f"initial_state of Bidirectional has {n_ahead + n_back} tensors, {n_ahead} of the forward layer and "
                f"{n_back} of the backward layer; got {len(states)}."
            )
        return states[:n_ahead], states[n_ahead:]

    def _merge(self, ahead: Tensor, back: Tensor) -> Any:
        """Merge the outputs of both layers, or return both if `merge_mode` is `None`."""
        if self.merge_mode == "concat":
            return torch.cat([ahead, back], getattr(self.forward_layer, "feature_axis", -1))
        if self.merge_mode == "sum":
            return ahead + back
        if self.merge_mode == "mul":
            return ahead * back
        return (ahead + back) / 2 if self.merge_mode == "ave" else (ahead, back)

    def _forward_packed(self, x: PackedSequence, initial_state: Any, mask: Tensor | None) -> Any:
        """Run over a packed sequence as a padded batch with a mask, and pack returned sequences again."""
        if mask is not None:
            raise ValueError("A PackedSequence knows its lengths; give it without a mask.")
        padded, lengths, steps = pad_with_mask(x)
        results = self.forward(padded, initial_state, steps)
        if not self.return_sequences:
            return results
        results = results if isinstance(results, tuple) else (results,)
        n_sequences = 2 if self.merge_mode is None else 1
        sequences, states = results[:n_sequences], results[n_sequences:]
        packed = [pack_rows(y, lengths) for y in sequences]
        return (*packed, *states) if len(results) > 1 else packed[0]

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the input if the output is a sequence, once for each output, else `None`."""
        mask = mask if self.return_sequences else None
        return (mask, mask) if self.merge_mode is None else mask

    def reset_state(self) -> None:
        """Delete the stored states of both layers, so that the next batch starts from zeros."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, with both layers encoded."""
        layers = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        others = {name: getattr(self, name) for name in ("merge_mode", "activity_regularizer", "trainable")}
        return {name: encode(value) for name, value in (layers | others | {"name": own_name(self)}).items()}


def _copy_without_weights(layer: Layer) -> Layer:
    """Return an unbuilt layer with the same constructor arguments.

    A built cell becomes an unbuilt one, too. A cell that is not kerastorch's is copied with its weights.
    """
    if not any(isinstance(part, Layer) and part.built for part in modules(layer)):
        return copy.deepcopy(layer)
    try:
        config = layer.get_config()
    except TypeError:  # a cell that is not kerastorch's has no config
        if layer.built:
            raise
        return copy.deepcopy(layer)
    return type(layer).from_config(config)


def _backward_copy(layer: Layer) -> Layer:
    """Return an unbuilt layer with the same constructor arguments, except that it runs backwards."""
    copied: Any = _copy_without_weights(layer)
    copied.go_backwards = True
    return copied  # type: ignore[no-any-return]
