"""Batches of arrays, of which each rank gathers its rows alone."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from kerastorch.data.batches import ArrayBatches, Batch
from kerastorch.data.prefetch import Prefetcher
from kerastorch.data.rank_shard import RankBatch, RowShard


class RankArrayBatches(ArrayBatches):
    """Batches of arrays for training, of which a rank gathers its rows alone.

    Args:
        data: Tensors and lazy arrays with the same number of rows, the same on all ranks.
        batch_size: Rows of a whole batch.
        shuffle: As for `ArrayBatches`.
        seed: Seed of the order, which must be the same on all ranks.
        rows: Indices of the rows to use, int64 `(n,)`; `None` for all.
        prefetcher: As for `ArrayBatches`.
        shard: What this rank gets.
    """

    def __init__(
        self,
        data: Batch,
        batch_size: int,
        shuffle: bool | str,
        seed: int,
        rows: Tensor | None = None,
        prefetcher: Prefetcher | None = None,
        *,
        shard: RowShard,
    ) -> None:
        super().__init__(data, batch_size, shuffle, seed, rows, prefetcher)
        assert self.samples is not None
        self._shard, self._samples = shard, self.samples
        self._part = len(shard.rows(self._size))  # rows of each whole batch that are gathered here
        self._piece = self._part * (self._piece // self._size)
        self._positions = shard.positions(self._samples, self._size)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        parts = self._batches_from(number, start, self._part)
        return map(RankBatch.of, parts, self._shard.shares(self._samples, self._size, start))

    def _order(self, number: int) -> Tensor | None:
        order = super()._order(number)
        return self._positions if order is None else order[self._positions]
