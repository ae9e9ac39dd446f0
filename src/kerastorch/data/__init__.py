"""Turning users' data into batches `(x, y, sample_weight)`; validation splits; the order of an epoch."""

from kerastorch.data.batched_dataset import BatchedDataset
from kerastorch.data.shuffle import permutation

__all__ = ["BatchedDataset", "permutation"]


def __dir__() -> list[str]:
    return __all__
