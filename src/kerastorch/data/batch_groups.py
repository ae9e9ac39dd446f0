"""Grouping consecutive batches of equal shapes, whose steps run in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kerastorch.data.batches import Batch, BatchGroup, shape_of


def group_batches(stream: Iterable[Batch], size: int) -> Iterator[Batch | BatchGroup]:
    """Yield groups of `size` consecutive batches of equal shapes, and all other batches one by one."""
    waiting: list[Batch] = []
    shape = None
    for batch in stream:
        if waiting and shape_of(batch) != shape:
            yield from waiting
            waiting = []
        if not waiting:
            shape = shape_of(batch)
        waiting.append(batch)
        if len(waiting) == size:
            yield BatchGroup(waiting)
            waiting = []
    yield from waiting
