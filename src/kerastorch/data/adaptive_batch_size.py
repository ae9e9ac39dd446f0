"""The batch size of `evaluate` and `predict` if none was given: it grows while every tensor stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kerastorch.core.module_tree import is_compiled
from kerastorch.core.nested import batch_rows, leaves
from kerastorch.data.batches import Batch, Batches
from kerastorch.data.data_adapter import DataAdapter, limit_batches

FIRST, MOST = 32, 4096  # rows of the first batch, and of the largest
FASTER = 8  # how many times as large as the last one a batch may be
BUDGET = 2**21  # bytes of the largest tensor a batch may make: more costs in caches what it saves in calls


class AdaptiveBatches:
    """Rows in the data's order; how many a batch takes is settled by what the batches before it made.

    The sizes follow from the shapes of tensors, never from the clock: every pass takes the same batches.

    Args:
        make: `(batch_size, rows) -> Batches` of these rows.
        samples: how many rows there are.
        rows: which they are, `None` for all.
    """

    batch_size: int | None = None

    def __init__(self, make: Callable[[int, Tensor | None], Batches], samples: int, rows: Tensor | None) -> None:
        self._make = make
        self._rows = torch.arange(samples) if rows is None else rows
        self.samples: int | None = len(self._rows)
        first = make(FIRST, rows)
        self.targets: Any = first.targets
        self.transient = first.transient
        self.exact = True
        self._size, self.size_is_final = FIRST, False

    def steps(self) -> None:
        return None

    def epoch(self, number: int) -> Iterator[Batch]:
        self._size, self.size_is_final = FIRST, False
        at = 0
        while at < len(self._rows):
            size = self._size
            end = len(self._rows) if self.size_is_final else at + size
            yield from self._make(size, self._rows[at:end]).epoch(number)
            at = end

    def update_size(self, rows: int, largest: int) -> None:
        """Settle what the next batch takes.

        Args:
            rows: how many the last one had.
            largest: bytes of the largest tensor it made; 0 where that could not be seen.
        """
        fit = BUDGET * rows // largest if largest else FIRST
        wanted = max(FIRST, min(MOST, fit))
        self.size_is_final = wanted <= self._size * FASTER
        self._size = min(wanted, self._size * FASTER)

    def freeze_size(self) -> None:
        """Take no more rows than now."""
        self.size_is_final = True


def eval_batches(
    source: DataAdapter,
    batch_size: int | None,
    steps: int | None,
    *,
    grows: Callable[[], bool],
    rows: Tensor | None = None,
    name: str = "steps",
) -> Batches:
    """The batches of one pass without training.

    Args:
        source: the data.
        batch_size: rows of a batch, `None` where nobody said.
        steps: at most so many batches; where there is a limit, a batch nobody said a size of has 32 rows.
        grows: whether batches may be of any size; asked where it matters.
        rows: use these rows only.
        name: what messages call `steps`.
    """
    samples = source.samples if rows is None else len(rows)
    indexed = source.kind in ("arrays", "Dataset")
    unsaid = batch_size is None and steps is None
    if unsaid and indexed and samples is not None and samples > FIRST and grows():
        return AdaptiveBatches(lambda size, some: source.batches(size, rows=some), samples, rows)
    return limit_batches(source.batches(batch_size, rows=rows), steps, name)


def can_be_measured(parts: Iterable[nn.Module]) -> bool:
    """Whether what a model of these modules makes can be looked at without changing it."""
    return not any(map(_hides, parts))


def _hides(part: nn.Module) -> bool:
    if isinstance(part, torch.jit.ScriptModule) or is_compiled(part):
        return True
    # torch leaves its path over nested tensors, which cuts padding off, while it is looked at
    return isinstance(part, nn.TransformerEncoder) and bool(part.use_nested_tensor)


def measure_and_adapt(step: Callable[[Any], Any], batches: Batches, row_by_row: bool) -> Callable[[Any], Any]:
    """`step`, such that `batches` learn from the first of them what size they may have.

    Args:
        step: works on a batch.
        batches: of any kind; those with a size of their own are left alone.
        row_by_row: what `step` returns are outputs: batches stay as they are if these are not row by row.
    """
    if not isinstance(batches, AdaptiveBatches):
        return step

    def measured(batch: Any) -> Any:
        if batches.size_is_final:
            return step(batch)
        with _Largest() as made:
            outcome = step(batch)
        given = [leaf for _, leaf in leaves(batch) if isinstance(leaf, Tensor)]
        rows = len(given[0])
        if row_by_row and any(batch_rows(leaf) != rows for _, leaf in leaves(outcome)):
            batches.freeze_size()
        else:
            batches.update_size(rows, made.bytes and max(made.bytes, *(leaf.nbytes for leaf in given)))
        return outcome

    return measured


class _Largest(TorchFunctionMode):
    """How many bytes the largest tensor has that any function of torch returned."""

    bytes = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for one in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(one, Tensor):
                self.bytes = max(self.bytes, one.nbytes)
        return found
