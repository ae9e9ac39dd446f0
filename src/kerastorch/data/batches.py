"""Batches: what training, evaluation and prediction iterate over, whatever the data was."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from kerastorch import randomness
from kerastorch.data.arrays import tensors
from kerastorch.data.carry import Carry
from kerastorch.data.order import EpochSampler, permutation
from kerastorch.data.structure import leaves, map_structure
from kerastorch.data.structure import rows as rows_of
from kerastorch.errors import CheckpointError

PIECE = 64  # batches gathered at once, or fewer, so that a piece stays within
CACHE = 2**20  # bytes: beyond what a core's cache holds, gathering costs more than the calls it saves
ROOM = 2**26  # bytes, where an accelerator is at one end: there a call costs more


class Batch(NamedTuple):
    """Inputs, targets and sample weights of one step; targets and weights may be `None`."""

    x: Any
    y: Any
    sample_weight: Tensor | None


class Several(tuple[Batch, ...]):
    """Batches of one shape, for steps that run as one."""

    __slots__ = ()

    @property
    def x(self) -> Any:
        """The inputs of the first: what an error is explained with."""
        return self[0].x


class Batches(Protocol):
    """A source of batches.

    Attributes:
        samples: how many rows a pass has, `None` where unknown.
        batch_size: rows of a batch, `None` where unknown.
        targets: all targets, where they are in memory, else `None`.
    """

    samples: int | None
    batch_size: int | None
    targets: Any

    def steps(self) -> int | None:
        """How many batches a pass has, `None` where unknown."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one pass; `number` decides the order where that is ours to choose."""


class Resumable(Batches, Protocol):
    """A source that can go on where another like it was left: what is trained on."""

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """From batch `start` on."""

    def state_dict(self) -> dict[str, Any]:
        """What the passes to come depend on, beside their number and the random states of all."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as the batches did of which this is the state.

        Raises:
            CheckpointError: it is of other data.
        """


class ArrayBatches:
    """Tensors in memory: gathered by index in large pieces, then sliced.

    Args:
        data: tensors with the same number of rows.
        batch_size: rows of a batch; the last may have fewer.
        shuffle: `True` permutes the rows each epoch, `'batch'` only within each batch.
        seed: what the order depends on beside the epoch's number.
        rows: which rows are used, `None` for all.
        carry: brings pieces from the CPU to where they are wanted.
    """

    def __init__(
        self,
        data: Batch,
        batch_size: int,
        shuffle: bool | str,
        seed: int,
        rows: Tensor | None = None,
        carry: Carry | None = None,
    ) -> None:
        self._data, self._shuffle, self._seed, self._rows = data, shuffle, seed, rows
        self.samples: int | None = rows_of(data.x) if rows is None else len(rows)
        self._size = min(batch_size, self.samples)
        self._row_bytes = sum(leaf.nbytes // leaf.shape[0] for _, leaf in leaves(data.x))
        self.batch_size: int | None = self._size
        self.targets: Any = data.y if rows is None else _rows(data.y, rows)
        self._devices = {leaf.device for _, leaf in leaves(data)}
        on_cpu = any(device.type == "cpu" for device in self._devices)
        self._carry = carry if on_cpu else None
        room = CACHE if on_cpu and carry is None else ROOM
        self._piece = self._size * max(1, min(PIECE, room // max(1, self._size * self._row_bytes)))

    def steps(self) -> int:
        assert self.samples is not None
        return -(-self.samples // self._size)

    def state_dict(self) -> dict[str, Any]:
        return {"samples": self.samples, "batch_size": self._size, "seed": self._seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        refuse_other(state, samples=self.samples, batch_size=self._size)
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
            part = self._data if self._piece >= self.samples else _take(self._data, here)
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


class LoaderBatches:
    """A `DataLoader` (the user's, or ours over a `Dataset`), iterated once an epoch, as it is."""

    targets: Any = None

    def __init__(self, loader: DataLoader[Any], sampler: EpochSampler | None = None) -> None:
        self.loader, self._sampler = loader, sampler
        self.samples: int | None = None
        self.batch_size: int | None = loader.batch_size
        rows: Any = loader.sampler
        if loader.batch_size is not None and hasattr(rows, "__len__") and self.steps() is not None:
            self.samples = len(rows) - (len(rows) % loader.batch_size if loader.drop_last else 0)

    def steps(self) -> int | None:
        try:
            return len(self.loader)
        except TypeError:  # an IterableDataset without a length
            return None

    def state_dict(self) -> dict[str, Any]:
        if self._sampler is not None:
            return {"samples": self.samples, "batch_size": self.batch_size, "seed": self._sampler.seed}
        return {"samples": self.samples, "generators": [one.get_state() for one in self._generators()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self._sampler is not None:
            refuse_other(state, samples=self.samples, batch_size=self.batch_size)
            self._sampler.seed = state["seed"]
            return
        refuse_other(state, samples=self.samples)
        for generator, saved in zip(self._generators(), state["generators"], strict=True):
            generator.set_state(saved)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        if self._sampler is not None:
            self._sampler.epoch, self._sampler.start = number, start * (self.batch_size or 1)
            return map(unpack, self.loader)
        return passed_over(map(unpack, self.loader), start)  # what is passed over is drawn, or the rest would differ

    def _generators(self) -> list[torch.Generator]:
        """Those the loader and its samplers draw from, beside torch's own."""
        batches: Any = self.loader.batch_sampler
        holders = (self.loader, self.loader.sampler, batches, getattr(batches, "sampler", None))
        found = [getattr(holder, "generator", None) for holder in holders]
        return list({id(one): one for one in found if isinstance(one, torch.Generator)}.values())


class StreamBatches:
    """A generator (used once), an iterable, or a function that returns one for each pass."""

    samples: int | None = None
    batch_size: int | None = None
    targets: Any = None

    def __init__(self, source: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        self._source = source
        self._given = 0  # batches
        self._drawn = 0  # of them, more than a checkpoint knows

    def steps(self) -> int | None:
        source: Any = self._source
        return len(source) if hasattr(source, "__len__") else None

    def state_dict(self) -> dict[str, Any]:
        return {"given": self._given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if not isinstance(self._source, Iterator):
            return
        warnings.warn(
            "the data is a generator: the batches it gave before are drawn from it again and passed over. Training "
            "goes on exactly only if they are the same; arrays, a Dataset or a seeded DataLoader make sure of that.",
            stacklevel=2,
        )
        self._drawn = (
            self._given - state["given"]
        )  # 1 where the model was built with a batch; below 0 where some are due

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        source = self._source() if callable(self._source) else self._source
        drawn, self._drawn = self._drawn, 0
        return passed_over((_kept(unpack(item)) for item in self._counted(source)), max(0, start - drawn))

    def _counted(self, source: Iterable[Any]) -> Iterator[Any]:
        for item in source:
            self._given += 1
            yield item


class FirstBatches:
    """The first `limit` batches of each pass: what `validation_steps` and `steps` ask for."""

    samples: int | None = None

    def __init__(self, batches: Batches, limit: int) -> None:
        self._batches, self._limit = batches, limit
        self.batch_size = batches.batch_size
        self.targets = batches.targets

    def steps(self) -> int:
        return min(self._limit, self._batches.steps() or self._limit)

    def epoch(self, number: int) -> Iterator[Batch]:
        return itertools.islice(self._batches.epoch(number), self._limit)


class GoingOn:
    """`limit` batches an epoch, each epoch going on where the last one ended: what `steps_per_epoch` asks for.

    Where a pass ends within an epoch the next pass begins.

    Raises:
        ValueError: a pass has fewer than `limit` batches.
    """

    samples: int | None = None

    def __init__(self, batches: Resumable, limit: int) -> None:
        known = batches.steps()
        if known is not None and known < limit:
            raise ValueError(f"steps_per_epoch={limit}, but the data has {known} batches.")
        self._batches, self._limit = batches, limit
        self.batch_size = batches.batch_size
        self._running: Iterator[Batch] = iter(())
        self._passes = 0
        self._taken = 0  # of the running pass
        self._began: dict[str, Any] = {}  # what it began with
        self.targets = batches.targets

    def steps(self) -> int:
        return self._limit

    def state_dict(self) -> dict[str, Any]:
        began = self._began or self._beginning()
        return {"passes": self._passes, "taken": self._taken, **began}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batches.load_state_dict(state["batches"])
        self._passes, self._taken = state["passes"], state["taken"]
        self._running = iter(())
        self._began = {}
        if self._taken:
            randomness.restore(state["random"])
            self._began = self._beginning()
            self._running = self._batches.epoch(self._passes - 1, self._taken)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        return passed_over(self._epoch(number), start)

    def _epoch(self, number: int) -> Iterator[Batch]:
        for given in range(self._limit):
            batch = next(self._running, None)
            if batch is None:
                self._began, self._taken = self._beginning(), 0
                self._running = self._batches.epoch(max(number, self._passes))
                self._passes = max(number, self._passes) + 1
                batch = next(self._running, None)
            if batch is None:
                raise ValueError(f"data ended after {given} of {self._limit} steps.")
            self._taken += 1
            yield batch

    def _beginning(self) -> dict[str, Any]:
        return {"batches": self._batches.state_dict(), "random": randomness.capture()}


def passed_over(stream: Iterator[Batch], count: int) -> Iterator[Batch]:
    """`stream` without its first `count` batches, which are drawn now."""
    for _ in itertools.islice(stream, count):
        pass
    return stream


def refuse_other(state: Mapping[str, Any], **facts: Any) -> None:
    """Refuse to go on with other data than those of which `state` is."""
    for name, value in facts.items():
        if state.get(name) != value:
            raise CheckpointError(
                f"the checkpoint is of training with {name}={state.get(name)}, this fit has {name}={value}. Run the "
                "same script, or delete the checkpoint to begin anew."
            )


def _kept(batch: Batch) -> Batch:
    """Metrics keep targets for a while; a generator may fill the same array again."""
    return batch._replace(y=map_structure(lambda y: y.clone() if isinstance(y, Tensor) else copy.copy(y), batch.y))


def grouped(stream: Iterable[Batch], size: int) -> Iterator[Batch | Several]:
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
            yield Several(waiting)
            waiting = []
    yield from waiting


def shape_of(batch: Batch | Several) -> Any:
    """Equal for batches that differ in their values only."""
    if isinstance(batch, Several):
        return len(batch), shape_of(batch[0])
    x, y, sample_weight = batch
    if isinstance(x, Tensor) and isinstance(y, Tensor) and sample_weight is None:  # by far the most frequent
        return x.shape, y.shape, x.stride(), y.stride(), x.dtype, y.dtype
    return tuple((name, *_layout(part)) for name, part in leaves(tuple(batch)))


def _layout(part: Any) -> tuple[Any, ...]:
    if isinstance(part, Tensor):
        return part.shape, part.stride(), part.dtype
    return getattr(part, "shape", None), getattr(part, "dtype", type(part))


def unpack(item: Any) -> Batch:
    """What a loader or generator yields -> a batch: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`; a dict is x."""
    if isinstance(item, Batch):
        return item
    if isinstance(item, (tuple, list)):
        if not 1 <= len(item) <= 3:
            raise ValueError(f"a batch has {len(item)} items; expected (x,), (x, y) or (x, y, sample_weight).")
        return Batch(*(_as_arrays(part) for part in item), *(None,) * (3 - len(item)))
    return Batch(_as_arrays(item), None, None)


def _as_arrays(part: Any) -> Any:
    """Nested lists of numbers as a tensor; anything else as it is."""
    return tensors(part, "a batch") if isinstance(part, list) else part
