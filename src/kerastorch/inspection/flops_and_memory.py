"""Count the multiply-adds of a call, and the bytes of activations saved for the backward pass."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.nested import leaves
from kerastorch.core.torch_private import TorchDispatchMode, aten_operation, operation_packet, storage_key


class MultiplyAdds(TorchDispatchMode):
    """A mode that counts multiply-adds in linear maps, convolutions, attention and recurrent layers.

    Element-wise operations, sums, norms, pooling, softmax and the addition of biases are not counted. The formulas are
    those of `torch.utils.flop_counter`. Its own counter is not used, because it hooks into all modules of the process
    and warns of compiled ones.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._formulas, self._flops = _formulas(), 0

    @property
    def total(self) -> int:
        """Number of multiply-adds so far."""
        return self._flops // 2

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = self._formulas.get(operation_packet(func))
        if formula is None and func.namespace != "prim":
            with self:  # a composite operation is counted by the operations that it consists of
                output = func.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        output = func(*args, **kwargs)
        if formula is not None:
            self._flops += formula(*args, **kwargs, out_val=output)
        return output


def _formulas() -> dict[Any, Any]:
    """Return functions that compute the FLOPs of a kernel: those of torch, and some for kernels that torch lacks."""
    from torch.utils.flop_counter import flop_registry, sdpa_flop_count, shape_wrapper

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
        return sdpa_flop_count(query, key, value)

    def recurrence(x: Any, weight: Any, hidden: Any, *_: Any, **__: Any) -> Any:
        return 2 * x[0] * x[1] * (math.prod(weight) + math.prod(hidden))

    def recurrences(x: Any, weights: Any, *_: Any, **__: Any) -> Any:
        return 2 * x[0] * x[1] * sum(math.prod(weight) for weight in weights if len(weight) == 2)

    def bilinear(one: Any, weight: Any, *_: Any, **__: Any) -> Any:
        return 2 * one[0] * math.prod(weight)

    aten = torch.ops.aten
    added = {
        aten_operation("_scaled_dot_product_flash_attention_for_cpu"): attention,
        aten.mkldnn_rnn_layer: recurrence,
        aten_operation("_cudnn_rnn"): recurrences,
        aten_operation("_trilinear"): bilinear,
    }
    return flop_registry | {kernel: shape_wrapper(formula) for kernel, formula in added.items()}


class SavedActivationBytes(torch.autograd.graph.saved_tensors_hooks):
    """A context that measures the bytes of the activations that autograd saves for the backward pass.

    Parameters, buffers and inputs are not counted, because they take memory in any case.

    Args:
        module: The module that is called within the context.
    """

    def __init__(self, module: nn.Module) -> None:
        self._storages: dict[int, Any] = {}
        self._excluded = {storage_key(tensor) for tensor in (*module.parameters(), *module.buffers())}
        super().__init__(self._record, lambda tensor: tensor)

    def bytes(self, inputs: Any) -> int:
        """Return the number of bytes.

        Args:
            inputs: What the module was called on.
        """
        excluded = self._excluded | {storage_key(leaf) for _, leaf in leaves(inputs) if isinstance(leaf, Tensor)}
        return sum(storage.nbytes() for key, storage in self._storages.items() if key not in excluded)

    def _record(self, tensor: Tensor) -> Tensor:
        """Note the storage of a tensor that autograd saves."""
        self._storages[storage_key(tensor)] = tensor.untyped_storage()
        return tensor
