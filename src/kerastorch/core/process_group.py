"""Training in several processes at once: which of them this is, and what only one of them does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import distributed, nn

from kerastorch.core.errors import warn


def rank() -> int:
    """The number of this process in torch's process group; 0 if there is no group."""
    return distributed.get_rank() if _in_a_group() else 0


def warn_if_no_process_group() -> None:
    """Warn if several processes were launched and do not know of each other.

    Warns:
        UserWarning: `WORLD_SIZE` is above 1, and there is no process group.
    """
    world = os.environ.get("WORLD_SIZE", "1")
    if world.isdecimal() and int(world) > 1 and not _in_a_group():
        warn(
            f"WORLD_SIZE is {world}, as torchrun sets it, but there is no process group: each of the {world} processes "
            "works alone, on all rows, and writes the same files. Call torch.distributed.init_process_group() first, "
            "wrap the network in DistributedDataParallel, and pass a DataLoader with a DistributedSampler."
        )


@contextmanager
def without_buffer_sync(parts: Iterable[nn.Module]) -> Iterator[None]:
    """For a pass without training: `DistributedDataParallel` modules do not wait for other processes to join in.

    Args:
        parts: the modules of a model. Each process uses its own buffers meanwhile.
    """
    wrappers = [one for one in parts if isinstance(one, nn.parallel.DistributedDataParallel)] if _in_a_group() else []
    before = [one.require_forward_param_sync for one in wrappers]
    try:
        for one in wrappers:
            one.require_forward_param_sync = False
        yield
    finally:
        for one, value in zip(wrappers, before, strict=True):
            one.require_forward_param_sync = value


def _in_a_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()
