"""Lists of batches, and lists of samples: which of them a list is, or the question if it may be both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from kerastorch.core.nested import holds_tensors, is_object, is_record, leaves
from kerastorch.data.named_batches import TARGETS
from kerastorch.data.sequences import may_be_a_batch, shapes_in

ListKind = Literal["batches", "samples"]
MAX_EXAMINED = 1000  # items of a list


def list_kind(x: Any, name: str, row_axes: int = -1) -> ListKind | None:
    """Return what the items of a list are; `None` if it is no list of pairs, dicts or objects.

    Objects are batches, since they cannot be stacked. Items are samples if the target is a single number or text, if
    there are single values beside one array, or if a list has not one value for each row. Items with a list of one text
    for each row of several arrays, not all of them vectors, are batches. Other items that differ in shape are batches.
    Items whose arrays have different lengths are samples, unless there are several inputs and the target is as long as
    the first one. Items that may be both are batches if there is only one, or if the inputs have one axis more than the
    rows of the model.

    Args:
        x: What was given as `x`, without `y`.
        name: Name of the argument, for the message.
        row_axes: Number of axes of a row that the model takes; -1 if it is unknown.

    Raises:
        TypeError: The items may be batches or samples.
    """
    if not isinstance(x, (list, tuple)) or is_object(x) or not x or not all(map(_is_item, x)):
        return None
    if isinstance(x, tuple) and not all(isinstance(item, (tuple, list)) or holds_tensors(item) for item in x):
        return None  # several inputs
    items = x[:MAX_EXAMINED]
    if any(map(is_record, items)) or any(_stays_whole(leaf) for item in items for _, leaf in leaves(item)):
        return "batches"
    if not all(map(_may_have_rows, items)):
        return "samples"
    if all(map(_has_a_text_for_each_row, items)):
        return "batches"
    if isinstance(x, list) and len({_shapes(item) for item in items}) > 1:
        return "batches"
    if not all(map(_may_be_a_batch, items)):
        return "samples"
    axes = _arrays(items[0])[0].ndim
    if row_axes > 0 and axes in (row_axes, row_axes + 1):
        return "batches" if axes > row_axes else "samples"
    if isinstance(x, list) and len(x) == 1:
        return "batches"
    shapes = shapes_in(_arrays(items[0]))
    raise TypeError(
        f"{name} is a list of {len(x)} items, the first {shapes}, which may be batches or samples. If "
        "each is a batch, pass a function that returns the list, lambda: batches; if each is a sample, pass "
        "DataLoader(samples, batch_size=32)."
    )


def is_one_object(x: Any) -> bool:
    """Return whether data are one object for the model, and not something with items."""
    has_items = hasattr(x, "__getitem__") or hasattr(x, "__iter__")
    return (is_object(x) or is_record(x) or (holds_tensors(x) and not has_items)) and not isinstance(x, nn.Module)


def _is_item(item: Any) -> bool:
    """Return whether a value may be a batch or a sample, and not an array or a list of numbers."""
    if isinstance(item, (Tensor, np.ndarray)):
        return False
    if _stays_whole(item) or is_record(item) or isinstance(item, Mapping):
        return True
    if not isinstance(item, (tuple, list)) or not any(_axes(leaf) for _, leaf in leaves(item)):
        return False
    return len(item) > 1 or isinstance(item[0], (tuple, list, Mapping))


def _stays_whole(value: Any) -> bool:
    """Return whether a value is an object that cannot be stacked with others."""
    return is_object(value) or holds_tensors(value)


def _may_have_rows(item: Any) -> bool:
    """Return whether the texts and numbers in an item leave it open that the item is a batch."""
    values, given = list(_values(item)), _arrays(item)
    plain = [value for value in values if not _axes(value)]
    lists = [value for value in plain if isinstance(value, (tuple, list))]
    if not plain or not given:
        return bool(given)
    if _has_single_target(item) or (len(given) == 1 and not lists):
        return False
    return _has_one_length(item) and all(len(value) == len(given[0]) for value in lists)


def _has_a_text_for_each_row(item: Any) -> bool:
    """Return whether an item that may have rows has a list of texts beside several arrays, not all of them vectors."""
    lists = [value for value in _values(item) if isinstance(value, (tuple, list))]
    given = _arrays(item)
    has_texts = any(isinstance(value, str) for one in lists for value in one)
    return has_texts and len(given) > 1 and max(map(_axes, given)) > 1


def _may_be_a_batch(item: Any) -> bool:
    given = _arrays(item)
    return (_has_several_inputs(item) and _has_one_length(item) and len(given[0]) > 1) or may_be_a_batch(given)


def _has_one_length(item: Any) -> bool:
    """Return whether the arrays of an item have one length; of several inputs, only the first one counts."""
    given, parts = _arrays(item), _parts(item)
    counted = [leaf for part in parts[1:] for leaf in _arrays(part)] if _has_several_inputs(item) else given
    return all(len(leaf) == len(given[0]) for leaf in counted)


def _has_several_inputs(item: Any) -> bool:
    """Return whether the first part holds several inputs, such as nodes and edges, of different lengths."""
    return isinstance(_parts(item)[0], (tuple, list, Mapping))


def _has_single_target(item: Any) -> bool:
    """Return whether the target of an item is one number or text."""
    named = [part for key, part in item.items() if key in TARGETS] if isinstance(item, Mapping) else None
    targets = list(item[1:2]) if named is None else named
    return any(not _axes(part) and not isinstance(part, (tuple, list, Mapping, type(None))) for part in targets)


def _values(data: Any) -> Iterator[Any]:
    """Yield the arrays, the lists of texts or numbers, and the single texts and numbers of an item."""
    if isinstance(data, (tuple, list)) and data and not any(map(_has_parts, data)):
        yield data
    elif isinstance(data, (tuple, list, Mapping)):
        for part in _parts(data):
            yield from _values(part)
    elif data is not None:
        yield data


def _has_parts(value: Any) -> bool:
    return value is None or _axes(value) > 0 or isinstance(value, (tuple, list, Mapping))


def _parts(item: Any) -> list[Any]:
    return list(item.values()) if isinstance(item, Mapping) else list(item)


def _arrays(item: Any) -> list[Any]:
    return [leaf for _, leaf in leaves(item) if _axes(leaf)]


def _axes(leaf: Any) -> int:
    """Return the number of axes of a tensor or an array, 0 for other values."""
    return int(leaf.ndim) if isinstance(leaf, (Tensor, np.ndarray)) else 0


def _shapes(item: Any) -> tuple[Any, ...]:
    return tuple(tuple(leaf.shape) for leaf in _arrays(item))
