"""Base of the recurrent layers whose time steps can run in one fused kernel of torch."""

from __future__ import annotations

from abc import abstractmethod
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
from kerastorch.layers.rnn_gates import _RecurrentWeights
from kerastorch.layers.rnn_options import RecurrentOptions
from kerastorch.layers.scan import MaskedReordering, list_of_sizes, scan, zeros
from kerastorch.symbolic.fake_tensors import is_shape_inference

# Activations that torch's kernels compute, under each of their names.
TANH = (activations.tanh, torch.tanh, F.tanh)
SIGMOID = (activations.sigmoid, torch.sigmoid, F.sigmoid)
RELU = (activations.relu, torch.relu, F.relu)
# A gate's input so large that it outweighs all others: its sigmoid is exactly 1, or 0 if negative, also in float16.
_SATURATED = 3e4


class _FusedRNN(RecurrentBase, _RecurrentWeights):
    """Recurrent layer that runs all time steps in torch's kernel if possible, else in a loop.

    The kernel is one of `torch._VF.rnn_tanh`, `rnn_relu`, `lstm` and `gru`. The loop runs with recurrent dropout, with
    activations that have no kernel, and with `use_cudnn=False`.

    Args:
        options: Constructor arguments of the layer.

    Attributes:
        use_cudnn: `"auto"`, `True` or `False`.
    """

    _suffix = "_l0"
    _kernel_needs = ""  # the arguments with which a kernel exists, for the error message

    def __init__(self, options: RecurrentOptions) -> None:
        super().__init__(options)
        self._set_options(options)
        self._kernel = self._kernel_name()
        self.use_cudnn = self._check_use_cudnn(options.use_cudnn)

    @abstractmethod
    def _kernel_name(self) -> str | None:
        """Return the name of the kernel in `torch._VF`, or `None` if there is none for the options."""

    def _check_use_cudnn(self, use_cudnn: Any) -> Any:
        """Return `use_cudnn` if it is valid for the other arguments.

        Raises:
            ValueError: An unknown value, or `True` without a kernel.
        """
        if use_cudnn not in ("auto", True, False):
            raise mismatch("use_cudnn", use_cudnn, "'auto', True or False")
        if use_cudnn is True and (self._kernel is None or self.recurrent_dropout):
            raise ValueError(
                f"use_cudnn=True asks for torch's kernel, which {type(self).__name__} can use with "
                f"{self._kernel_needs}, and without recurrent_dropout. "
                "Give use_cudnn='auto' to run a loop if there is no kernel."
            )
        return use_cudnn

    def build(self, input_shape: torch.Size) -> None:
        """Create the weights, in one block of memory if cuDNN is used."""
        super().build(input_shape)
        self._flatten_weights()

    def _state_sizes(self) -> list[Any]:
        return list_of_sizes(self.state_size)

    def _zero_states(self, x: Tensor) -> list[Any]:
        return [zeros(x, size) for size in self._state_sizes()]

    def _run(self, x: Tensor, states: list[Tensor], mask: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        input_mask, state_mask = self.sample_dropout_masks(x)
        if state_mask is None and self._uses_kernel(x):
            if input_mask is not None:
                x = x * input_mask[0].unsqueeze(1)
            weights = self._kernel_weights()
            if mask is None:
                return self._call_kernel(x, states, weights)
            return self._call_kernel_with_mask(x, states, weights, mask)
        projected = self._project_inputs(x, input_mask)  # (batch, time, n_gates * units)
        return scan(lambda z, states: self._step(z, states, state_mask), projected, states, mask)

    def _uses_kernel(self, x: Tensor) -> bool:
        """Return whether torch's kernel runs on `x`, apart from dropout."""
        if self._kernel is None or self.use_cudnn is False or is_shape_inference():
            return False
        # torch 2.13 compiles the LSTM kernel for the CPU but not its gradient, so compiled training runs the loop.
        return not (self._kernel == "lstm" and _is_compiling() and torch.is_grad_enabled() and not x.is_cuda)

    # --- the kernel -------------------------------------------------------------------------------------------

    def _kernel_weights(self) -> list[Tensor]:
        """Return the existing weights and biases in the order of the kernel's argument."""
        weights = [self._weight(name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        return [weight for weight in weights if weight is not None]

    def _call_kernel(self, x: Tensor, states: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Run the kernel on a padded batch.

        Args:
            x: `(batch, time, features)`.
            states: States before the first step, each `(batch, units)`.
            weights: Weights and biases, in the kernel's order.

        Returns:
            The outputs, `(batch, time, units)`, and the states after the last step.
        """
        assert self._kernel is not None
        layer_states = [state.unsqueeze(0) for state in states]  # (1, batch, units)
        kernel = rnn_kernel(self._kernel)
        state_argument = layer_states if len(layer_states) > 1 else layer_states[0]
        outputs, *last = kernel(x, state_argument, weights, len(weights) > 2, 1, 0.0, self.training, False, True)
        return outputs, [state.squeeze(0) for state in last]

    def _call_kernel_with_mask(
        self, x: Tensor, states: list[Tensor], weights: list[Tensor], mask: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Run the kernel, which has no mask argument, on the steps that `mask` selects.

        The selected steps are moved to the front of each row. Arguments and results are those of `_call_kernel`.
        """
        order = MaskedReordering(mask)
        x = order.gather(x)
        if len(states) > 1 and (self.return_state or self.stateful):
            # The kernel returns c only after the last step, so the padding steps must not change it. They have an
            # additional feature of 1, whose weights close the input gate and open the forget gate.
            x = torch.cat([x, order.is_padding.unsqueeze(-1).to(x.dtype)], -1)
            column = weights[0].new_zeros(4, self.units, 1)
            column[0], column[1] = -_SATURATED, _SATURATED
            weights = [torch.cat([weights[0], column.flatten(0, 1)], 1), *weights[1:]]
        outputs, last = self._call_kernel(x, states, weights)
        outputs = order.scatter(outputs)
        h = torch.where(order.count[:, -1:] > 0, outputs[:, -1], states[0])
        return outputs, [h, *last[1:]]

    def _forward_packed(self, x: PackedSequence, initial_state: Any) -> Any:
        has_dropout = self.training and (self.dropout or self.recurrent_dropout)
        if self.go_backwards or self.stateful or has_dropout or not self._uses_kernel(x.data):
            return super()._forward_packed(x, initial_state)
        data, batch_sizes, sorted_indices, unsorted_indices = x
        rows = data.new_empty(int(batch_sizes[0]), 0)
        states = self._zero_states(rows) if initial_state is None else self._check_states(initial_state)
        sorted_states = [
            (state if sorted_indices is None else state[sorted_indices]).unsqueeze(0) for state in states
        ]  # each (1, batch, units)
        weights, kernel = self._kernel_weights(), rnn_kernel(self._kernel or "")
        state_argument = sorted_states if len(sorted_states) > 1 else sorted_states[0]
        outputs, *last = kernel(
            data, batch_sizes, state_argument, weights, len(weights) > 2, 1, 0.0, self.training, False
        )
        states = [state[0] if unsorted_indices is None else state[0][unsorted_indices] for state in last]
        packed = PackedSequence(outputs, batch_sizes, sorted_indices, unsorted_indices)
        output = packed if self.return_sequences else states[0]
        return (output, *states) if self.return_state else output

    # --- memory -----------------------------------------------------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert the weights, and place them in one block of memory again."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._flatten_weights()
        return self

    def _flatten_weights(self) -> None:
        """Place all weights in one block of memory if cuDNN is used.

        Without this, cuDNN copies the weights at every call.
        """
        weights = self._kernel_weights()
        if self._kernel is None or not weights or not torch.backends.cudnn.is_acceptable(weights[0]):
            return
        mode = torch.backends.cudnn.rnn.get_cudnn_mode(self._kernel.upper())
        features = weights[0].shape[1]
        with torch.no_grad(), torch.cuda.device_of(weights[0]):
            cudnn_rnn_flatten_weight(weights, len(weights), features, mode, self.units, 0, 1, True, False)


def _is_compiling() -> bool:
    """Return whether `torch.compile` traces this call, but not `torch.export`."""
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()
