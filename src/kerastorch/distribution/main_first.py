"""main_first: a block that rank 0 runs before the other ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kerastorch.core.collectives import any_rank
from kerastorch.core.process_group import initialize, is_distributed, rank


@contextmanager
def main_first() -> Iterator[None]:
    """Let rank 0 run the block before the other ranks: it downloads or prepares a file, and they find it.

    All ranks must come to the block. Without several processes the block just runs.

    Raises:
        RuntimeError: On the other ranks, if the block failed on rank 0.

    >>> import kerastorch as kt
    >>> with kt.distribution.main_first():
    ...     path = "prepared"  # prepare what does not exist yet
    """
    initialize()
    if not is_distributed():
        yield
        return
    if rank() != 0 and any_rank(False):
        raise RuntimeError("the block of main_first() failed on rank 0; its message is in the output of that process.")
    failed = True
    try:
        yield
        failed = False
    finally:
        if rank() == 0:
            any_rank(failed)
