"""Distributed training: the rank of this process, and what must not be synchronised in evaluation.

All logs of a process are of its own rows. Therefore metrics are not synchronised, and in evaluation no buffers either:
an `evaluate` that runs in a single process would wait for the others without end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import distributed, nn

from kerastorch.core.errors import warn


def rank() -> int:
    """Return the rank of this process in torch's default process group, or 0 if there is no group."""
    return distributed.get_rank() if _has_process_group() else 0


def is_distributed() -> bool:
    """Return whether this process is one of several in torch's default process group."""
    return _has_process_group() and distributed.get_world_size() > 1


def warn_if_no_process_group() -> None:
    """Warn if several processes were launched but no process group was initialised.

    Warns:
        UserWarning: The environment variable `WORLD_SIZE` is above 1, and there is no process group.
    """
    world = os.environ.get("WORLD_SIZE", "1")
    if world.isdecimal() and int(world) > 1 and not _has_process_group():
        warn(
            f"WORLD_SIZE is {world}, as torchrun sets it, but there is no process group: each of the {world} processes "
            "works alone, on all rows, and writes the same files. Call torch.distributed.init_process_group() first, "
            "wrap the network in DistributedDataParallel, and pass a DataLoader with a DistributedSampler."
        )


@contextmanager
def without_buffer_sync(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Disable the synchronisation of buffers, so that one process can evaluate alone.

    Args:
        parts: The modules of a model; those of type `DistributedDataParallel` are changed within the block.
    """
    wrappers = (
        [wrapper for wrapper in parts if isinstance(wrapper, nn.parallel.DistributedDataParallel)]
        if _has_process_group()
        else []
    )
    before = [wrapper.require_forward_param_sync for wrapper in wrappers]
    try:
        for wrapper in wrappers:
            wrapper.require_forward_param_sync = False
        yield
    finally:
        for wrapper, value in zip(wrappers, before, strict=True):
            wrapper.require_forward_param_sync = value


def _has_process_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()
