"""Bidirectional: a recurrent layer and its like in the other direction."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from kerastorch.core.errors import mismatch
from kerastorch.core.serialization import encode
from kerastorch.layers.base import Layer

_MODES = ("sum", "mul", "concat", "ave", None)


class Bidirectional(Layer):
    """Runs a recurrent layer forwards, its like backwards, and merges what comes out (Schuster & Paliwal 1997).

    Masked steps of a sequence come out as 0, whatever the layers' `zero_output_for_mask` says.

    Args:
        layer: a recurrent layer, `LSTM`, `GRU`, ...; a copy of it with new weights becomes `forward_layer`.
        merge_mode: `"concat"` along the features, `"sum"`, `"mul"`, `"ave"`; `None` gives both.
        weights: not taken; use `load_state_dict`.
        backward_layer: goes backwards (`go_backwards=True`); `None` is like `layer`.
        name: see `Layer`; so are `trainable` and `activity_regularizer`.

    Shape: `(batch, time, features)` -> `(batch, 2 * units)`, or `(batch, time, 2 * units)`. With `return_state` the
    states of the forward layer come after it, then those of the backward layer; `initial_state` is in the same order.

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
        for one in (layer, *([] if backward_layer is None else [backward_layer])):
            if not isinstance(one, Layer) or not hasattr(one, "go_backwards"):
                raise TypeError(f"Bidirectional takes a recurrent layer, as LSTM or RNN(cell), got {one!r}.")
        if merge_mode not in _MODES:
            raise mismatch("merge_mode", merge_mode, f"one of {', '.join(map(repr, _MODES))}")
        if weights is not None:
            raise ValueError("weights is not taken. Build the layer, then call load_state_dict.")
        self.merge_mode = merge_mode
        self.forward_layer: Any = _fresh(layer)
        self.backward_layer: Any = _reversed(layer) if backward_layer is None else backward_layer
        for setting in ("return_sequences", "return_state", "stateful"):
            if getattr(self.forward_layer, setting) != getattr(self.backward_layer, setting):
                raise ValueError(f"layer and backward_layer differ in {setting}; give both the same.")
        if self.forward_layer.go_backwards or not self.backward_layer.go_backwards:
            raise ValueError("layer must go forwards and backward_layer backwards, go_backwards=True.")
        for one in (self.forward_layer, self.backward_layer):
            one.zero_output_for_mask = one.return_sequences
        self.return_sequences, self.return_state = self.forward_layer.return_sequences, self.forward_layer.return_state
        self.stateful = self.forward_layer.stateful

    def build(self, input_shape: torch.Size) -> None:
        self.forward_layer.ensure_built(input_shape)
        self.backward_layer.ensure_built(input_shape)

    def forward(self, x: Any, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        """See the class.

        Args:
            x: `(batch, time, features)`, or a `PackedSequence`.
            initial_state: the states of both layers, one after the other; `None` is the layers' own.
            mask: `(batch, time)`, `True` where a step counts.
        """
        if isinstance(x, PackedSequence):
            return self._on_packed(x, initial_state, mask)
        half = 0 if initial_state is None else len(initial_state) // 2
        first, second = (initial_state[:half], initial_state[half:]) if half else (None, None)
        one = self.forward_layer(x, initial_state=first, mask=mask)
        other = self.backward_layer(x, initial_state=second, mask=mask)
        states: tuple[Tensor, ...] = ()
        if self.return_state:
            one, other, states = one[0], other[0], (*one[1:], *other[1:])
        if self.return_sequences:
            other = other.flip(1)
        merged = self._merged(one, other)
        if not self.return_state:
            return merged
        return (*merged, *states) if self.merge_mode is None else (merged, *states)

    def _merged(self, one: Tensor, other: Tensor) -> Any:
        if self.merge_mode == "concat":
            return torch.cat([one, other], -1)
        if self.merge_mode == "sum":
            return one + other
        if self.merge_mode == "mul":
            return one * other
        return (one + other) / 2 if self.merge_mode == "ave" else (one, other)

    def _on_packed(self, x: PackedSequence, initial_state: Any, mask: Tensor | None) -> Any:
        if mask is not None:
            raise ValueError("A PackedSequence knows its lengths; give it without a mask.")
        padded, lengths = pad_packed_sequence(x, batch_first=True)
        number = torch.arange(padded.shape[1], device=padded.device)
        found = self.forward(padded, initial_state, number < lengths.to(padded.device).unsqueeze(1))
        if not self.return_sequences:
            return found
        found = found if isinstance(found, tuple) else (found,)
        count = 2 if self.merge_mode is None else 1
        packed = [pack_padded_sequence(y, lengths, batch_first=True, enforce_sorted=False) for y in found[:count]]
        return (*packed, *found[count:]) if len(found) > 1 else packed[0]

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """That of the input where the output is a sequence; twice where two come out."""
        mask = mask if self.return_sequences else None
        return (mask, mask) if self.merge_mode is None else mask

    def reset_state(self) -> None:
        """Forget the states kept from batch to batch."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def get_config(self) -> dict[str, Any]:
        """See `Configurable`."""
        layers = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        others = ("merge_mode", "activity_regularizer", "name", "trainable")
        return {name: encode(value) for name, value in (layers | {n: getattr(self, n) for n in others}).items()}


def _fresh(layer: Layer) -> Layer:
    """Another one like it, without its weights."""
    return type(layer).from_config(layer.get_config()) if layer.built else copy.deepcopy(layer)


def _reversed(layer: Any) -> Layer:
    other: Any = _fresh(layer)
    other.go_backwards = True
    return other  # type: ignore[no-any-return]
