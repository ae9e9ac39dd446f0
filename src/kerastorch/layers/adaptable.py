"""AdaptableLayer, the base of layers with `adapt`, and the reading of data for `adapt`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from kerastorch.core.errors import check_int
from kerastorch.core.tables import check_is_read
from kerastorch.layers.base import Layer


class AdaptableLayer(Layer):
    """Base of layers with a method `adapt`, which fills buffers whose sizes depend on the data.

    The buffers are empty until `adapt` is called. A state dict may have buffers of any size, so that a model can be
    loaded without its data.
    """

    def _learned_config(self, *names: str) -> dict[str, Any]:
        """Return the buffers of these names for the config, so that a layer made from it has the same values."""
        buffers = {name: buffer for name in names if (buffer := self._buffers[name]) is not None and buffer.numel()}
        return {"learned": {name: buffer.tolist() for name, buffer in buffers.items()}} if buffers else {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a new layer from the dict of `get_config`, with the values that `adapt` had learned."""
        arguments = dict(config)
        learned = arguments.pop("learned", {})
        layer = super().from_config(arguments)
        for name, numbers in learned.items():
            layer._buffers[name] = torch.tensor(numbers).to(layer.get_buffer(name))
        return layer

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not self.built and any(key.startswith(prefix) for key in state_dict):
            self.ensure_built(())  # the layer has no parameters to build; the learned buffers are being loaded
        for name, buffer in self._buffers.items():
            loaded = state_dict.get(prefix + name)
            if buffer is not None and isinstance(loaded, Tensor) and loaded.shape != buffer.shape:
                self._buffers[name] = buffer.new_empty(loaded.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)


def adapted_buffers(module: nn.Module) -> set[str]:
    """Return the names of the buffers that `adapt` fills, under every path of a shared layer.

    They take the size that they have in a file.
    """
    return {
        f"{path}.{name}" if path else name
        for path, part in module.named_modules(remove_duplicate=False)
        if isinstance(part, AdaptableLayer)
        for name in part._buffers
    }


def not_adapted_error(layer: Layer, alternative: str) -> RuntimeError:
    """Return the error for a call before `adapt`.

    Args:
        layer: The layer that was called.
        alternative: What to do instead of `adapt`, as `"give vocabulary="`.
    """
    name = type(layer).__name__
    return RuntimeError(f"{name} has not seen any data. Call adapt(data) first, {alternative}, or load its state.")


def input_batches(data: Any, steps: int | None = None, *, lists_are_data: bool = False) -> Iterator[Any]:
    """Yield the batches of the data for `adapt`; of pairs `(x, y)` only `x`.

    Args:
        data: An array, a tensor or (nested) lists of values, which are one batch; or an iterable of batches, such as a
            `DataLoader`.
        steps: Maximum number of batches; `None`, the default, for all.
        lists_are_data: Whether a list is always one batch. If `False`, the default, a list of arrays is an iterable
            of batches.

    Raises:
        TypeError: Data that are not iterable.
        ValueError: An iterable without batches.
    """
    limit = None if steps is None else check_int("steps", steps)
    if isinstance(data, (str, bytes)) or not hasattr(data, "__iter__"):
        check_is_read(data, "data")
        raise TypeError(f"adapt takes an array, a list, or an iterable of batches, got {type(data).__name__}.")
    is_list = isinstance(data, (list, tuple))
    if hasattr(data, "__array__") or (is_list and (lists_are_data or not any(map(_is_batch, data)))):
        yield data
        return
    pair_types = (list, tuple) if isinstance(data, DataLoader) else tuple
    batches = islice(iter(data), limit)
    first = next(batches, None)
    if first is None:
        raise ValueError("adapt was given no data.")
    for batch in chain([first], batches):
        yield batch[0] if isinstance(batch, pair_types) and batch else batch


def _is_batch(entry: Any) -> bool:
    """Return whether an entry of a list is an array, or a tuple that begins with one."""
    return hasattr(entry, "__array__") or (isinstance(entry, tuple) and bool(entry) and hasattr(entry[0], "__array__"))


def to_numpy(batch: Any, name: str) -> np.ndarray[Any, Any]:
    """Return a batch of numbers as a NumPy array.

    Args:
        batch: An array, a list, or a tensor on any device; bfloat16, unknown to NumPy, becomes float32.
        name: Name of the layer, for messages.

    Raises:
        TypeError: A batch that does not hold numbers.
        ValueError: A batch without rows.
    """
    if isinstance(batch, Tensor):
        batch = batch.detach().cpu()
        batch = (batch.float() if batch.dtype == torch.bfloat16 else batch).numpy()
    try:
        array = np.asarray(batch)
    except (ValueError, TypeError) as error:
        raise TypeError(f"{name}.adapt was given something that is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}.adapt takes numbers, got an array of {array.dtype}.")
    if array.size == 0:
        raise ValueError(f"{name}.adapt was given an array of shape {array.shape}, without any numbers.")
    return array
