"""What layers share that learn by looking at data once, without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from kerastorch.core.errors import check_int
from kerastorch.layers.base import Layer


class AdaptableLayer(Layer):
    """A layer with buffers whose sizes only the data knows: empty until `adapt`, and loaded whatever size they have."""

    def _learned(self, *names: str) -> dict[str, Any]:
        """For the config: what `adapt` found, so that a layer made from it has the same sizes."""
        found = {name: buffer for name in names if (buffer := self._buffers[name]) is not None and buffer.numel()}
        return {"learned": {name: buffer.tolist() for name, buffer in found.items()}} if found else {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Configurable`; what was learned is there again."""
        given = dict(config)
        learned = given.pop("learned", {})
        made = super().from_config(given)
        for name, numbers in learned.items():
            made._buffers[name] = torch.tensor(numbers).to(made.get_buffer(name))
        return made

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not self.built and any(key.startswith(prefix) for key in state_dict):
            self.ensure_built(())  # there is nothing to build: what was learned is being loaded
        for name, buffer in self._buffers.items():
            loaded = state_dict.get(prefix + name)
            if buffer is not None and isinstance(loaded, Tensor) and loaded.shape != buffer.shape:
                self._buffers[name] = buffer.new_empty(loaded.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)


def not_adapted_error(layer: Layer, otherwise: str) -> RuntimeError:
    """The error of a call that comes too early."""
    name = type(layer).__name__
    return RuntimeError(f"{name} has not seen any data. Call adapt(data) first, {otherwise}, or load its state.")


def batches(data: Any, steps: int | None = None, *, rows: bool = False) -> Iterator[Any]:
    """The inputs in what `adapt` is given, piece by piece; of a pair `(x, y)` from a loader the first.

    Args:
        data: an array, a tensor, (nested) lists of values: one piece; an iterable of pieces, as a `DataLoader`.
        steps: look at no more than this many pieces.
        rows: whether a list is always data, never a list of arrays.
    """
    limit = None if steps is None else check_int("steps", steps)
    if isinstance(data, (str, bytes)) or not hasattr(data, "__iter__"):
        raise TypeError(f"adapt takes an array, a list, or an iterable of batches, got {type(data).__name__}.")
    listed = isinstance(data, (list, tuple))
    if hasattr(data, "__array__") or (listed and (rows or not any(map(_is_piece, data)))):
        yield data
        return
    pairs = (list, tuple) if isinstance(data, DataLoader) else tuple
    found = islice(iter(data), limit)
    first = next(found, None)
    if first is None:
        raise ValueError("adapt was given no data.")
    for batch in chain([first], found):
        yield batch[0] if isinstance(batch, pairs) and batch else batch


def _is_piece(one: Any) -> bool:
    """An array, or a pair that begins with one."""
    return hasattr(one, "__array__") or (isinstance(one, tuple) and bool(one) and hasattr(one[0], "__array__"))


def to_array(batch: Any, name: str) -> np.ndarray[Any, Any]:
    """A piece of numbers as NumPy, on the CPU.

    Raises:
        TypeError: what holds no numbers.
        ValueError: a piece without rows.
    """
    if isinstance(batch, Tensor):
        batch = batch.detach().cpu()
        batch = (batch.float() if batch.dtype == torch.bfloat16 else batch).numpy()
    try:
        found = np.asarray(batch)
    except (ValueError, TypeError) as error:
        raise TypeError(f"{name}.adapt was given something that is no array: {error}") from error
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name}.adapt takes numbers, got an array of {found.dtype}.")
    if found.size == 0:
        raise ValueError(f"{name}.adapt was given an array of shape {found.shape}, without any numbers.")
    return found
