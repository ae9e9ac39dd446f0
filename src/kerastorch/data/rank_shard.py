"""Cutting data between the ranks of a process group.

In training, each batch is cut by rows: together the ranks compute the batch that one process would. In evaluation and
prediction, each rank gets whole batches, so that each batch is computed as one process would compute it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kerastorch.core import collectives
from kerastorch.core.nested import batch_rows, map_structure
from kerastorch.data.array_digest import describe_arrays
from kerastorch.data.batches import ArrayBatches, Batch, Batches, Resumable
from kerastorch.data.loaders import copy_tensors
from kerastorch.data.prefetch import Prefetcher


class Share(NamedTuple):
    """Rows of a batch that a rank computes, and rows of the whole batch.

    A rank with 0 rows is idle: it computes rows of another rank, which count nowhere, because in some models all ranks
    must take part in each step.
    """

    rows: int
    total: int

    @property
    def is_idle(self) -> bool:
        """Return whether the rows that come with this share count nowhere."""
        return self.rows == 0


class RankBatch(Batch):
    """The part of a batch that a rank computes, with its share."""

    share: Share

    @classmethod
    def of(cls, batch: Batch, share: Share) -> RankBatch:
        """Return the part `batch` with its share of the whole batch."""
        part = cls(*batch)
        part.share = share
        return part

    def with_parts(self, x: Any, y: Any, sample_weight: Any) -> RankBatch:
        return RankBatch.of(Batch(x, y, sample_weight), self.share)


@dataclass(frozen=True)
class RowShard:
    """What one rank of several gets.

    Args:
        rank: Number of the rank, from 0.
        world: Number of ranks.
        in_step: Whether all ranks must evaluate the same number of batches of a stream, at the same time.
    """

    rank: int
    world: int
    in_step: bool = False

    def part(self, count: int) -> range:
        """Return the numbers of the items, of `count`, that this rank gets: contiguous, and at most one more or less.

        >>> [list(RowShard(rank, 3).part(7)) for rank in range(3)]
        [[0, 1, 2], [3, 4], [5, 6]]
        """
        size, longer = divmod(count, self.world)
        start = self.rank * size + min(self.rank, longer)
        return range(start, start + size + (self.rank < longer))

    def rows(self, total: int) -> range:
        """Return the rows that this rank computes of a batch of `total` rows; if it has none, those of rank 0."""
        return self.part(total) or RowShard(0, self.world).part(total)

    def share(self, total: int) -> Share:
        """Return the share of this rank in a batch of `total` rows."""
        return Share(len(self.part(total)), total)

    def cut(self, batch: Batch) -> RankBatch:
        """Return the part of a batch that this rank computes.

        Raises:
            ValueError: The batch holds something without rows.
        """
        total = batch_rows(batch.x)
        rows = self.rows(total)

        def select(value: Any) -> Any:
            if value is None:
                return None
            if not isinstance(value, (Tensor, np.ndarray)) or not value.ndim or value.shape[0] != total:
                raise ValueError(
                    f"batches are cut by rows between {self.world} processes, and a batch of {total} rows holds "
                    f"{_describe(value)}. Let the data give each process its own batches, and write "
                    "compile(distribution=kerastorch.distribution.DataParallel(shard_data=False))."
                )
            return value[rows.start : rows.stop]

        return RankBatch.of(Batch(*(map_structure(select, part) for part in batch)), self.share(total))

    def positions(self, samples: int, batch_size: int) -> Tensor:
        """Return the positions in the order of a pass that this rank computes, int64.

        Args:
            samples: Number of rows of the pass.
            batch_size: Rows of a whole batch.
        """
        whole, rest = divmod(samples, batch_size)
        rows = self.rows(batch_size)
        within = torch.arange(rows.start, rows.stop)
        found = (torch.arange(whole)[:, None] * batch_size + within).flatten()
        last = self.rows(rest)
        return torch.cat([found, torch.arange(last.start, last.stop) + whole * batch_size]) if rest else found

    def shares(self, samples: int, batch_size: int, start: int = 0) -> Iterator[Share]:
        """Yield the share of this rank in each batch of a pass, from batch `start` on."""
        for first in range(start * batch_size, samples, batch_size):
            yield self.share(min(batch_size, samples - first))

    def batch_rows(self, samples: int, batch_size: int) -> range:
        """Return the rows of the whole batches that this rank evaluates; none if there are fewer batches than ranks."""
        batches = self.part(-(-samples // batch_size))
        return range(batches.start * batch_size, min(batches.stop * batch_size, samples))


def check_same_batch(batch: Batch) -> Batch:
    """Return a batch that all ranks have drawn, each from its own copy of the data.

    Raises:
        ValueError: The ranks have drawn different batches, on all ranks.
    """
    _check_same([describe_arrays(tuple(batch))])
    return batch


def _check_same(drawn: Sequence[str]) -> None:
    """Compare the batches that the ranks have drawn, by their descriptions."""
    first, *others = collectives.gather(drawn)
    for number, other in enumerate(others, 1):
        for one, two in itertools.zip_longest(first, other, fillvalue="no batch"):
            if one != two:
                raise ValueError(
                    f"the processes have drawn different batches: rank 0 has {one}, and rank {number} has {two}. A "
                    "DataLoader that shuffles must do so in the same order in all processes: write DataLoader(..., "
                    "generator=torch.Generator().manual_seed(0)). If each process has data of its own, write compile("
                    "distribution=kerastorch.distribution.DataParallel(shard_data=False))."
                )


def _describe(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


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


class RankSlices:
    """Batches of training data that each rank reads whole, and of which it computes its rows.

    Args:
        batches: The whole batches, which must be the same on all ranks.
        shard: What this rank gets.
    """

    def __init__(self, batches: Resumable, shard: RowShard) -> None:
        self._batches, self._shard = batches, shard
        self.samples, self.batch_size = batches.samples, batches.batch_size
        self.transient, self.has_position = batches.transient, batches.has_position

    @property
    def targets(self) -> Any:
        return self._batches.targets

    @property
    def exact(self) -> bool:
        return self._batches.exact

    @property
    def can_repeat(self) -> bool:
        return self._batches.can_repeat

    def steps(self) -> int | None:
        return self._batches.steps()

    def fingerprint(self) -> dict[str, Any]:
        return self._batches.fingerprint()

    def state_dict(self) -> dict[str, Any]:
        return self._batches.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batches.load_state_dict(state)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        return map(self._shard.cut, map(check_same_batch, self._batches.epoch(number, start)))

    def again(self, number: int) -> Iterator[Batch]:
        return map(self._shard.cut, self._batches.again(number))


class RankTurns:
    """Batches that are evaluated by turns: batch `i` by rank `i % world`.

    Each rank reads all batches, since nothing tells how many there are. A rank that gets none is idle once, or in each
    turn if all ranks must be in step.

    Args:
        batches: The whole batches, which must be the same on all ranks.
        shard: What this rank gets.
    """

    by_turns = True

    def __init__(self, batches: Batches, shard: RowShard) -> None:
        self._batches, self._shard = batches, shard
        self.samples: int | None = None
        self.batch_size, self.transient = batches.batch_size, batches.transient

    @property
    def targets(self) -> Any:
        return self._batches.targets

    exact = False

    def steps(self) -> int | None:
        known = self._batches.steps()
        return None if known is None else max(1, len(range(self._shard.rank, known, self._shard.world)))

    def epoch(self, number: int) -> Iterator[Batch]:
        return self._in_step(number) if self._shard.in_step else self._at_own_pace(number)

    def _in_step(self, number: int) -> Iterator[Batch]:
        batches = self._batches.epoch(number)
        if self.transient:
            batches = map(copy_tensors, batches)
        while turn := list(itertools.islice(batches, self._shard.world)):
            _check_same([describe_arrays(tuple(batch)) for batch in turn])
            has_own = self._shard.rank < len(turn)
            yield turn[self._shard.rank] if has_own else RankBatch.of(turn[0], Share(0, batch_rows(turn[0].x)))

    def _at_own_pace(self, number: int) -> Iterator[Batch]:
        batch, has_any = None, False
        drawn: list[str] = []
        for index, batch in enumerate(self._batches.epoch(number)):
            drawn.append(describe_arrays(tuple(batch)))
            if index % self._shard.world == self._shard.rank:
                has_any = True
                yield batch
        _check_same(drawn)  # at the end, so that no rank waits for another one that computes
        if batch is not None and not has_any:
            yield RankBatch.of(batch, Share(0, batch_rows(batch.x)))


class IdleBatch:
    """The first batch of other batches, for a rank that has no rows to evaluate; it counts nowhere.

    Args:
        batches: Batches of all rows.
    """

    samples: int | None = None
    exact = False

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.batch_size, self.transient = batches.batch_size, batches.transient

    @property
    def targets(self) -> Any:
        return self._batches.targets

    def steps(self) -> int:
        return 1

    def epoch(self, number: int) -> Iterator[Batch]:
        for batch in self._batches.epoch(number):
            yield RankBatch.of(batch, Share(0, batch_rows(batch.x)))
            return
