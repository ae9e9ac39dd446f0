"""Small messages between the ranks of the process group: numbers, flags and objects. Every rank must call them.

They travel on the CPU, so that no rank waits for its accelerator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, distributed


def sum_numbers(numbers: Sequence[float]) -> list[float]:
    """Return the sums of numbers over all ranks, in float64."""
    total = torch.tensor(numbers, dtype=torch.float64)
    distributed.all_reduce(total, group=_cpu_group())
    return [float(one) for one in total]


def largest(numbers: Sequence[int]) -> list[int]:
    """Return the largest of each of several integers over all ranks."""
    found = torch.tensor(numbers, dtype=torch.int64)
    distributed.all_reduce(found, distributed.ReduceOp.MAX, group=_cpu_group())
    return [int(one) for one in found]


def any_rank(flag: bool) -> bool:
    """Return whether a flag is true on any rank."""
    return bool(largest([int(flag)])[0])


def gather(value: Any) -> list[Any]:
    """Return the objects of all ranks, by rank; objects are pickled between these processes."""
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, value, group=_cpu_group())
    return found


def from_first(value: Any) -> Any:
    """Return the object of rank 0 on all ranks."""
    found = [value if distributed.get_rank() == 0 else None]
    distributed.broadcast_object_list(found, src=0, group=_cpu_group())
    return found[0]


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with the values that they have on rank 0."""
    with torch.no_grad():
        for tensor in tensors:
            dense = tensor.detach().contiguous()
            distributed.broadcast(dense, src=0)
            if dense.data_ptr() != tensor.data_ptr():
                tensor.copy_(dense)


def background_group() -> Any:
    """Return a group of all ranks for a thread that sends messages while training sends others.

    All ranks must call it; it is made by the first call.
    """
    return _background_group_of(distributed.group.WORLD)


@lru_cache(maxsize=1)
def _background_group_of(world: Any) -> Any:
    """Return a new group of the ranks of the group `world`, with the gloo backend."""
    return distributed.new_group(range(distributed.get_world_size(world)), backend="gloo")


def _cpu_group() -> Any:
    """Return a group that sends tensors on the CPU: the default one, if its backend does."""
    return _cpu_group_of(distributed.group.WORLD)


@lru_cache(maxsize=1)
def _cpu_group_of(world: Any) -> Any:
    """Return the default group, or a new one of all its ranks with the gloo backend.

    Args:
        world: The default group; another one may have replaced it since the last call.
    """
    sends_cpu_tensors = "cpu:gloo" in distributed.get_backend_config(world)
    return world if sends_cpu_tensors else distributed.new_group(backend="gloo")
