"""Batches that somebody else makes: a `DataLoader`, a generator, a function that returns one."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from kerastorch.core.errors import warn
from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.torch_private import drop_persistent_iterator, has_persistent_iterator
from kerastorch.data.arrays import tensors
from kerastorch.data.batches import Batch
from kerastorch.data.dataloader_workers import iterate_with_worker_errors, start_iterator
from kerastorch.data.shuffle import EpochSampler


class LoaderBatches:
    """A `DataLoader` (the user's, or ours over a `Dataset`), iterated once an epoch, as it is."""

    targets: Any = None
    has_position = False
    transient = True

    def __init__(
        self,
        loader: DataLoader[Any],
        sampler: EpochSampler | None = None,
        *,
        inputs_only: bool = False,
        trains: bool = False,
    ) -> None:
        self.loader, self._sampler, self._inputs_only, self._trains = loader, sampler, inputs_only, trains
        self.samples: int | None = None
        self.exact = not isinstance(loader.dataset, IterableDataset)  # workers may each have a batch more
        self.batch_size: int | None = loader.batch_size
        rows: Any = loader.sampler
        if loader.batch_size is not None and hasattr(rows, "__len__") and self.steps() is not None:
            self.samples = len(rows) - (len(rows) % loader.batch_size if loader.drop_last else 0)

    def steps(self) -> int | None:
        try:
            return len(self.loader)
        except TypeError:  # an IterableDataset without a length
            return None

    def fingerprint(self) -> dict[str, Any]:
        return {"samples": self.samples, "batch_size": self.batch_size}

    def state_dict(self) -> dict[str, Any]:
        seed = None if self._sampler is None else self._sampler.seed
        return {"seed": seed, "working": has_persistent_iterator(self.loader)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self._sampler is not None:
            self._sampler.seed = state["seed"]
        if self.loader.persistent_workers:
            self._begin_workers(state["working"])

    def _begin_workers(self, working: bool) -> None:
        """Workers that stay: as torch draws their seed when they begin, the next pass begins them where it did then."""
        if not working:
            drop_persistent_iterator(self.loader)
        elif not has_persistent_iterator(self.loader):
            start_iterator(self.loader)
        warn(
            "the DataLoader has persistent_workers=True: the random states of its workers are not kept, they begin "
            "with others. Training goes on exactly only if the dataset draws no random numbers in them."
        )

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        if self._trains:
            set_sampler_epoch(self.loader, number)
        batches = iterate_batches(iterate_with_worker_errors(self.loader), self._inputs_only)
        if not (self.loader.pin_memory and torch.accelerator.is_available()):  # pinned ones are copies already
            batches = map(copy_targets, batches)
        if self._sampler is not None:
            self._sampler.epoch, self._sampler.start = number, start * (self.batch_size or 1)
            return batches
        # what is passed over is drawn, or the rest would differ
        return skip_batches(batches, start)


def set_sampler_epoch(loader: DataLoader[Any], number: int) -> None:
    """Call `set_epoch(number)` of a loader, its samplers and its dataset, each that has it."""
    sampler: Any = loader.batch_sampler
    asked = (loader, loader.sampler, sampler, getattr(sampler, "sampler", None), loader.dataset)
    for one in {id(one): one for one in asked}.values():
        told_of = getattr(one, "set_epoch", None)
        if callable(told_of):
            told_of(number)


class StreamBatches:
    """A generator (used once), an iterable, or a function that returns one for each pass."""

    samples: int | None = None
    batch_size: int | None = None
    targets: Any = None
    has_position = False
    transient = True
    exact = False

    def __init__(self, source: Iterable[Any] | Callable[[], Iterable[Any]], *, inputs_only: bool = False) -> None:
        self._source, self._inputs_only = source, inputs_only
        self._given = 0  # batches
        self._drawn = 0  # of them, more than a checkpoint knows

    def steps(self) -> int | None:
        source: Any = self._source
        return len(source) if hasattr(source, "__len__") else None

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"given": self._given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if not isinstance(self._source, Iterator):
            return
        warn(
            "the data is a generator: the batches it gave before are drawn from it again and passed over. Training "
            "goes on exactly only if they are the same; arrays, a Dataset or a seeded DataLoader make sure of that."
        )
        # 1 where the model was built with a batch; below 0 where some are due
        self._drawn = self._given - state["given"]

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        source = self._source() if callable(self._source) else self._source
        drawn, self._drawn = self._drawn, 0
        return skip_batches(
            map(copy_targets, iterate_batches(self._counted(source), self._inputs_only)), max(0, start - drawn)
        )

    def _counted(self, source: Iterable[Any]) -> Iterator[Any]:
        for item in source:
            self._given += 1
            yield item


def skip_batches(stream: Iterator[Batch], count: int) -> Iterator[Batch]:
    """`stream` without its first `count` batches, which are drawn now."""
    for _ in itertools.islice(stream, count):
        pass
    return stream


def copy_targets(batch: Batch) -> Batch:
    """Copy the targets of a batch, which metrics keep for a while.

    A loader may fill the same tensors again, and each tensor of a worker holds a file open as long as it lives.
    """
    return batch._replace(y=map_structure(_copy, batch.y))


def copy_tensors(batch: Batch) -> Batch:
    """Copy all of a batch, for whoever draws the next one before this one is used."""
    return Batch(*(map_structure(_copy, part) for part in batch))


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else copy.copy(value)


def iterate_batches(items: Iterator[Any], inputs_only: bool) -> Iterator[Batch]:
    """Make batches of what a loader or generator yields; the weights of the first are looked at.

    Args:
        items: what it yields.
        inputs_only: leave targets and weights out, whatever they are: for `predict`.
    """
    return map(inputs_of, items) if inputs_only else _asked_about(items)


def _asked_about(items: Iterator[Any]) -> Iterator[Batch]:
    for item in items:
        batch = unpack(item)
        ask_about_weights(batch.sample_weight)
        yield batch
        break
    yield from map(unpack, items)


def ask_about_weights(weight: Any) -> None:
    """Warn of a third item that holds integers, which are rarely weights.

    Warns:
        UserWarning: it does.
    """
    for _, leaf in leaves(weight):
        kind = str(getattr(leaf, "dtype", "")).removeprefix("torch.")
        if kind.startswith(("int", "uint")):
            warn(
                f"the third item of a batch holds integers, {kind} {tuple(leaf.shape)}, and is taken as sample "
                "weights: a batch is (x, y, sample_weight). If it is an index or the like, leave it out: (x, y). If it "
                "is the target of a model with two inputs, yield ((a, b), y). If it holds weights, make it float."
            )


def inputs_of(item: Any) -> Batch:
    """Take only the inputs of what a loader or generator yields."""
    if isinstance(item, Batch):
        return Batch(item.x, None, None)
    return Batch(_as_arrays(_parts(item)[0], "x"), None, None)


def unpack(item: Any) -> Batch:
    """What a loader or generator yields -> a batch: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`; a dict is x."""
    if isinstance(item, Batch):
        return item
    parts = _parts(item)
    return Batch(*map(_as_arrays, parts, _ITEMS), *(None,) * (3 - len(parts)))


_ITEMS = ("x", "y", "sample_weight")


def _parts(item: Any) -> tuple[Any, ...]:
    if not isinstance(item, (tuple, list)):
        return (item,)
    if not 1 <= len(item) <= 3:
        raise ValueError(f"a batch has {len(item)} items; expected (x,), (x, y) or (x, y, sample_weight).")
    return tuple(item)


def _as_arrays(part: Any, name: str) -> Any:
    """Nested lists of numbers as a tensor; anything else as it is.

    Raises:
        TypeError: weights that are text.
    """
    if name == "sample_weight" and _is_text(part):
        raise TypeError(
            "the third item of a batch is text, and is taken as sample weights: a batch is (x, y, sample_weight). "
            "Leave it out: (x, y)."
        )
    return tensors(part, f"{name} of a batch") if isinstance(part, list) else part


def _is_text(part: Any) -> bool:
    if isinstance(part, (tuple, list)):
        return len(part) > 0 and _is_text(part[0])
    return isinstance(part, (str, bytes)) or getattr(getattr(part, "dtype", None), "kind", "n") in "USOT"
