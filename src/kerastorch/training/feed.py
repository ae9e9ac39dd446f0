"""Feed: puts a batch where the model is, in the dtype it computes in, without losing anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kerastorch.data.arrays import tensor as as_tensor
from kerastorch.data.batches import Batch
from kerastorch.data.structure import leaves, map_structure
from kerastorch.data.weights import ClassWeights
from kerastorch.layers.base import Layer
from kerastorch.tree import tensors

ONCE = 2**30  # bytes: arrays that are larger after conversion are converted batch by batch

_FLOAT_LAYERS = (
    nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.RNNBase, nn.modules.batchnorm._NormBase, nn.LayerNorm,
    nn.GroupNorm, nn.MultiheadAttention,
)  # fmt: skip


class Feed:
    """Made for one model at the start of a call.

    Args:
        parts: the modules of the model: their parameters decide the dtype.
        device: where batches go.
        class_weight: makes weights of targets, in training.
    """

    def __init__(
        self, parts: Sequence[nn.Module], device: torch.device, class_weight: ClassWeights | None = None
    ) -> None:
        self.device = device
        self.dtype = next((t.dtype for t in tensors(parts) if t.is_floating_point()), torch.get_default_dtype())
        self._takes = _takes(parts)
        self._class_weight = class_weight

    def __call__(self, batch: Batch) -> Batch:
        """The batch on the device, in the model's dtype, weighted by class."""
        x, y, sample_weight = batch
        x = self._put(self._only(x)) if isinstance(x, Tensor) else map_structure(lambda t: self._put(self._input(t)), x)
        if isinstance(y, Tensor):
            y = self._put(self._target(y))
        elif y is not None:
            y = map_structure(lambda t: self._put(self._target(t)), y)
        if self._class_weight is not None and y is not None:
            if sample_weight is not None:
                raise ValueError("pass one of sample_weight and class_weight; the data already has weights.")
            sample_weight = self._class_weight(y)
        elif sample_weight is not None:
            sample_weight = self._put(self._input(sample_weight))
        return Batch(x, y, sample_weight)

    def once(self, data: Batch) -> Batch:
        """Arrays as a whole in the dtypes of their batches, unless they would be large in them."""
        size = sum(leaf.numel() for _, leaf in leaves((data.x, data.y))) * self.dtype.itemsize
        if size > ONCE:
            return data
        x = self._only(data.x) if isinstance(data.x, Tensor) else map_structure(self._input, data.x)
        return Batch(x, None if data.y is None else map_structure(self._target, data.y), data.sample_weight)

    def _only(self, x: Tensor) -> Tensor:
        """The input of a model that has one: what is to be looked up becomes the integers it is."""
        if self._takes != "indices" or x.dtype in (torch.int64, torch.int32):
            return self._input(x)
        broken = x != x.round()
        if bool(broken.any()):
            raise ValueError(f"x goes into an embedding and must hold whole numbers, got {float(x[broken][0]):g}.")
        return x.to(torch.int64)

    def _input(self, x: Any) -> Tensor:
        given: Tensor = x if isinstance(x, Tensor) else as_tensor(x, "x")
        changes = given.dtype != self.dtype and (given.is_floating_point() or self._takes == "floats")
        return given.to(self.dtype) if changes else given

    def _target(self, y: Any) -> Tensor:
        given: Tensor = y if isinstance(y, Tensor) else as_tensor(y, "y")
        return given.to(self.dtype) if given.dtype == torch.float64 else given

    def _put(self, tensor: Tensor) -> Tensor:
        return tensor if tensor.device == self.device else tensor.to(self.device, non_blocking=True)


def _takes(parts: Iterable[nn.Module]) -> Literal["floats", "indices", "anything"]:
    """What the first layer with parameters computes with; integers become floats only where that needs them."""
    for child in parts:
        if isinstance(child, _FLOAT_LAYERS) or (isinstance(child, Layer) and type(child).build is not Layer.build):
            return "floats"
        if isinstance(child, (nn.Embedding, nn.EmbeddingBag)):
            return "indices"
        if any(p is not None for p in child._parameters.values()) and not hasattr(child, "module_viewed"):
            return "anything"
    return "anything"
