"""The order of samples in an epoch: a pure function of the seed and the epoch's number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler


def permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The rows `0..n - 1` in the order of this epoch, int64; torch's random state is neither read nor moved.

    >>> torch.equal(permutation(9, seed=1, epoch=2), permutation(9, seed=1, epoch=2))
    True
    """
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])
    return torch.randperm(n, generator=torch.Generator().manual_seed(mixed % 2**63))


class EpochSampler(Sampler[int]):
    """The same order for a `DataLoader`; `epoch` is set before each pass, and `start`, the first row of it."""

    def __init__(self, n: int, seed: int, shuffle: bool) -> None:
        self.n, self.seed, self.shuffle, self.epoch, self.start = n, seed, shuffle, 0, 0

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        order = permutation(self.n, self.seed, self.epoch) if self.shuffle else torch.arange(self.n)
        return iter(order[self.start :].tolist())
