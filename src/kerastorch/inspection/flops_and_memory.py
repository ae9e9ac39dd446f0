"""What a call costs: multiply-adds, and the memory that is kept until the backward pass."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.nested import leaves
from kerastorch.core.torch_private import TorchDispatchMode, aten_operation, operation_packet, storage_key


class MultiplyAdds(TorchDispatchMode):
    """Counts them meanwhile, in linear maps, convolutions, attention and recurrence, by the formulas of torch.

    Not counted: what is done to each element, sums, norms, pooling, softmax, and adding biases. torch's own counter
    hooks into every module that there is, and warns of compiled ones.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._formulas, self._operations = _formulas(), 0

    @property
    def total(self) -> int:
        """How many so far."""
        return self._operations // 2

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = self._formulas.get(operation_packet(func))
        if formula is None and func.namespace != "prim":
            with self:  # by its parts, where it is a composite
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        made = func(*args, **kwargs)
        if formula is not None:
            self._operations += formula(*args, **kwargs, out_val=made)
        return made


def _formulas() -> dict[Any, Any]:
    """By kernel; those that torch's counter passes over are given shapes in the place of tensors."""
    from torch.utils.flop_counter import flop_registry, sdpa_flop_count, shape_wrapper

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
        return sdpa_flop_count(query, key, value)

    def recurrence(x: Any, weight: Any, hidden: Any, *_: Any, **__: Any) -> Any:
        return 2 * x[0] * x[1] * (math.prod(weight) + math.prod(hidden))

    def recurrences(x: Any, weights: Any, *_: Any, **__: Any) -> Any:
        return 2 * x[0] * x[1] * sum(math.prod(weight) for weight in weights if len(weight) == 2)

    def bilinear(one: Any, weight: Any, *_: Any, **__: Any) -> Any:
        return 2 * one[0] * math.prod(weight)

    also = {
        aten_operation("_scaled_dot_product_flash_attention_for_cpu"): attention,
        torch.ops.aten.mkldnn_rnn_layer: recurrence,
        aten_operation("_cudnn_rnn"): recurrences,
        aten_operation("_trilinear"): bilinear,
    }
    return flop_registry | {kernel: shape_wrapper(formula) for kernel, formula in also.items()}


class SavedActivationBytes(torch.autograd.graph.saved_tensors_hooks):
    """The bytes of what autograd keeps meanwhile, weights and inputs, which are there anyway, left out.

    Args:
        module: what is called.
    """

    def __init__(self, module: nn.Module) -> None:
        self._storages: dict[int, Any] = {}
        self._there = {storage_key(tensor) for tensor in (*module.parameters(), *module.buffers())}
        super().__init__(self._keep, lambda tensor: tensor)

    def bytes(self, inputs: Any) -> int:
        """How many.

        Args:
            inputs: what the module was called on.
        """
        there = self._there | {storage_key(leaf) for _, leaf in leaves(inputs) if isinstance(leaf, Tensor)}
        return sum(storage.nbytes() for key, storage in self._storages.items() if key not in there)

    def _keep(self, tensor: Tensor) -> Tensor:
        self._storages[storage_key(tensor)] = tensor.untyped_storage()
        return tensor
