"""Feed: puts a batch where the model is, in the dtype it computes in, without losing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kerastorch.data.arrays import tensor as as_tensor
from kerastorch.data.batches import Batch, Several
from kerastorch.data.carry import carrier
from kerastorch.data.placement import placed
from kerastorch.data.structure import leaves, map_structure
from kerastorch.data.weights import ClassWeights
from kerastorch.layers.base import Layer
from kerastorch.layers.embedding import Embedding
from kerastorch.tree import tensors

ONCE = 2**30  # bytes: arrays that are larger after conversion are converted batch by batch

_FLOAT_LAYERS = (
    nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.RNNBase, nn.modules.batchnorm._NormBase, nn.LayerNorm,
    nn.GroupNorm, nn.MultiheadAttention,
)  # fmt: skip


class Feed:
    """Made for one model at the start of a call.

    Args:
        parts: the modules of the model, as `modules` lists them: their parameters decide the dtype.
        device: where batches go.
        class_weight: makes weights of targets, in training.
        arrange: puts inputs in the memory format they are wanted in.
        data_device: where arrays in memory are kept, as `check_place` gives it.

    Attributes:
        parts: as given.
        carry: brings pieces of arrays that stay on the CPU to the device.
    """

    def __init__(
        self,
        parts: Sequence[nn.Module],
        device: torch.device,
        class_weight: ClassWeights | None = None,
        arrange: Callable[[Any], Any] | None = None,
        data_device: Any = "auto",
    ) -> None:
        self.parts = parts
        self.device = device
        self._arrange = arrange
        self._data_device = data_device
        self.carry = carrier(device)
        self.dtype = next((t.dtype for t in tensors(parts) if t.is_floating_point()), torch.get_default_dtype())
        self._takes = _takes(parts)
        self._class_weight = class_weight

    def __call__(self, batch: Batch | Several) -> Batch | Several:
        """The batch on the device, in the model's dtype, weighted by class; each of several."""
        if isinstance(batch, Several):
            return Several(map(self, batch))  # type: ignore[arg-type]
        x, y, sample_weight = batch
        x = self.inputs(x)
        if y is not None:
            y = self._target(y) if isinstance(y, Tensor) else map_structure(self._target, y)
        if self._class_weight is not None and y is not None:
            if sample_weight is not None:
                raise ValueError("pass one of sample_weight and class_weight; the data already has weights.")
            sample_weight = self._class_weight(y)  # of targets that did not move yet: looking at them is no wait
        if sample_weight is not None:
            sample_weight = self._put(self._input(sample_weight))
        if y is not None:
            y = self._put(y) if isinstance(y, Tensor) else map_structure(self._put, y)
        return Batch(x, y, sample_weight)

    def inputs(self, x: Any) -> Any:
        """Those of a batch, alone."""
        x = self._put(self._only(x)) if isinstance(x, Tensor) else map_structure(lambda t: self._put(self._input(t)), x)
        return x if self._arrange is None else self._arrange(x)

    def look_at(self, targets: Any) -> None:
        """Before the batches of a pass: all their targets, where they are in memory."""
        if self._class_weight is not None:
            self._class_weight.look_at(targets)

    def once(self, data: Batch) -> Batch:
        """Arrays as a whole where they are kept, in the dtypes of their batches unless they would be large in them."""
        size = sum(leaf.numel() for _, leaf in leaves((data.x, data.y))) * self.dtype.itemsize
        if size <= ONCE:
            x = self._only(data.x) if isinstance(data.x, Tensor) else map_structure(self._input, data.x)
            data = Batch(x, None if data.y is None else map_structure(self._target, data.y), data.sample_weight)
        place = placed(sum(leaf.nbytes for _, leaf in leaves(data)), self._data_device, self.device)
        return data if place is None else map_structure(lambda t: None if t is None else t.to(place), data)

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
    """What the first layer with parameters computes with; integers become floats only where that needs them.

    An embedding that is not first may be the first to be called all the same: integers stay what they are then.
    """
    found: Literal["floats", "anything"] | None = None
    for child in parts:
        if isinstance(child, (nn.Embedding, nn.EmbeddingBag, Embedding)):
            return "indices" if found is None else "anything"
        if getattr(child, "takes_integers", False):
            return "anything"
        if found is not None:
            continue
        if isinstance(child, _FLOAT_LAYERS) or (isinstance(child, Layer) and type(child).build is not Layer.build):
            found = "floats"
        elif any(p is not None for p in child._parameters.values()) and not hasattr(child, "module_viewed"):
            found = "anything"
    return found or "anything"
