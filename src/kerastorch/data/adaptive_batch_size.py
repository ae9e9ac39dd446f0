"""The default batch size of `evaluate` and `predict`, which grows as long as each tensor stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kerastorch.core.errors import check_int
from kerastorch.core.module_tree import is_compiled
from kerastorch.core.nested import batch_rows, leaves
from kerastorch.data.batch_size import check_batch_size
from kerastorch.data.batches import Batch, Batches
from kerastorch.data.data_adapter import DEFAULT_BATCH_SIZE, DataAdapter, limit_batches
from kerastorch.data.rank_shard import RowShard
from kerastorch.data.rank_slices import IdleBatch, RankTurns

FIRST_ROWS, MAX_ROWS = 32, 4096  # rows of the first batch, and of the largest one
MAX_GROWTH = 8  # by which factor a batch may be larger than the one before it
# Bytes of the largest tensor that a batch may create: beyond, cache misses cost more time than fewer calls save.
MAX_TENSOR_BYTES = 2**21


class AdaptiveBatches:
    """Batches in the order of the data, whose size depends on the tensors of earlier batches.

    Sizes depend on the shapes of tensors, not on time, so that each pass has the same batches.

    Args:
        make: Returns the `Batches` for a batch size and the indices of rows.
        samples: Number of rows.
        rows: Indices of the rows, int64 `(samples,)`; `None` for all rows.
    """

    batch_size: int | None = None

    def __init__(self, make: Callable[[int, Tensor | None], Batches], samples: int, rows: Tensor | None) -> None:
        self._make = make
        self._rows = torch.arange(samples) if rows is None else rows
        self.samples: int | None = len(self._rows)
        first = make(FIRST_ROWS, rows)
        self.targets: Any = first.targets
        self.transient = first.transient
        self.exact = True
        self._size, self.size_is_final = FIRST_ROWS, False

    def steps(self) -> None:
        return None

    def epoch(self, number: int) -> Iterator[Batch]:
        self._size, self.size_is_final = FIRST_ROWS, False
        at = 0
        while at < len(self._rows):
            size = self._size
            end = len(self._rows) if self.size_is_final else at + size
            yield from self._make(size, self._rows[at:end]).epoch(number)
            at = end

    def update_size(self, rows: int, largest: int) -> None:
        """Set the size of the next batch.

        Args:
            rows: Number of rows of the last batch.
            largest: Bytes of the largest tensor that the last batch created; 0 if unknown.
        """
        fit = MAX_TENSOR_BYTES * rows // largest if largest else FIRST_ROWS
        wanted = max(FIRST_ROWS, min(MAX_ROWS, fit))
        self.size_is_final = wanted <= self._size * MAX_GROWTH
        self._size = min(wanted, self._size * MAX_GROWTH)

    def freeze_size(self) -> None:
        """Keep the current size for all further batches of the pass."""
        self.size_is_final = True


def eval_batches(
    source: DataAdapter,
    batch_size: int | None,
    steps: int | None,
    *,
    grows: Callable[[], bool],
    rows: Tensor | None = None,
    name: str = "steps",
    shard: RowShard | None = None,
) -> Batches:
    """Return the batches of one pass of evaluation or prediction; of those, whole ones, that one rank of several gets.

    Args:
        source: The data.
        batch_size: Rows of a batch. Default: that of the dataset, if it has one. Otherwise the size grows if `grows()`
            allows it, and is 32 if not.
        steps: Maximal number of batches. With a limit, the default batch size is always 32.
        grows: Returns whether results do not depend on the batch size; called only if the answer matters.
        rows: Indices of the rows to use, int64 `(n,)`; by default all.
        name: Name of the argument `steps` in messages.
        shard: Which batches this rank computes. Default: all.
    """
    samples = source.samples if rows is None else len(rows)
    indexed = source.kind in ("arrays", "Dataset")
    if shard is not None and indexed and samples is not None:
        size = source.own_batch_size or DEFAULT_BATCH_SIZE if batch_size is None else check_batch_size(batch_size)
        steps = None if steps is None else check_int(name, steps)
        is_free = batch_size is None and steps is None and source.own_batch_size is None and grows()
        part = shard.part(samples) if is_free else shard.batch_rows(min(samples, (steps or samples) * size), size)
        if not part:
            return IdleBatch(source.batches(size, rows=rows))
        own = torch.arange(part.start, part.stop)
        own = own if rows is None else rows[own]
        return eval_batches(source, None if is_free else size, None, grows=grows, rows=own, name=name)
    if shard is not None:
        steps = None if steps is None else check_int(name, steps)
        divided = source.turns(shard, steps) if batch_size is None else None
        return divided or RankTurns(limit_batches(source.batches(batch_size, rows=rows), steps, name), shard)
    is_default = batch_size is None and steps is None and source.own_batch_size is None
    is_default = is_default and not source.workers  # workers start once, for batches of one size
    if is_default and indexed and samples is not None and samples > FIRST_ROWS and grows():
        return AdaptiveBatches(lambda size, some: source.batches(size, rows=some), samples, rows)
    return limit_batches(source.batches(batch_size, rows=rows), steps, name)


def can_be_measured(parts: Iterable[nn.Module]) -> bool:
    """Return whether observing the tensors that these modules create changes no results."""
    return not any(map(_cannot_be_observed, parts))


def _cannot_be_observed(part: nn.Module) -> bool:
    """Return whether a module cannot be observed, or computes in a different way if it is."""
    if isinstance(part, torch.jit.ScriptModule) or is_compiled(part):
        return True
    # torch does not use nested tensors, which drop padding, under a TorchFunctionMode
    return isinstance(part, nn.TransformerEncoder) and bool(part.use_nested_tensor)


def measure_and_adapt(step: Callable[[Any], Any], batches: Batches, row_by_row: bool) -> Callable[[Any], Any]:
    """Return `step`, extended to measure the first batches and adapt the size of the next ones.

    Args:
        step: Processes a batch.
        batches: What `step` is called on; `step` itself is returned unless they are `AdaptiveBatches`.
        row_by_row: Whether `step` returns outputs; the size then stays fixed if an output has a different number of
            rows than the batch.
    """
    if not isinstance(batches, AdaptiveBatches):
        return step

    def measuring_step(batch: Any) -> Any:
        if batches.size_is_final:
            return step(batch)
        with _LargestTensor() as measured:
            outcome = step(batch)
        given = [leaf for _, leaf in leaves(batch) if isinstance(leaf, Tensor)]
        rows = batch_rows(batch)
        if not given or (row_by_row and any(batch_rows(leaf) != rows for _, leaf in leaves(outcome))):
            batches.freeze_size()
        else:
            batches.update_size(rows, measured.bytes and max(measured.bytes, *(leaf.nbytes for leaf in given)))
        return outcome

    return measuring_step


class _LargestTensor(TorchFunctionMode):
    """The bytes of the largest tensor that a function of torch returns within the block."""

    bytes = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for one in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(one, Tensor):
                self.bytes = max(self.bytes, one.nbytes)
        return found
