"""Searching arrays for NaN and infinity, also in parts, of which each rank of a process group searches one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch.core.nested import leaves
from kerastorch.data.lazy_arrays import READ_BYTES, LazyArray, pieces
from kerastorch.data.rank_shard import RowShard


class NonFiniteError(ValueError):
    """Data have NaN or infinity.

    Args:
        what: What has how many of them.
        row: Number of the first row with one.
        column: Its column; `None` if the data are no table.

    Attributes:
        what: What has how many of them.
        row: Number of the first row with one.
        column: Its column; `None` if the data are no table.
    """

    def __init__(self, what: str, row: int, column: int | None) -> None:
        super().__init__(what, row, column)  # what a pickle calls the class with
        self.what, self.row, self.column = what, row, column

    def __str__(self) -> str:
        column = "" if self.column is None else f", column {self.column}"
        return f"{self.what}, first at row {self.row}{column}. Clean it, or pass check_finite=False."


class NonFinite(NamedTuple):
    """The NaN and infinite values of an array, or of some of its rows.

    Attributes:
        name: Name of the array.
        number: Number of the values.
        has_nan: Whether any is NaN.
        row: Number of the first row with one.
        column: Its column; `None` if the array is no table.
    """

    name: str
    number: int
    has_nan: bool
    row: int
    column: int | None


def check_finite(data: Any, name: str) -> None:
    """Raise if an array contains NaN or infinity.

    Raises:
        NonFiniteError: The data have NaN or infinity; the message names the first place.
    """
    raise_nonfinite(find_nonfinite({name: data}))


def find_nonfinite(data: Mapping[str, Any], shard: RowShard | None = None) -> list[NonFinite]:
    """Return what NaN and infinity arrays contain; empty if they have none.

    Args:
        data: Arrays, which may be nested, by their name in messages.
        shard: Which rows to search. Default: all.
    """
    named = (pair for name, part in data.items() for pair in leaves(part, name))
    floats = {name: leaf for name, leaf in named if leaf.is_floating_point()}
    part = range if shard is None else shard.part
    found = (_search(leaf, name, part(len(leaf))) for name, leaf in floats.items())
    return [one for one in found if one.number]


def raise_nonfinite(found: Iterable[NonFinite]) -> None:
    """Raise an error about the first array with NaN or infinity, if there is one.

    Args:
        found: What was found in arrays; in consecutive parts of their rows, if there are several of a name.

    Raises:
        NonFiniteError: There is one.
    """
    found = list(found)
    same = [one for one in found if one.name == found[0].name]
    if same:
        kind = "NaN" if any(one.has_nan for one in same) else "infinite"
        count = sum(one.number for one in same)
        raise NonFiniteError(f"{same[0].name} has {count} {kind} values", same[0].row, same[0].column)


def _search(array: Tensor | LazyArray, name: str, rows: range) -> NonFinite:
    """Search rows of a floating-point array piece by piece, so that no second array is needed."""
    count, has_nan, row, column = 0, False, 0, None
    for start, piece in pieces(array, READ_BYTES, rows):
        # A finite sum proves that all values are finite. Since finite values may overflow, an infinite sum is followed
        # by a check of each value.
        if bool(torch.isfinite(piece.sum())) or bool(torch.isfinite(piece).all()):
            continue
        wrong = ~torch.isfinite(piece)
        if not count:
            first = wrong.nonzero()[0].tolist()
            row, column = start + first[0], first[1] if piece.ndim == 2 else None
        count += int(wrong.sum())
        has_nan = has_nan or bool(piece.isnan().any())
    return NonFinite(name, count, has_nan, row, column)
