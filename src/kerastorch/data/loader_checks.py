"""Refusing loaders that would change the rows of a result: they shuffle, or leave out rows."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, RandomSampler, SubsetRandomSampler, WeightedRandomSampler
from torch.utils.data.distributed import DistributedSampler


def check_keeps_order(x: Any, verb: str = "predict") -> None:
    """Raise if a loader does not yield all rows in the order of the data.

    Args:
        x: The data.
        verb: Name of the method, for the message.

    Raises:
        ValueError: The loader shuffles, or leaves out the rows of other processes.
    """
    if not isinstance(x, DataLoader):
        return
    for one in (x.sampler, x.batch_sampler, getattr(x.batch_sampler, "sampler", None)):
        if max(getattr(one, "num_replicas", 1), getattr(one, "num_processes", 1)) > 1:
            raise ValueError(
                f"{verb}(): the DataLoader's {type(one).__name__} leaves out the rows of other processes, and the "
                "result would not match your data. Use a DataLoader without it."
            )
    sampler: Any = getattr(x.batch_sampler, "sampler", x.sampler)
    shuffles = isinstance(sampler, DistributedSampler) and sampler.shuffle
    if shuffles or isinstance(sampler, (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)):
        raise ValueError(f"{verb}(): the DataLoader shuffles, so rows would not match your data. Use shuffle=False.")


def check_keeps_all_rows(x: Any, verb: str) -> None:
    """Raise if a loader drops the rows of an incomplete last batch.

    Args:
        x: The data.
        verb: Name of the method, for the message.

    Raises:
        ValueError: The loader drops rows.
    """
    if not isinstance(x, DataLoader):
        return
    sampler: Any = x.sampler
    if x.drop_last and hasattr(sampler, "__len__") and x.batch_size and len(sampler) % x.batch_size:
        raise ValueError(
            f"{verb}(): the DataLoader has drop_last=True and would drop {len(sampler) % x.batch_size} of "
            f"{len(sampler)} rows. Use drop_last=False."
        )
