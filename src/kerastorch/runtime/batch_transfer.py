"""Feed: puts a batch where the model is, in the dtype it computes in, without losing anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import tensors
from kerastorch.core.nested import leaves, map_structure
from kerastorch.data.arrays import tensor as as_tensor
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.data.class_weight import ClassWeights
from kerastorch.data.data_device import choose_data_device
from kerastorch.data.prefetch import device_prefetcher
from kerastorch.runtime.first_layers import EMBEDDINGS, Kind, declared, first_use, root
from kerastorch.runtime.input_dtypes import cast, kinds, tensors_in

ONCE = 2**30  # bytes: arrays that are larger after conversion are converted batch by batch


class BatchTransfer:
    """Made for one model at the start of a call.

    Args:
        parts: the modules of the model, as `modules` lists them: their parameters decide the dtype.
        device: where batches go.
        class_weight: makes weights of targets, in training.
        arrange: puts inputs in the memory format they are wanted in.
        data_device: where arrays in memory are kept, as `check_place` gives it.

    Attributes:
        parts: as given.
        prefetcher: brings pieces of arrays that stay on the CPU to the device.
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
        self.prefetcher = device_prefetcher(device)
        self.dtype = next((t.dtype for t in tensors(parts) if t.is_floating_point()), torch.get_default_dtype())
        self._model = root(parts)
        self._kind = self._settled()
        # floats that are whole may be meant for an embedding
        self._may_look_up = self._kind is None and any(isinstance(part, EMBEDDINGS) for part in parts)
        self._class_weight = class_weight

    def __call__(self, batch: Batch | BatchGroup) -> Batch | BatchGroup:
        """The batch on the device, in the model's dtype, weighted by class; each of several."""
        if isinstance(batch, BatchGroup):
            return BatchGroup(map(self, batch))  # type: ignore[arg-type]
        x, y, sample_weight = batch
        x = self.inputs(x)
        if y is not None:
            y = self._target(y) if isinstance(y, Tensor) else map_structure(self._target, y)
        if self._class_weight is not None and y is not None:
            if sample_weight is not None:
                raise ValueError("pass one of sample_weight and class_weight; the data already has weights.")
            sample_weight = self._class_weight(y)  # of targets that did not move yet: looking at them is no wait
        if sample_weight is not None:
            sample_weight = self._put(cast(_tensor(sample_weight, "sample_weight"), "floats", self.dtype))
        if y is not None:
            y = self._put(y) if isinstance(y, Tensor) else map_structure(self._put, y)
        return Batch(x, y, sample_weight)

    def inputs(self, x: Any) -> Any:
        """Those of a batch, alone."""
        known = self._kind is not None or not self._may_look_up
        if known and isinstance(x, Tensor) and (self._kind or x.is_floating_point()):  # by far the most frequent
            x = self._put(cast(x, self._kind or "floats", self.dtype))
        else:
            x = self._numbers(map_structure(lambda one: self._put(_tensor(one, "x")), x))
        return x if self._arrange is None else self._arrange(x)

    def validate_targets(self, targets: Any) -> None:
        """Before the batches of a pass: all their targets, where they are in memory."""
        if self._class_weight is not None:
            self._class_weight.validate_targets(targets)

    def convert_arrays(self, data: Batch) -> Batch:
        """Arrays as a whole where they are kept, in the dtypes of their batches unless they would be large in them."""
        size = sum(leaf.numel() for _, leaf in leaves((data.x, data.y))) * self.dtype.itemsize
        if size <= ONCE:
            y = None if data.y is None else map_structure(self._target, data.y)
            data = Batch(self._early(data.x), y, data.sample_weight)
        place = choose_data_device(sum(leaf.nbytes for _, leaf in leaves(data)), self._data_device, self.device)
        return data if place is None else map_structure(lambda t: None if t is None else t.to(place), data)

    def _settled(self) -> Kind | None:
        """What an input that comes alone is taken as, if that can be told without a call."""
        symbols = declared(self._model)
        if symbols is not None:
            return symbols[0] if len(symbols) == 1 else None
        found = first_use(self._model)
        return None if found == "passes" else found

    def _early(self, x: Any) -> Any:
        """Arrays, all rows of them, as far as can be told before the model is called on the first."""
        if isinstance(x, Tensor) and self._kind is not None:
            return cast(x, self._kind, self.dtype)
        if self._may_look_up:
            return x
        return map_structure(lambda one: cast(one, "floats" if one.is_floating_point() else "integers", self.dtype), x)

    def _numbers(self, x: Any) -> Any:
        """Inputs on the device, each as what it is used as."""
        given = tensors_in(x)
        if not self._may_look_up and all(one.is_floating_point() for one in given):
            return map_structure(lambda one: cast(one, "floats", self.dtype), x)
        alone = self._kind if len(given) == 1 and isinstance(x, (tuple, list)) else None
        found = iter([alone] if alone else kinds(self._model, x, self.dtype))
        return map_structure(lambda one: cast(one, next(found), self.dtype), x)

    def _target(self, y: Any) -> Tensor:
        given = _tensor(y, "y")
        return given.to(self.dtype) if given.dtype == torch.float64 else given

    def _put(self, tensor: Tensor) -> Tensor:
        return tensor if tensor.device == self.device else tensor.to(self.device, non_blocking=True)


def _tensor(value: Any, name: str) -> Tensor:
    return value if isinstance(value, Tensor) else as_tensor(value, name)
