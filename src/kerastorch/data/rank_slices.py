"""Batches that each rank reads whole: in training it computes its rows of each, in evaluation every n-th batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kerastorch.core import collectives
from kerastorch.core.nested import batch_rows
from kerastorch.data.array_digest import describe_arrays
from kerastorch.data.batches import Batch, Batches, Resumable
from kerastorch.data.loaders import copy_tensors
from kerastorch.data.rank_shard import RankBatch, RowShard, Share


class RankSlices:
    """Batches of training data that each rank reads whole, and of which it computes its rows.

    Args:
        batches: The whole batches, which must be the same on all ranks.
        shard: What this rank gets.

    Attributes:
        whole: The whole batches.
    """

    def __init__(self, batches: Resumable, shard: RowShard) -> None:
        self.whole, self._shard = batches, shard
        self.samples, self.batch_size = batches.samples, batches.batch_size
        self.transient, self.has_position = batches.transient, batches.has_position

    @property
    def targets(self) -> Any:
        return self.whole.targets

    @property
    def exact(self) -> bool:
        return self.whole.exact

    @property
    def can_repeat(self) -> bool:
        return self.whole.can_repeat

    def steps(self) -> int | None:
        return self.whole.steps()

    def fingerprint(self) -> dict[str, Any]:
        return self.whole.fingerprint()

    def state_dict(self) -> dict[str, Any]:
        return self.whole.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.whole.load_state_dict(state)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        for batch in self.whole.epoch(number, start):
            yield self._shard.cut(check_same_batch(batch))
        _check_same([])  # no rank has a batch left

    def again(self, number: int) -> Iterator[Batch]:
        return map(self._shard.cut, self.whole.again(number))


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
        while True:
            turn = list(itertools.islice(batches, self._shard.world))
            _check_same([describe_arrays(tuple(batch)) for batch in turn])
            if not turn:
                return
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
                    f"the processes have drawn different batches: rank 0 has {one}, and rank {number} has {two}. "
                    "Data that shuffle must do so in the same order in all processes: let them draw from a generator "
                    "with the same seed. If each process has data of its own, write compile(distribution="
                    "kerastorch.distribution.DataParallel(shard_data=False))."
                )
