"""Batches of a `DataLoader` over a map-style dataset, of which each rank reads its part alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, default_collate

from kerastorch.core import collectives
from kerastorch.core.errors import warn
from kerastorch.core.torch_private import has_persistent_iterator
from kerastorch.data.batch_reader import BatchReader
from kerastorch.data.batches import Batch
from kerastorch.data.loaders import LoaderBatches
from kerastorch.data.rank_indices import RankIndices
from kerastorch.data.rank_shard import RankBatch, RowShard, Share
from kerastorch.data.samples import collate_samples
from kerastorch.data.shuffle import EpochSampler


def can_be_divided(loader: DataLoader[Any]) -> bool:
    """Return whether ranks can read parts of a loader: it asks a dataset for the indices of each batch."""
    is_plain = all(getattr(type(loader), name) is getattr(DataLoader, name) for name in ("__iter__", "_get_iterator"))
    return is_plain and loader.batch_sampler is not None and not isinstance(loader.dataset, IterableDataset)


def warn_of_whole_reads(loader: DataLoader[Any], shard: RowShard) -> None:
    """Warn that each of several ranks reads all of a loader that cannot be divided.

    Warns:
        UserWarning: There are several ranks that divide batches.
    """
    if shard.world == 1:
        return
    is_stream = isinstance(loader.dataset, IterableDataset)
    why = "its dataset is an IterableDataset" if is_stream else "it has no index lists of batches to divide"
    warn(
        f"each of the {shard.world} processes reads all batches of the DataLoader, and computes its rows of them: "
        f"{why}. If reading is slow, let the dataset give each process its own samples, and write compile(distribution="
        "kerastorch.distribution.DataParallel(shard_data=False))."
    )


class RankLoaderBatches(LoaderBatches):
    """Batches of a loader for training, of which a rank reads its rows alone.

    Args:
        loader: The user's loader, or one that kerastorch created over a `Dataset`; the same on all ranks.
        sampler: As for `LoaderBatches`.
        reader: As for `LoaderBatches`.
        trains: As for `LoaderBatches`.
        shard: What this rank gets.
        indices: What it reads. Default: its part of each batch.
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        sampler: EpochSampler | None = None,
        *,
        reader: BatchReader | None = None,
        trains: bool = False,
        shard: RowShard,
        indices: RankIndices | None = None,
    ) -> None:
        super().__init__(loader, sampler, reader=reader, trains=trains)
        self._indices = RankIndices(loader.batch_sampler, shard) if indices is None else indices
        self._rank = shard.rank
        # a function of the user's may leave out samples, such as those that cannot be read
        has_own = loader.collate_fn not in (default_collate, collate_samples) or self._reader.prepare is not None
        self._counts_rows = trains and has_own
        self.loader = _reading(loader, self._indices)

    def _batches(self) -> Iterator[Batch]:
        self._seed_workers()
        batches = super()._batches()
        shares = self._indices.shares  # of this pass; another one may begin before it ends
        parts: Iterator[RankBatch] = (RankBatch.of(batch, shares.popleft()) for batch in batches)
        return map(_with_counted_rows, parts) if self._counts_rows else parts

    def _seed_workers(self) -> None:
        """Give the workers of each rank other random numbers; the user's generator goes on as in one process."""
        if not has_persistent_iterator(self.loader):
            drawn = torch.empty((), dtype=torch.int64).random_(generator=self._given.generator)
            own: Any = self.loader.generator
            own.manual_seed((int(drawn) + self._rank) % 2**63)


class RankLoaderTurns(RankLoaderBatches):
    """Batches of a loader that are evaluated by turns: batch `i` is read by rank `i % world` alone.

    Args:
        loader: The user's loader, the same on all ranks.
        reader: As for `LoaderBatches`.
        shard: What this rank gets.
        limit: The largest number of batches of a pass, of all ranks; `None` for all.
    """

    def __init__(
        self, loader: DataLoader[Any], *, reader: BatchReader | None, shard: RowShard, limit: int | None = None
    ) -> None:
        indices = RankIndices(loader.batch_sampler, shard, by_turns=True, limit=limit)
        super().__init__(loader, reader=reader, shard=shard, indices=indices)
        self.samples = None


def _with_counted_rows(part: RankBatch) -> RankBatch:
    """Return a part of a batch with the numbers of rows that are in it, and in those of all ranks."""
    rows = _rows_in(part)
    total = int(collectives.sum_numbers([rows])[0])
    return RankBatch.of(part, Share(rows, total)) if total else part


def _rows_in(part: RankBatch) -> int:
    """Return the rows of a part of a batch: the samples that were asked for, or fewer if arrays show that."""
    asked = part.share.rows
    counts = {one.shape[0] for one in (part.x, part.y) if isinstance(one, Tensor) and one.ndim}
    return min(asked, counts.pop()) if len(counts) == 1 else asked


def _reading(loader: DataLoader[Any], indices: RankIndices) -> DataLoader[Any]:
    """Return a loader like another one that reads other indices.

    It has a generator of its own for the seeds of its workers.
    """
    of_workers: dict[str, Any] = {}
    if loader.num_workers:
        of_workers = {
            "prefetch_factor": loader.prefetch_factor,
            "persistent_workers": loader.persistent_workers,
            "multiprocessing_context": loader.multiprocessing_context,
        }
    return DataLoader(
        loader.dataset,
        batch_sampler=indices,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        pin_memory_device=loader.pin_memory_device,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        generator=torch.Generator(),
        **of_workers,
    )
