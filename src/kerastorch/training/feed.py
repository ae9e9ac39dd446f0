"""Feed: puts a batch where the model is, in the dtype it computes in, without losing anything."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.data.arrays import tensor as as_tensor
from kerastorch.data.batches import Batch
from kerastorch.data.structure import leaves, map_structure
from kerastorch.data.weights import ClassWeights
from kerastorch.layers.base import Layer
from kerastorch.tree import modules

ONCE = 2**30  # bytes: arrays that are larger after conversion are converted batch by batch

_FLOAT_LAYERS = (
    nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.RNNBase, nn.modules.batchnorm._NormBase, nn.LayerNorm,
    nn.GroupNorm, nn.MultiheadAttention,
)  # fmt: skip


class Feed:
    """Made for one model at the start of a call.

    Args:
        module: decides dtype and device: those of its parameters.
        device: where batches go.
        class_weight: makes weights of targets, in training.
    """

    def __init__(self, module: nn.Module, device: torch.device, class_weight: ClassWeights | None = None) -> None:
        self.device = device
        self.dtype = next(
            (p.dtype for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()),
            torch.get_default_dtype(),
        )
        self.floats = _wants_floats(module)
        self._class_weight = class_weight

    def __call__(self, batch: Batch) -> Batch:
        """The batch on the device, in the model's dtype, weighted by class."""
        x, y, sample_weight = batch
        x = self._input(x) if isinstance(x, Tensor) else map_structure(self._input, x)
        if y is not None:
            y = self._target(y) if isinstance(y, Tensor) else map_structure(self._target, y)
        if self._class_weight is not None:
            if sample_weight is not None:
                raise ValueError("pass one of sample_weight and class_weight; the data already has weights.")
            sample_weight = self._class_weight(y)
        elif sample_weight is not None:
            sample_weight = self._input(sample_weight)
        return Batch(x, y, sample_weight)

    def once(self, data: Batch) -> Batch:
        """Arrays as a whole, where they are not too large: dtype only, so that batches need no conversion."""
        keep = self.device
        self.device = torch.device("cpu")
        try:
            small = [self._size(leaf) <= ONCE for _, leaf in leaves((data.x, data.y))]
            return self(data) if all(small) and all(t.device == self.device for _, t in leaves(data.x)) else data
        finally:
            self.device = keep

    def _size(self, leaf: Tensor) -> int:
        return leaf.numel() * max(leaf.element_size(), self.dtype.itemsize)

    def _input(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            x = as_tensor(x, "x")
        if x.dtype != self.dtype and (x.is_floating_point() or self.floats):
            x = x.to(self.dtype)
        return x if x.device == self.device else x.to(self.device, non_blocking=True)

    def _target(self, y: Any) -> Any:
        if y is None:
            return None
        if not isinstance(y, Tensor):
            y = as_tensor(y, "y")
        if y.dtype == torch.float64 and self.dtype != torch.float64:
            y = y.to(self.dtype)
        return y if y.device == self.device else y.to(self.device, non_blocking=True)


def _wants_floats(module: nn.Module) -> bool:
    """Whether integers are to become floats: not if the first layer with parameters looks numbers up (Embedding)."""
    for child in modules(module):
        if isinstance(child, _FLOAT_LAYERS) or (isinstance(child, Layer) and type(child).build is not Layer.build):
            return True
        if next(child.parameters(recurse=False), None) is not None:
            return False
    return False
