"""Small messages between the ranks of the process group: numbers, flags and objects. Every rank must call them.

They travel on the CPU, so that no rank waits for its accelerator.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, distributed

from kerastorch.core.rank_failures import wait


def sum_numbers(numbers: Sequence[float]) -> list[float]:
    """Return the sums of numbers over all ranks, in float64."""
    total = torch.tensor(numbers, dtype=torch.float64)
    _wait(distributed.all_reduce(total, group=_cpu_group(), async_op=True))
    return [float(one) for one in total]


def largest(numbers: Sequence[int]) -> list[int]:
    """Return the largest of each of several integers over all ranks."""
    found = torch.tensor(numbers, dtype=torch.int64)
    _wait(distributed.all_reduce(found, distributed.ReduceOp.MAX, group=_cpu_group(), async_op=True))
    return [int(one) for one in found]


def any_rank(flag: bool) -> bool:
    """Return whether a flag is true on any rank."""
    return bool(largest([int(flag)])[0])


def gather(value: Any, remind: Callable[[float], None] | None = None) -> list[Any]:
    """Return the objects of all ranks, by rank; objects are pickled between these processes.

    Args:
        value: The object of this rank.
        remind: Called once a second while this rank waits for others, with the seconds since the beginning.
    """
    group, world = _cpu_group(), distributed.get_world_size()
    own = _pickled(value)
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(world)]
    _wait(distributed.all_gather(sizes, torch.tensor([len(own)]), group=group, async_op=True), remind)
    longest = max(int(size) for size in sizes)
    padded = torch.cat([own, own.new_zeros(longest - len(own))])
    found = [torch.empty(longest, dtype=torch.uint8) for _ in range(world)]
    _wait(distributed.all_gather(found, padded, group=group, async_op=True))
    return [_unpickled(one[: int(size)]) for one, size in zip(found, sizes, strict=True)]


def from_first(value: Any) -> Any:
    """Return the object of rank 0 on all ranks."""
    group, is_first = _cpu_group(), distributed.get_rank() == 0
    own = _pickled(value) if is_first else None
    size = torch.tensor([0 if own is None else len(own)])
    _wait(distributed.broadcast(size, src=0, group=group, async_op=True))
    told = torch.empty(int(size), dtype=torch.uint8) if own is None else own
    _wait(distributed.broadcast(told, src=0, group=group, async_op=True))
    return value if is_first else _unpickled(told)


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with the values that they have on rank 0."""
    with torch.no_grad():
        for tensor in tensors:
            dense = tensor.detach().contiguous()
            wait(distributed.broadcast(dense, src=0, async_op=True), is_on_cpu=dense.device.type == "cpu")
            if dense.data_ptr() != tensor.data_ptr():
                tensor.copy_(dense)


def _wait(work: Any, remind: Callable[[float], None] | None = None) -> None:
    wait(work, is_on_cpu=True, remind=remind)


def _pickled(value: Any) -> Tensor:
    return torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)


def _unpickled(data: Tensor) -> Any:
    return pickle.loads(data.numpy().tobytes())  # from a process of this group


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
