"""The outputs of all batches as one structure: rows are joined, other arrays are listed by batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerastorch.core.nested import leaves, map_structure
from kerastorch.data.sample_lists import is_list_of_dicts


def join_outputs(parts: Sequence[Any], rows: Sequence[int]) -> Any:
    """Return the outputs of all batches, joined along their first axis.

    An output that cannot be joined becomes a list with an array for each batch: its other axes have different lengths,
    as in batches that are each padded to their own longest row; or it has no row for each input while other outputs
    have, such as the state `(layers, batch, units)` of a recurrent network. Numbers become a vector. Lists of dicts, as
    detection models return them, have a dict for each input, and become one list.

    Args:
        parts: Outputs of each batch, arrays in a structure.
        rows: Number of inputs of each batch.

    Returns:
        The structure of the outputs; or `parts`, a list with the outputs of each batch, if no output can be joined.

    Raises:
        ValueError: The structures of the batches differ.

    >>> join_outputs([(np.zeros((2, 3)), np.zeros((1, 2))), (np.zeros((4, 3)), np.zeros((1, 4)))], [2, 4])[0].shape
    (6, 3)
    """
    if all(isinstance(part, list) and is_list_of_dicts(part) for part in parts):
        return [one for part in parts for one in part]
    named = [list(leaves(part)) for part in parts]
    names = [name for name, _ in named[0]]
    if any(sorted(names) != sorted(name for name, _ in one) for one in named):
        raise ValueError("The outputs of the batches have different structures.")
    has_rows = any(len(array) == rows[0] for _, array in named[0])

    def can_join(*arrays: np.ndarray[Any, Any]) -> bool:
        is_row_by_row = all(len(array) == n for array, n in zip(arrays, rows, strict=True))
        are_numbers = all(array.shape == (1,) for array in arrays)
        is_alike = len({array.shape[1:] for array in arrays}) == 1
        return is_alike and (is_row_by_row or are_numbers or not has_rows)

    by_name = [dict(one) for one in named]  # dicts may have their keys in another order
    if not any(can_join(*(one[name] for one in by_name)) for name in names):
        return list(parts)
    return map_structure(
        lambda *arrays: np.concatenate(arrays) if can_join(*arrays) else list(arrays), parts[0], *parts[1:]
    )
