"""Lists of batches, and lists of samples: which of them a list is, or the question if it may be both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from torch import Tensor

from kerastorch.core.nested import is_object, is_record, leaves
from kerastorch.data.sequences import may_be_a_batch, shapes_in

ListKind = Literal["batches", "samples"]
MAX_EXAMINED = 1000  # items of a list


def list_kind(x: Any, name: str, row_axes: int = -1) -> ListKind | None:
    """Return what the items of a list are; `None` if it is no list of pairs, dicts or objects.

    Objects are batches, since they cannot be stacked. Items with a single number are samples. Other items that differ
    in shape are batches. Items whose arrays have different lengths are samples, unless there are several inputs and the
    target is as long as the first one. Items that may be both are batches if there is only one, or if the inputs have
    one axis more than the rows of the model.

    Args:
        x: What was given as `x`, without `y`.
        name: Name of the argument, for the message.
        row_axes: Number of axes of a row that the model takes; -1 if it is unknown.

    Raises:
        TypeError: The items may be batches or samples.
    """
    if not isinstance(x, (list, tuple)) or is_object(x) or not x or not all(map(_is_item, x)):
        return None
    if isinstance(x, tuple) and not all(isinstance(item, (tuple, list)) for item in x):
        return None  # several inputs
    items = x[:MAX_EXAMINED]
    if any(is_object(leaf) for item in items for _, leaf in leaves(item)) or any(map(is_record, items)):
        return "batches"
    if not all(map(_has_arrays_alone, items)):
        return "samples"
    if isinstance(x, list) and len({_shapes(item) for item in items}) > 1:
        return "batches"
    if not all(map(_may_be_a_batch, items)):
        return "samples"
    axes = _first_input(items[0]).ndim
    if row_axes > 0 and axes in (row_axes, row_axes + 1):
        return "batches" if axes > row_axes else "samples"
    if isinstance(x, list) and len(x) == 1:
        return "batches"
    raise TypeError(
        f"{name} is a list of {len(x)} items, the first {shapes_in(items[0])}, which may be batches or samples. If "
        "each is a batch, pass a function that returns the list, lambda: batches; if each is a sample, pass "
        "DataLoader(samples, batch_size=32)."
    )


def _is_item(item: Any) -> bool:
    """Return whether a value may be a batch or a sample, and not an array or a list of numbers."""
    if isinstance(item, (Tensor, np.ndarray)):
        return False
    if is_object(item) or is_record(item) or isinstance(item, Mapping):
        return True
    if not isinstance(item, (tuple, list)) or not any(_axes(leaf) for _, leaf in leaves(item)):
        return False
    return len(item) > 1 or isinstance(item[0], (tuple, list, Mapping))


def _has_arrays_alone(item: Any) -> bool:
    """Return whether all values in an item have axes; a single number is the target of a sample."""
    found = [leaf for _, leaf in leaves(item)]
    return bool(found) and all(map(_axes, found))


def _may_be_a_batch(item: Any) -> bool:
    found = [leaf for _, leaf in leaves(item)]
    parts = list(item.values()) if isinstance(item, Mapping) else list(item)
    several = isinstance(parts[0], (tuple, list, Mapping))  # inputs such as nodes and edges, of different lengths
    if several and all(len(leaf) == len(found[0]) > 1 for part in parts[1:] for _, leaf in leaves(part)):
        return True
    return may_be_a_batch(item)


def _axes(leaf: Any) -> int:
    """Return the number of axes of a tensor or an array, 0 for other values."""
    return int(leaf.ndim) if isinstance(leaf, (Tensor, np.ndarray)) else 0


def _first_input(item: Any) -> Any:
    return next(leaf for _, leaf in leaves(item))


def _shapes(item: Any) -> tuple[Any, ...]:
    return tuple(tuple(leaf.shape) for _, leaf in leaves(item))
