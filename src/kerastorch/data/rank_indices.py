"""The index lists of a `DataLoader`, which all ranks agree on, and the part of them that a rank reads."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from kerastorch.core import collectives
from kerastorch.data.rank_shard import RowShard, Share
from kerastorch.data.shuffle import EpochSampler
from kerastorch.data.worker_reads import RequestSampler

LISTS_AT_ONCE = 512  # how many index lists the ranks agree on with one message
_KNOWN = (SequentialSampler, EpochSampler, RequestSampler)  # the same on all ranks, for a seed that is
_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)  # draw from a generator alone


class RankIndices(Sampler[Any]):
    """The index lists that a rank reads, of those of a batch sampler; itself the batch sampler of a `DataLoader`.

    In training, a rank reads its part of each list. In evaluation it reads whole lists by turns; a rank that gets none
    reads one that counts nowhere, once or, if all ranks must be in step, in each turn.

    Args:
        lists: Yields the index list of each batch.
        shard: What this rank gets.
        by_turns: Whether the rank reads list `i` if `i % world` is its number, in place of a part of each.
        limit: The largest number of lists of a pass; `None` for all.

    Attributes:
        shares: The shares of the lists that were read and whose batches were not taken yet, of the latest pass.
    """

    def __init__(self, lists: Any, shard: RowShard, *, by_turns: bool = False, limit: int | None = None) -> None:
        self._lists, self._shard, self._by_turns, self._limit = lists, shard, by_turns, limit
        self.shares: deque[Share] = deque()

    def __len__(self) -> int:
        count = len(self._lists) if self._limit is None else min(self._limit, len(self._lists))
        return max(1, len(range(self._shard.rank, count, self._shard.world))) if self._by_turns else count

    def __iter__(self) -> Iterator[Any]:
        self.shares = deque()  # a pass that was left keeps its own
        lists = agreed_lists(self._lists, self._limit, by_turns=self._by_turns)
        return (self._turns if self._by_turns else self._parts)(lists, self.shares)

    def _parts(self, lists: Iterator[Any], shares: deque[Share]) -> Iterator[Any]:
        for one in lists:
            rows = self._shard.rows(len(one))
            shares.append(self._shard.share(len(one)))
            yield one[rows.start : rows.stop]

    def _turns(self, lists: Iterator[Any], shares: deque[Share]) -> Iterator[Any]:
        first, is_idle = None, True
        while turn := list(itertools.islice(lists, self._shard.world)):
            first = turn[0] if first is None else first
            if len(turn) > self._shard.rank:
                own, is_idle = turn[self._shard.rank], False
                shares.append(Share(len(own), len(own)))
                yield own
            elif self._shard.in_step:
                is_idle = False
                shares.append(Share(0, len(turn[0])))
                yield turn[0]
        if first is not None and is_idle:
            shares.append(Share(0, len(first)))
            yield first


def agreed_lists(lists: Iterable[Any], limit: int | None = None, *, by_turns: bool = False) -> Iterator[Any]:
    """Yield the index lists of a batch sampler, the same ones on all ranks.

    Those of torch's random samplers are drawn by rank 0; the other ranks draw theirs, too, so that their generators
    go on alike. Those of samplers of the user's own are compared, because a sampler may choose by rank.

    Args:
        lists: Yields index lists.
        limit: The largest number of them.
        by_turns: Whether several may be drawn before the first is used, from a sampler of the user's own, too.

    Raises:
        TypeError: An item is no list.
        ValueError: The lists of two ranks differ, on all ranks.
    """
    rows = lists.sampler if type(lists) is BatchSampler else None
    drawn = map(_checked, itertools.islice(lists, limit))
    if type(rows) in _KNOWN:
        yield from drawn
        return
    is_random = type(rows) in _RANDOM
    at_once = LISTS_AT_ONCE if is_random or by_turns else 1  # a sampler may depend on the training so far
    while True:
        block = list(itertools.islice(drawn, at_once))
        if is_random:
            block = collectives.from_first(block)
        else:
            _check_same(block)
        yield from block
        if len(block) < at_once:
            return


def _checked(one: Any) -> Any:
    if not isinstance(one, (Sequence, Tensor, np.ndarray)) or isinstance(one, str):
        raise TypeError(
            f"the batch sampler of the DataLoader gave a {type(one).__name__}; several processes divide the list of "
            "indices of each batch. Yield lists."
        )
    return one


def _check_same(block: Sequence[Any]) -> None:
    """Compare index lists that each rank has drawn itself."""
    plain = [one.tolist() if isinstance(one, (Tensor, np.ndarray)) else list(one) for one in block]
    first, *others = collectives.gather(hashlib.sha256(repr(plain).encode()).hexdigest())
    if any(other != first for other in others):
        raise ValueError(
            "the sampler of the DataLoader gives other indices in each process. If it shuffles, let it draw from a "
            "generator with the same seed in all processes, such as torch.Generator().manual_seed(0). If it gives each "
            "process its own rows, write compile(distribution=kerastorch.distribution.DataParallel(shard_data=False))."
        )
