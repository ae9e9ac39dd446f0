"""A recurrent layer whose steps may run in one kernel of torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from kerastorch import activations
from kerastorch.core.errors import mismatch
from kerastorch.core.torch_private import cudnn_rnn_flatten_weight, rnn_kernel
from kerastorch.layers.rnn import RecurrentBase
from kerastorch.layers.rnn_gates import _Gated
from kerastorch.layers.scan import MaskedReordering, scan, zeros
from kerastorch.symbolic.fake_tensors import is_shape_inference

# what torch's kernels compute, under each of its names
TANH = (activations.tanh, torch.tanh, F.tanh)
SIGMOID = (activations.sigmoid, torch.sigmoid, F.sigmoid)
RELU = (activations.relu, torch.relu, F.relu)
# Opens and shuts gates whatever the weights are: sigmoid gives 1 and 0 exactly, in float16 too.
_WIDE = 3e4


class _Fused(RecurrentBase, _Gated):
    _kernel: str | None  # name for `rnn_kernel`; None where the settings leave only the loop
    use_cudnn: Any = "auto"

    def _checked(self, use_cudnn: Any, needs: str) -> Any:
        if use_cudnn not in ("auto", True, False):
            raise mismatch("use_cudnn", use_cudnn, "'auto', True or False")
        if use_cudnn is True and (self._kernel is None or self.recurrent_dropout):
            raise ValueError(
                f"use_cudnn=True asks for torch's kernel, which {type(self).__name__} can use with {needs}, "
                "and without recurrent_dropout. Give use_cudnn='auto' to take a loop elsewhere."
            )
        return use_cudnn

    def build(self, input_shape: torch.Size) -> None:
        super().build(input_shape)
        self._flatten()

    def _state_sizes(self) -> list[Any]:
        return [self.state_size] if isinstance(self.state_size, int) else self.state_size

    def _zeros(self, x: Tensor) -> list[Any]:
        return [zeros(x, size) for size in self._state_sizes()]

    def _run(self, x: Tensor, states: list[Tensor], mask: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        inputs, recurrent = self.draw(x)
        if recurrent is None and self._takes_kernel(x):
            if inputs is not None:
                x = x * inputs[0].unsqueeze(1)
            weights = self._weights()
            return self._called(x, states, weights) if mask is None else self._masked(x, states, weights, mask)
        return scan(lambda z, states: self._step(z, states, recurrent), self._projected(x, inputs), states, mask)

    def _takes_kernel(self, x: Tensor) -> bool:
        if self._kernel is None or self.use_cudnn is False or is_shape_inference():
            return False
        # torch 2.13 compiles its LSTM for the CPU, but not its gradient
        return not (self._kernel == "lstm" and _compiling() and torch.is_grad_enabled() and not x.is_cuda)

    # --- the kernel -------------------------------------------------------------------------------------------

    def _weights(self) -> list[Tensor]:
        found = [self._weight(name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        return [weight for weight in found if weight is not None]

    def _called(self, x: Tensor, states: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        assert self._kernel is not None
        given = [state.unsqueeze(0) for state in states]
        kernel = rnn_kernel(self._kernel)
        first = given if len(given) > 1 else given[0]
        outputs, *last = kernel(x, first, weights, len(weights) > 2, 1, 0.0, self.training, False, True)
        return outputs, [state.squeeze(0) for state in last]

    def _masked(
        self, x: Tensor, states: list[Tensor], weights: list[Tensor], mask: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        steps = MaskedReordering(mask)
        x = steps.gather(x)
        if len(states) > 1 and (self.return_state or self.stateful):
            # c does not come out step by step, so it must stay as it is after the last one: one more feature shuts the
            # input gate and opens the forget gate
            x = torch.cat([x, steps.rest.unsqueeze(-1).to(x.dtype)], -1)
            column = weights[0].new_zeros(4, self.units, 1)
            column[0], column[1] = -_WIDE, _WIDE
            weights = [torch.cat([weights[0], column.flatten(0, 1)], 1), *weights[1:]]
        outputs, last = self._called(x, states, weights)
        outputs = steps.scatter(outputs)
        h = torch.where(steps.count[:, -1:] > 0, outputs[:, -1], states[0])
        return outputs, [h, *last[1:]]

    def _on_packed(self, x: PackedSequence, initial_state: Any) -> Any:
        loops = self.training and (self.dropout or self.recurrent_dropout)
        if self.go_backwards or self.stateful or loops or not self._takes_kernel(x.data):
            return super()._on_packed(x, initial_state)
        data, batch_sizes, order, back = x
        rows = data.new_empty(int(batch_sizes[0]), 0)
        states = self._zeros(rows) if initial_state is None else self._given(initial_state)
        given = [(state if order is None else state[order]).unsqueeze(0) for state in states]
        weights, kernel = self._weights(), rnn_kernel(self._kernel or "")
        first = given if len(given) > 1 else given[0]
        found, *last = kernel(data, batch_sizes, first, weights, len(weights) > 2, 1, 0.0, self.training, False)
        states = [state[0] if back is None else state[0][back] for state in last]
        output = PackedSequence(found, batch_sizes, order, back) if self.return_sequences else states[0]
        return (output, *states) if self.return_state else output

    # --- memory -----------------------------------------------------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._flatten()
        return self

    def _flatten(self) -> None:
        """All weights in one piece of memory, as cuDNN wants it; else they are copied together at every call."""
        weights = self._weights()
        if self._kernel is None or not weights or not torch.backends.cudnn.is_acceptable(weights[0]):
            return
        mode = torch.backends.cudnn.rnn.get_cudnn_mode(self._kernel.upper())
        features = weights[0].shape[1]
        with torch.no_grad(), torch.cuda.device_of(weights[0]):
            cudnn_rnn_flatten_weight(weights, len(weights), features, mode, self.units, 0, 1, True, False)


def _compiling() -> bool:
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()
