"""Batches that begin small and grow while what is made of them is small: where nobody said how many rows to take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from kerastorch.data.batches import Batch, Batches

FIRST, MOST = 32, 4096  # rows of the first batch, and of the largest
FASTER = 8  # how many times as large as the last one a batch may be
BUDGET = 2**21  # bytes of the largest tensor a batch may make: more costs in caches what it saves in calls


class GrowingBatches:
    """Rows in the data's order; how many a batch takes is settled by what the batches before it made.

    The sizes follow from the shapes of tensors, never from the clock: every pass takes the same batches.

    Args:
        make: `(batch_size, rows) -> Batches` of these rows.
        samples: how many rows there are.
        rows: which they are, `None` for all.
    """

    batch_size: int | None = None

    def __init__(self, make: Callable[[int, Tensor | None], Batches], samples: int, rows: Tensor | None) -> None:
        self._make = make
        self._rows = torch.arange(samples) if rows is None else rows
        self.samples: int | None = len(self._rows)
        first = make(FIRST, rows)
        self.targets: Any = first.targets
        self.transient = first.transient
        self.exact = True
        self._size, self.settled = FIRST, False

    def steps(self) -> None:
        return None

    def epoch(self, number: int) -> Iterator[Batch]:
        self._size, self.settled = FIRST, False
        at = 0
        while at < len(self._rows):
            size = self._size
            end = len(self._rows) if self.settled else at + size
            yield from self._make(size, self._rows[at:end]).epoch(number)
            at = end

    def grow(self, rows: int, largest: int) -> None:
        """Settle what the next batch takes.

        Args:
            rows: how many the last one had.
            largest: bytes of the largest tensor it made; 0 where that could not be seen.
        """
        fit = BUDGET * rows // largest if largest else FIRST
        wanted = max(FIRST, min(MOST, fit))
        self.settled = wanted <= self._size * FASTER
        self._size = min(wanted, self._size * FASTER)

    def stay(self) -> None:
        """Take no more rows than now."""
        self.settled = True
