"""The batches that training, evaluation and prediction iterate over.

Arrays in memory never pass through a `DataLoader`, which would index and collate row by row in Python. Here one
call gathers a piece, the rows of several batches, and the batches are views of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from kerastorch.core.nested import first_rows, leaves, map_structure
from kerastorch.core.tensor_spec import is_dense
from kerastorch.data.lazy_arrays import LazyArray, is_large, pieces
from kerastorch.data.prefetch import Prefetcher
from kerastorch.data.shuffle import permutation

PIECE_BATCHES = 64  # maximal number of batches in a piece
CPU_PIECE_BYTES = 2**20  # maximal size of a piece on the CPU: it fits into the cache of a core
ACCELERATOR_PIECE_BYTES = 2**26  # maximal size of a piece on, or for, an accelerator, where calls cost more
# How much of an array is compared when training resumes, and the size of its pieces, which are copied as int64.
SUMMED_BYTES, SUM_PIECE_BYTES = 2**30, 2**22


class Batch(NamedTuple):
    """The inputs, targets and sample weights of one step; targets and weights may be `None`, or nested by output."""

    x: Any
    y: Any
    sample_weight: Any

    def with_parts(self, x: Any, y: Any, sample_weight: Any) -> Batch:
        """Return a batch of other tensors in place of these, with what else this one says about its rows."""
        return Batch(x, y, sample_weight)


class BatchGroup(tuple[Batch, ...]):
    """Several batches of equal shapes, whose steps run in one call."""

    __slots__ = ()

    @property
    def x(self) -> Any:
        """Return the inputs of the first batch, for messages of errors."""
        return self[0].x

    @property
    def y(self) -> Any:
        """Return the targets of the first batch."""
        return self[0].y


class Batches(Protocol):
    """A source of batches.

    Attributes:
        samples: Number of rows of a pass, `None` if unknown.
        batch_size: Number of rows of a batch, `None` if unknown.
        transient: Whether the source may reuse the memory of a batch for the next one.
    """

    samples: int | None
    batch_size: int | None
    transient: bool

    @property
    def targets(self) -> Any:
        """Return all targets if they are in memory, else `None`."""

    @property
    def exact(self) -> bool:
        """Return whether a pass has exactly as many batches as `steps` says."""

    def steps(self) -> int | None:
        """Return the number of batches of a pass, or `None` if it is unknown."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of one pass.

        Args:
            number: Number of the pass, from 0, on which the order of shuffled rows depends.
        """


class Resumable(Batches, Protocol):
    """A source of batches for training, which can resume from the state of another one.

    Attributes:
        has_position: Whether its state contains the position within an epoch. If not, its state must be captured at the
            start of an epoch, and `epoch` skips to the position.
    """

    has_position: bool

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of one pass from batch `start` on."""

    @property
    def can_repeat(self) -> bool:
        """Return whether the batches of a pass can be drawn once more."""

    def again(self, number: int) -> Iterator[Batch]:
        """Yield the batches of a pass once more, so that later passes are as they would have been.

        Args:
            number: Number of the pass.
        """

    def fingerprint(self) -> dict[str, Any]:
        """Return what identifies the data, as far as this is known without iterating over them."""

    def state_dict(self) -> dict[str, Any]:
        """Return what further passes depend on, apart from their number and the global random states."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from the state of a source with the same fingerprint."""


class ArrayBatches:
    """Batches of arrays, gathered by index in large pieces, which are then sliced.

    Args:
        data: Tensors and lazy arrays with the same number of rows.
        batch_size: Rows of a batch; the last batch may have fewer.
        shuffle: `True` permutes all rows in each epoch, `'batch'` only the rows within each batch.
        seed: Seed of the order, together with the number of the epoch.
        rows: Indices of the rows to use, int64 `(n,)`; `None` for all.
        prefetcher: Copies pieces from the CPU to the model's device; `None` leaves them on the CPU.
    """

    has_position = False
    transient = False
    exact = True
    can_repeat = True

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
        self.samples: int | None = first_rows(data.x) if rows is None else len(rows)
        self._size = min(batch_size, self.samples)
        self._row_bytes = sum(leaf.nbytes // leaf.shape[0] for _, leaf in leaves(data.x))
        self.batch_size: int | None = self._size
        self._devices = {leaf.device for _, leaf in leaves(data)}
        on_cpu = any(device.type == "cpu" for device in self._devices)
        self._prefetcher = prefetcher if on_cpu else None
        piece_bytes = CPU_PIECE_BYTES if on_cpu and prefetcher is None else ACCELERATOR_PIECE_BYTES
        read_bytes = max((leaf.read_bytes for _, leaf in leaves(data) if isinstance(leaf, LazyArray)), default=0)
        most = PIECE_BATCHES if read_bytes <= piece_bytes else read_bytes
        count = max(piece_bytes, read_bytes) // max(1, self._size * self._row_bytes)
        self._piece = self._size * max(1, min(most, count))

    @cached_property
    def targets(self) -> Any:
        """The targets of all rows; `None` if they are too large to be checked, or copied, as a whole."""
        arrays = [leaf for _, leaf in leaves(self._data.y)]
        if is_large(sum(leaf.nbytes for leaf in arrays)) or any(isinstance(leaf, LazyArray) for leaf in arrays):
            return None
        return self._data.y if self._rows is None else _select_rows(self._data.y, self._rows)

    def steps(self) -> int:
        assert self.samples is not None
        return -(-self.samples // self._size)

    def fingerprint(self) -> dict[str, Any]:
        tensors = [leaf for _, leaf in leaves(self._data)] + ([] if self._rows is None else [self._rows])
        sums = [_bit_sum(tensor) for tensor in tensors]
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
        return self._batches_from(number, start, self._size)

    def again(self, number: int) -> Iterator[Batch]:
        return self.epoch(number)

    def _batches_from(self, number: int, start: int, size: int) -> Iterator[Batch]:
        """Yield the batches of a pass from batch `start` on.

        The first piece is gathered from its beginning, as in a whole pass, so that each batch has the same place in
        memory: the order in which a matrix product is summed depends on it.

        Args:
            number: Number of the pass.
            start: Number of the first batch.
            size: Rows of each batch in a piece.
        """
        first, skipped = divmod(start, self._piece // size)
        pieces = self._pieces(number, first * self._piece)
        gathered = pieces if self._prefetcher is None else self._prefetcher(pieces)
        return itertools.islice((batch for piece in gathered for batch in split_rows_of(piece, size)), skipped, None)

    def _pieces(self, number: int, first: int) -> Iterator[Batch]:
        assert self.samples is not None
        order = self._order(number)
        # the order is copied once to each device that holds data
        orders = {} if order is None else {device: order.to(device, non_blocking=True) for device in self._devices}
        count = self.samples if order is None else len(order)
        for start in range(first, count, self._piece):
            here = slice(start, start + self._piece)
            if orders:
                rows = {device: order[here] for device, order in orders.items()}
                yield Batch(*(_rows_by_device(field, rows) for field in self._data))
                continue
            _, y, sample_weight = self._data
            # inputs are copied, since a model may change them in place, and the user's array must not change
            x = _select_rows(self._data.x, here, copies=True)
            yield Batch(x, _select_rows(y, here), _select_rows(sample_weight, here))

    def _order(self, number: int) -> Tensor | None:
        if not self._shuffle:
            return self._rows
        assert self.samples is not None
        order = permutation(self.samples, self._seed, number)
        if self._shuffle == "batch":
            batch = torch.arange(self.samples) // self._size
            order = order[torch.sort(batch[order], stable=True).indices]
        return order if self._rows is None else self._rows[order]


def _take_rows(data: Batch, rows: Tensor | slice) -> Batch:
    return Batch(_select_rows(data.x, rows), _select_rows(data.y, rows), _select_rows(data.sample_weight, rows))


def _select_rows(field: Any, rows: Tensor | slice, copies: bool = False) -> Any:
    select = _copy_rows if copies else _index_rows
    return None if field is None else map_structure(lambda t: None if t is None else select(t, rows), field)


def _copy_rows(array: Tensor | LazyArray, rows: Tensor | slice) -> Tensor:
    found = _index_rows(array, rows)
    return found.clone() if isinstance(array, Tensor) and isinstance(rows, slice) else found


def _index_rows(tensor: Tensor | LazyArray, rows: Tensor | slice) -> Tensor:
    # for random rows `index_select` is three times as fast as indexing
    return tensor[rows] if isinstance(rows, slice) else tensor.index_select(0, rows)


def _rows_by_device(field: Any, rows: dict[torch.device, Tensor]) -> Any:
    return map_structure(lambda t: None if t is None else _index_rows(t, rows[t.device]), field)


def split_rows_of(part: Batch, size: int) -> Iterator[Batch]:
    """Yield the batches of a piece as views, which one call a tensor creates."""
    length = first_rows(part.x)
    if length <= size:
        yield part
        return
    if isinstance(part.x, Tensor) and all(one is None or isinstance(one, Tensor) for one in part[1:]):
        xs = part.x.split(size)
        ys = itertools.repeat(None) if part.y is None else part.y.split(size)
        ws = itertools.repeat(None) if part.sample_weight is None else part.sample_weight.split(size)
        yield from map(Batch, xs, ys, ws)
        return
    for start in range(0, length, size):
        yield _take_rows(part, slice(start, start + size))


class FirstBatches:
    """The first `limit` batches of each pass of a source, for `validation_steps` and `steps`."""

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


def _bit_sum(array: Tensor | LazyArray) -> str:
    """Return the sum of an array's bits as integers.

    Unlike a sum of floats, it does not depend on the order, the number of threads or the device. Of a very large array,
    pieces at equal distances are summed.
    """
    total = 0
    step = max(1, array.nbytes // SUMMED_BYTES)
    for number, (_, piece) in enumerate(pieces(array, SUM_PIECE_BYTES)):
        if number % step == 0:
            total += _bit_sum_of_piece(piece)
    return str((total + 2**63) % 2**64 - 2**63)  # as an int64 that overflows


def _bit_sum_of_piece(piece: Tensor) -> int:
    bits = torch.view_as_real(piece) if piece.is_complex() else piece
    bits = bits.view(_INTEGER_TYPES[bits.element_size()]) if bits.is_floating_point() else bits
    return int(bits.sum(dtype=torch.int64).item())


_INTEGER_TYPES = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes of an element


def shape_of(batch: Batch | BatchGroup) -> Any:
    """Return the shapes, strides and dtypes of a batch, in a form that can be compared."""
    if isinstance(batch, BatchGroup):
        return len(batch), shape_of(batch[0])
    x, y, sample_weight = batch
    if isinstance(x, Tensor) and isinstance(y, Tensor) and sample_weight is None and is_dense(x) and is_dense(y):
        return x.shape, y.shape, x.stride(), y.stride(), x.dtype, y.dtype
    return tuple((name, *_layout(part)) for name, part in leaves(tuple(batch)))


def _layout(part: Any) -> tuple[Any, ...]:
    if isinstance(part, Tensor):
        return (part.shape, part.stride(), part.dtype) if is_dense(part) else (part.layout, part.dtype)
    return getattr(part, "shape", None), getattr(part, "dtype", type(part))
