"""Batches: what training, evaluation and prediction iterate over, whatever the data was."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.nested import rows as rows_of
from kerastorch.data.prefetch import Prefetcher
from kerastorch.data.shuffle import permutation

PIECE = 64  # batches gathered at once, or fewer, so that a piece stays within
CACHE = 2**20  # bytes: beyond what a core's cache holds, gathering costs more than the calls it saves
ROOM = 2**26  # bytes, where an accelerator is at one end: there a call costs more


class Batch(NamedTuple):
    """Inputs, targets and sample weights of one step; targets and weights may be `None`."""

    x: Any
    y: Any
    sample_weight: Tensor | None


class BatchGroup(tuple[Batch, ...]):
    """Batches of one shape, for steps that run as one."""

    __slots__ = ()

    @property
    def x(self) -> Any:
        """The inputs of the first: what an error is explained with."""
        return self[0].x

    @property
    def y(self) -> Any:
        """The targets of the first."""
        return self[0].y


class Batches(Protocol):
    """A source of batches.

    Attributes:
        samples: how many rows a pass has, `None` where unknown.
        batch_size: rows of a batch, `None` where unknown.
        targets: all targets, where they are in memory, else `None`.
        transient: whether the tensors of a batch may be filled anew when the next batch is drawn.
    """

    samples: int | None
    batch_size: int | None
    targets: Any
    transient: bool

    @property
    def exact(self) -> bool:
        """Return whether a pass has exactly as many batches as `steps` says."""

    def steps(self) -> int | None:
        """How many batches a pass has, `None` where unknown."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one pass; `number` decides the order where that is ours to choose."""


class Resumable(Batches, Protocol):
    """A source that can go on where another like it was left: what is trained on.

    Attributes:
        knows_place: its state tells where it is within an epoch; else that is to be taken when an epoch begins.
    """

    has_position: bool

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """From batch `start` on."""

    def fingerprint(self) -> dict[str, Any]:
        """By what these data are told from others, as far as it can be told without going through them."""

    def state_dict(self) -> dict[str, Any]:
        """What the passes to come depend on, beside their number and the random states of all."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as the batches did of which this is the state, and which had the same facts."""


class ArrayBatches:
    """Tensors in memory: gathered by index in large pieces, then sliced.

    Args:
        data: tensors with the same number of rows.
        batch_size: rows of a batch; the last may have fewer.
        shuffle: `True` permutes the rows each epoch, `'batch'` only within each batch.
        seed: what the order depends on beside the epoch's number.
        rows: which rows are used, `None` for all.
        prefetcher: brings pieces from the CPU to where they are wanted.
    """

    has_position = False
    transient = False
    exact = True

    def __init__(
        self,
        data: Batch,
        batch_size: int,
        shuffle: bool | str,
        seed: int,
        rows: Tensor | None = None,
        prefetcher: Prefetcher | None = None,
    ) -> None:
        self._data, self._shuffle, self._seed, self._rows = data, shuffle, seed, rows
        self.samples: int | None = rows_of(data.x) if rows is None else len(rows)
        self._size = min(batch_size, self.samples)
        self._row_bytes = sum(leaf.nbytes // leaf.shape[0] for _, leaf in leaves(data.x))
        self.batch_size: int | None = self._size
        self.targets: Any = data.y if rows is None else _rows(data.y, rows)
        self._devices = {leaf.device for _, leaf in leaves(data)}
        on_cpu = any(device.type == "cpu" for device in self._devices)
        self._carry = prefetcher if on_cpu else None
        room = CACHE if on_cpu and prefetcher is None else ROOM
        self._piece = self._size * max(1, min(PIECE, room // max(1, self._size * self._row_bytes)))

    def steps(self) -> int:
        assert self.samples is not None
        return -(-self.samples // self._size)

    def fingerprint(self) -> dict[str, Any]:
        tensors = [leaf for _, leaf in leaves(self._data)] + ([] if self._rows is None else [self._rows])
        sums = [_sum(tensor) for tensor in tensors]
        return {
            "samples": self.samples,
            "batch_size": self._size,
            "shuffle": self._shuffle,
            "the sums of the arrays": sums,
        }

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self._seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._seed = state["seed"]

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        pieces = self._pieces(number, start * self._size)
        for part in pieces if self._carry is None else self._carry(pieces):
            yield from _split(part, self._size)

    def _pieces(self, number: int, first: int) -> Iterator[Batch]:
        assert self.samples is not None
        order = self._order(number)
        # moved once, to each device that holds data
        orders = {} if order is None else {device: order.to(device, non_blocking=True) for device in self._devices}
        for start in range(first, self.samples, self._piece):
            here = slice(start, start + self._piece)
            if orders:
                rows = {device: order[here] for device, order in orders.items()}
                yield Batch(*(_rows_by_device(field, rows) for field in self._data))
                continue
            whole = start == 0 and self._piece >= self.samples
            part = self._data if whole else _take(self._data, here)
            # a model may work on its input in place; the user's array is not ours to change
            yield Batch(map_structure(torch.clone, part.x), part.y, part.sample_weight)

    def _order(self, number: int) -> Tensor | None:
        if not self._shuffle:
            return self._rows
        assert self.samples is not None
        order = permutation(self.samples, self._seed, number)
        if self._shuffle == "batch":
            batch = torch.arange(self.samples) // self._size
            order = order[torch.sort(batch[order], stable=True).indices]
        return order if self._rows is None else self._rows[order]


def _take(data: Batch, rows: Tensor | slice) -> Batch:
    return Batch(_rows(data.x, rows), _rows(data.y, rows), _rows(data.sample_weight, rows))


def _rows(field: Any, rows: Tensor | slice) -> Any:
    return None if field is None else map_structure(lambda t: None if t is None else _picked(t, rows), field)


def _picked(tensor: Tensor, rows: Tensor | slice) -> Tensor:
    # for rows drawn at random `index_select` takes a third of the time of indexing
    return tensor[rows] if isinstance(rows, slice) else tensor.index_select(0, rows)


def _rows_by_device(field: Any, rows: dict[torch.device, Tensor]) -> Any:
    return map_structure(lambda t: None if t is None else _picked(t, rows[t.device]), field)


def _split(part: Batch, size: int) -> Iterator[Batch]:
    """The batches of a piece: views, made by one call a tensor."""
    length = rows_of(part.x)
    if length <= size:
        yield part
        return
    if isinstance(part.x, Tensor) and (part.y is None or isinstance(part.y, Tensor)):
        xs = part.x.split(size)
        ys = itertools.repeat(None) if part.y is None else part.y.split(size)
        ws = itertools.repeat(None) if part.sample_weight is None else part.sample_weight.split(size)
        yield from map(Batch, xs, ys, ws)
        return
    for start in range(0, length, size):
        yield _take(part, slice(start, start + size))


class FirstBatches:
    """The first `limit` batches of each pass: what `validation_steps` and `steps` ask for."""

    samples: int | None = None

    def __init__(self, batches: Batches, limit: int) -> None:
        self.batches, self._limit = batches, limit
        self.batch_size = batches.batch_size
        self.targets = batches.targets
        self.transient = batches.transient

    def steps(self) -> int:
        return min(self._limit, self.batches.steps() or self._limit)

    def epoch(self, number: int) -> Iterator[Batch]:
        stream = self.batches.epoch(number)
        return stream if self.exact else itertools.islice(stream, self._limit)

    @property
    def exact(self) -> bool:
        known = self.batches.steps()
        return self.batches.exact and known is not None and known <= self._limit


def _sum(tensor: Tensor) -> str:
    """Of the bits as whole numbers, which is the same in any order, with any number of threads and on any device."""
    bits = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    bits = bits.view(_WHOLE[bits.element_size()]) if bits.is_floating_point() else bits
    return str(bits.sum(dtype=torch.int64).item())


_WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


def group_batches(stream: Iterable[Batch], size: int) -> Iterator[Batch | BatchGroup]:
    """`size` batches at a time where so many of one shape follow each other, the others one by one."""
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


def shape_of(batch: Batch | BatchGroup) -> Any:
    """Equal for batches that differ in their values only."""
    if isinstance(batch, BatchGroup):
        return len(batch), shape_of(batch[0])
    x, y, sample_weight = batch
    if isinstance(x, Tensor) and isinstance(y, Tensor) and sample_weight is None:  # by far the most frequent
        return x.shape, y.shape, x.stride(), y.stride(), x.dtype, y.dtype
    return tuple((name, *_layout(part)) for name, part in leaves(tuple(batch)))


def _layout(part: Any) -> tuple[Any, ...]:
    if isinstance(part, Tensor):
        return part.shape, part.stride(), part.dtype
    return getattr(part, "shape", None), getattr(part, "dtype", type(part))
