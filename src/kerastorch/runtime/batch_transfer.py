"""Transferring batches to the device and dtype of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import tensors
from kerastorch.core.nested import is_object, is_record, leaves, map_structure, map_tensors
from kerastorch.data.arrays import is_array_like, to_tensor
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.data.class_weight import ClassWeights
from kerastorch.data.data_device import choose_data_device
from kerastorch.data.lazy_arrays import LazyArray, converted_by_piece, is_large, load_to
from kerastorch.data.prefetch import device_prefetcher
from kerastorch.runtime.first_layers import EMBEDDINGS, InputKind, declared_input_kinds, first_input_kind, model_of
from kerastorch.runtime.input_dtypes import cast_input, input_kinds, kind_of_dtype, tensors_in
from kerastorch.runtime.input_rows import InputRows


class BatchTransfer:
    """The transfer of batches to the device and dtype of a model, for one `fit`, `evaluate` or `predict`.

    Each call makes a new one from the modules, because a user may move or convert the model in between.

    Float inputs are cast to the model's dtype, and so are integer inputs, unless the model takes integers. Of targets
    only float64 is cast. Objects that are neither tensors nor arrays are passed on, moved by their method `to` if they
    have one.

    Args:
        parts: The modules of the model, as `modules` returns them; their first floating-point tensor gives the dtype.
        device: Where batches are copied to.
        class_weight: Computes sample weights from targets, in training.
        arrange: Converts inputs to another memory format.
        data_device: Device of arrays in memory, as `parse_device` returns it.

    Attributes:
        parts: The modules of the model.
        prefetcher: Copies pieces of arrays from the CPU to the device, or `None`.
        dtype: Dtype of floats in the model.
        rows: The rows that the model takes.
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
        self._model = model_of(parts)
        self.rows = InputRows(self._model)
        self._kind = self._single_kind()
        # with an embedding, floats without a fraction may be indices
        self._may_look_up = self._kind is None and any(isinstance(part, EMBEDDINGS) for part in parts)
        self._class_weight = class_weight

    def __call__(self, batch: Batch | BatchGroup) -> Batch | BatchGroup:
        """Return a batch, or a group of batches, cast and on the device, with class weights.

        Raises:
            ValueError: Targets or weights have a structure that the model's outputs do not have.
        """
        if isinstance(batch, BatchGroup):
            return BatchGroup(map(self, batch))  # type: ignore[arg-type]
        x, y, sample_weight = batch
        x = self.inputs(x)
        if y is not None:
            y = self._cast_target(y) if isinstance(y, Tensor) else self._cast_targets(y)
        if self._class_weight is not None and y is not None:
            # before targets are copied, since reading them on the CPU needs no synchronisation
            sample_weight = self._class_weight(y, sample_weight)
        if sample_weight is not None:
            sample_weight = map_structure(self._weight, sample_weight)
        if y is not None and not (isinstance(y, Tensor) and y.device == self.device):
            y = map_structure(self._to_device, y)
        if x is batch[0] and y is batch[1] and sample_weight is batch[2]:
            return batch
        return batch.with_parts(x, y, sample_weight)

    def inputs(self, x: Any) -> Any:
        """Return the inputs of a batch on the device, cast to what the model computes with.

        Rows of one number get a feature axis if the model takes one feature.

        Raises:
            ValueError: A tensor has the shape of a single sample.
        """
        if not isinstance(x, Tensor):
            x = map_structure(_input, x)
        if not isinstance(x, Tensor) or x.ndim == self.rows.n_axes:
            x = self.rows(x)
        known = self._kind is not None or not self._may_look_up
        if known and isinstance(x, Tensor) and (self._kind or x.is_floating_point()):  # the most frequent case first
            if x.dtype != self.dtype or self._kind == "indices":
                x = cast_input(x, self._kind or "floats", self.dtype)
            if x.device != self.device:
                x = self._to_device(x)
        else:
            x = self._cast_inputs(map_structure(self._to_device, x))
        return x if self._arrange is None else self._arrange(x)

    def validate_targets(self, targets: Any) -> None:
        """Check all targets of a pass for class weights; `None` if they are not in memory."""
        if self._class_weight is not None:
            self._class_weight.validate_targets(targets)

    def convert_arrays(self, data: Batch) -> Batch:
        """Return all arrays, on the accelerator if `data_device` says so or they fit there.

        They are cast to the dtypes of batches: as a whole if the copies need little memory, else piece by piece. Rows
        of one number get a feature axis, as in `inputs`.
        """
        if not any(isinstance(leaf, LazyArray) for _, leaf in leaves(data.x)):
            data = data._replace(x=self.rows(data.x))
        is_small = not is_large(self._bytes_of_copies(data))
        if is_small:
            data = self._cast_all(data, lambda array, cast: array if isinstance(array, LazyArray) else cast(array))
        place = choose_data_device(sum(leaf.nbytes for _, leaf in leaves(data)), self._data_device, self.device)
        if place is not None:
            data = map_structure(lambda one: load_to(one, place), data)
        # on the CPU, batches need no cast of their own; with a prefetcher, they are cast on the device, after the copy
        return data if is_small or self.prefetcher is not None else self._cast_all(data, converted_by_piece)

    def _cast_all(self, data: Batch, convert: Callable[[Any, Callable[[Tensor], Tensor]], Any]) -> Batch:
        """Call `convert(array, cast)` for the inputs and targets whose dtypes change."""

        def converted(array: Any, cast: Callable[[Tensor], Tensor]) -> Any:
            example = torch.empty(0, *array.shape[1:], dtype=array.dtype)
            return array if cast(example).dtype == array.dtype else convert(array, cast)

        x = self._map_inputs(data.x, converted)
        y = None if data.y is None else map_structure(lambda one: converted(one, self._cast_target), data.y)
        return Batch(x, y, data.sample_weight)

    def _bytes_of_copies(self, data: Batch) -> int:
        """Return the bytes that casts of the arrays need."""
        sizes = [0]

        def count(array: Any, _: Callable[[Tensor], Tensor]) -> Any:
            if not isinstance(array, LazyArray):
                sizes.append(array.numel() * self.dtype.itemsize)
            return array

        self._cast_all(data, count)
        return sum(sizes)

    def _single_kind(self) -> InputKind | None:
        """Return the kind that a single input is cast to, if it is known without a call of the model."""
        symbols = declared_input_kinds(self._model)
        if symbols is not None:
            return symbols[0] if len(symbols) == 1 else None
        found = first_input_kind(self._model)
        return None if found == "passes" else found

    def _map_inputs(self, x: Any, convert: Callable[[Any, Callable[[Tensor], Tensor]], Any]) -> Any:
        """Call `convert(array, cast)` for each input, unless only a call of the model can show what it becomes."""
        if isinstance(x, (Tensor, LazyArray)) and self._kind is not None:
            kind = self._kind
            return convert(x, lambda one: cast_input(one, kind, self.dtype))
        if self._may_look_up:
            return x
        return map_structure(
            lambda one: convert(one, lambda part: cast_input(part, kind_of_dtype(part), self.dtype)), x
        )

    def _cast_inputs(self, x: Any) -> Any:
        """Cast inputs that are on the device, each to the kind that the model uses it as."""
        given = tensors_in(x)
        if not self._may_look_up and all(one.is_floating_point() for one in given):
            return map_tensors(lambda one: cast_input(one, "floats", self.dtype), x)
        alone = self._kind if len(given) == 1 and isinstance(x, (tuple, list)) else None
        found = iter([alone] if alone else input_kinds(self._model, x, self.dtype))
        return map_tensors(lambda one: cast_input(one, next(found), self.dtype), x)

    def _weight(self, sample_weight: Any) -> Tensor:
        weight: Tensor = self._to_device(cast_input(_tensor(sample_weight, "sample_weight"), "floats", self.dtype))
        return weight

    def _cast_target(self, y: Any) -> Tensor:
        given: Tensor = y if isinstance(y, Tensor) else to_tensor(y, "y")
        return given.to(self.dtype) if given.dtype == torch.float64 else given

    def _cast_targets(self, y: Any) -> Any:
        if not (isinstance(y, (tuple, list, Mapping)) or is_object(y) or is_record(y)):
            return self._cast_target(y)  # raises an error for text and single numbers
        return map_structure(lambda leaf: self._cast_target(leaf) if is_array_like(leaf) else leaf, y)

    def _to_device(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value if value.device == self.device else value.to(self.device, non_blocking=True)
        return value.to(self.device) if is_object(value) else value


def _input(value: Any) -> Any:
    """Return an array as a tensor, and other inputs as they are."""
    return to_tensor(value, "x") if not isinstance(value, Tensor) and is_array_like(value) else value


def _tensor(value: Any, name: str) -> Tensor:
    return value if isinstance(value, Tensor) else to_tensor(value, name)
