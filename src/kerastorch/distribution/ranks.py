"""The number of this process, and how many there are, as a script asks for them."""

from __future__ import annotations

import os

from kerastorch.core import process_group


def rank() -> int:
    """Return the number of this process among those that train together, from 0; 0 for one process alone.

    It is the rank in torch's default process group or, before there is one, the rank that torchrun has given it.

    >>> import kerastorch as kt
    >>> kt.distribution.rank()
    0
    """
    return process_group.rank() if _is_decided() else int(os.environ["RANK"])


def world_size() -> int:
    """Return the number of processes that train together; 1 for one process alone.

    It is the size of torch's default process group or, before there is one, the number that torchrun has started.

    >>> import kerastorch as kt
    >>> kt.distribution.world_size()
    1
    """
    return process_group.world_size() if _is_decided() else process_group.launched_processes()


def _is_decided() -> bool:
    """Return whether there is a process group, or will be none."""
    return process_group.has_process_group() or not process_group.is_launched()
