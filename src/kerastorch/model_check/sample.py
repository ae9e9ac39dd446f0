"""Rows of the data of a check: the batch to try, and more rows for statistics."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.nested import batch_rows, leaves
from kerastorch.data.batches import Batch, Batches
from kerastorch.data.loaders import copy_tensors

ROWS_IN_MEMORY = 4096  # rows of arrays for statistics
ROWS_OF_LOADER = 256  # rows of other data, whose samples may be slow to make


@dataclass(frozen=True)
class Sample:
    """Some rows of the training data.

    Attributes:
        batch: The first batch of the first epoch.
        x: Rows of each input by its name, on the CPU.
        y: Rows of each target by its name, on the CPU.
        seconds_per_batch: Time that the data took for a batch; `None` if it is unknown or the data are in memory.
        is_repeated: Whether the second batch has the inputs of the first one.
    """

    batch: Batch
    x: dict[str, Tensor]
    y: dict[str, Tensor]
    seconds_per_batch: float | None
    is_repeated: bool


def draw_sample(batches: Batches, *, is_in_memory: bool) -> Sample:
    """Draw the first batches of an epoch.

    Args:
        batches: Training data.
        is_in_memory: Whether the data are arrays.

    Raises:
        ValueError: There is no batch.
    """
    wanted = ROWS_IN_MEMORY if is_in_memory else ROWS_OF_LOADER
    drawn: list[Batch] = []
    times = [time.perf_counter()]
    rows = 0
    stream = batches.epoch(0)
    for batch in stream:
        drawn.append(copy_tensors(batch) if batches.transient else batch)
        times.append(time.perf_counter())
        rows += batch_rows(batch.x)
        if rows >= wanted:
            break
    close = getattr(stream, "close", None)
    if close is not None:
        close()  # ends the workers of a loader
    if not drawn:
        raise ValueError("the data gave no batch.")
    pace = (times[-1] - times[1]) / (len(drawn) - 1) if len(drawn) > 1 and not is_in_memory else None
    x, y = _joined([one.x for one in drawn], "x"), _joined([one.y for one in drawn], "y")
    return Sample(drawn[0], x, y, pace, len(drawn) > 1 and _are_equal(drawn[0].x, drawn[1].x))


def _are_equal(one: Any, other: Any) -> bool:
    """Return whether the inputs of two batches are the same tensors."""
    pairs = list(zip(leaves(one), leaves(other), strict=False))
    is_tensor = bool(pairs) and all(
        isinstance(part, Tensor) for (_, first), (_, second) in pairs for part in (first, second)
    )
    return is_tensor and all(torch.equal(first, second) for (_, first), (_, second) in pairs)


def _joined(parts: list[Any], name: str) -> dict[str, Tensor]:
    """Return the tensors of several batches by name, joined; those of the first batch if they have other shapes."""
    found: dict[str, list[Tensor]] = {}
    for part in parts:
        for label, leaf in leaves(part, name):
            if isinstance(leaf, Tensor) and leaf.ndim:
                found.setdefault(label, []).append(leaf.detach().cpu())
    return {
        label: torch.cat(some) if len({(one.shape[1:], one.dtype) for one in some}) == 1 else some[0]
        for label, some in found.items()
    }
