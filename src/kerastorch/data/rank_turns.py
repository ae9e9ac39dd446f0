"""Telling how the batches of an evaluation are divided between ranks."""

from __future__ import annotations

from kerastorch.data.batches import Batches
from kerastorch.data.rank_loaders import RankLoaderTurns
from kerastorch.data.rank_slices import RankTurns


def are_by_turns(batches: Batches) -> bool:
    """Return whether batch `i` is that of rank `i % world`; else each rank has consecutive batches."""
    return isinstance(batches, (RankLoaderTurns, RankTurns))
