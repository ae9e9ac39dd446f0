"""RowShard: which rows and batches of data a rank of a process group gets.

In training, each batch is cut by rows: together the ranks compute the batch that one process would. In evaluation and
prediction, each rank gets whole batches, so that each batch is computed as one process would compute it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kerastorch.data.batch_cut import NoRowsError, cut_batch, number_of_rows
from kerastorch.data.batches import Batch


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
        total = number_of_rows(batch)
        try:
            part = cut_batch(batch, self.rows(total))
        except NoRowsError as error:
            raise ValueError(
                f"batches are cut by rows between {self.world} processes, and {error}. Let the data give each process "
                "its own batches, and write "
                "compile(distribution=kerastorch.distribution.DataParallel(shard_data=False))."
            ) from None
        return RankBatch.of(part, self.share(total))

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
