"""Batches of a `DataLoader`, of a generator, or of a function that returns an iterable."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from kerastorch.core.errors import warn
from kerastorch.core.nested import copy_leaf, map_structure
from kerastorch.core.torch_private import drop_persistent_iterator, has_persistent_iterator
from kerastorch.data.batch_reader import BatchReader
from kerastorch.data.batched_dataset import checksum_of
from kerastorch.data.batches import Batch
from kerastorch.data.dataloader_workers import iterate_with_worker_errors, start_iterator
from kerastorch.data.shuffle import EpochSampler


class LoaderBatches:
    """The batches of a `DataLoader`, which is iterated over once in each epoch.

    Args:
        loader: The user's loader, or one that kerastorch created over a `Dataset`.
        sampler: The sampler of a loader that kerastorch created.
        reader: Reads what the data yield. Default: `(x, y, sample_weight)` by position.
        trains: Whether the numbers of epochs are passed to the samplers of the loader.
    """

    targets: Any = None
    has_position = False
    transient = True
    can_repeat = True

    def __init__(
        self,
        loader: DataLoader[Any],
        sampler: EpochSampler | None = None,
        *,
        reader: BatchReader | None = None,
        trains: bool = False,
    ) -> None:
        self.loader = self._given = loader  # one rank of several reads a part of what it was given
        self._sampler, self._trains = sampler, trains
        self._reader = reader or BatchReader()
        self.samples: int | None = None
        self.exact = not isinstance(loader.dataset, IterableDataset)  # each worker may add an incomplete batch
        self.batch_size: int | None = loader.batch_size
        rows: Any = loader.sampler
        if loader.batch_size is not None and hasattr(rows, "__len__") and self.steps() is not None:
            self.samples = len(rows) - (len(rows) % loader.batch_size if loader.drop_last else 0)

    def steps(self) -> int | None:
        try:
            return len(self.loader)
        except TypeError:  # the dataset is iterable and has no length
            return None

    def fingerprint(self) -> dict[str, Any]:
        return {"samples": self.samples, "batch_size": self.batch_size, **checksum_of(self.loader.dataset)}

    def state_dict(self) -> dict[str, Any]:
        seed = None if self._sampler is None else self._sampler.seed
        return {"seed": seed, "working": has_persistent_iterator(self.loader)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self._sampler is not None:
            self._sampler.seed = state["seed"]
        if self.loader.persistent_workers and self._sampler is None:  # own workers are seeded for each batch
            self._restore_workers(state["working"])

    def _restore_workers(self, working: bool) -> None:
        """Restore whether persistent workers are running.

        torch draws the seed of workers when they start. To draw it in the same pass as before, workers run after
        resuming exactly if they ran at the checkpoint.
        """
        if not working:
            drop_persistent_iterator(self.loader)
        elif not has_persistent_iterator(self.loader):
            start_iterator(self.loader)
        warn(
            "the DataLoader has persistent_workers=True: the random states of its workers are not saved, and a resumed "
            "training has different ones. It is exact only if the dataset draws no random numbers in workers."
        )

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        if self._trains:
            set_sampler_epoch(self._given, number)
        if self._sampler is not None:  # before the iteration, since workers read the first batches when it begins
            self._sampler.epoch, self._sampler.start = number, start * (self.batch_size or 1)
        batches = self._batches()
        if self._sampler is not None:
            return batches
        # skipped batches are drawn, since further ones may depend on the same random generators
        return skip_batches(batches, start)

    def _batches(self) -> Iterator[Batch]:
        """Begin a pass over the loader, and return its batches."""
        batches = self._reader.batches(iterate_with_worker_errors(self.loader))
        if self.loader.pin_memory and torch.accelerator.is_available():  # pinning copies already
            return batches
        return map(copy_targets, batches)

    def again(self, number: int) -> Iterator[Batch]:
        return self.epoch(number)


def set_sampler_epoch(loader: DataLoader[Any], number: int) -> None:
    """Call `set_epoch(number)` of a loader, its samplers and its dataset, if they have this method."""
    sampler: Any = loader.batch_sampler
    candidates = (loader, loader.sampler, sampler, getattr(sampler, "sampler", None), loader.dataset)
    for one in {id(one): one for one in candidates}.values():
        set_epoch = getattr(one, "set_epoch", None)
        if callable(set_epoch):
            set_epoch(number)


class StreamBatches:
    """The batches of a generator, of an iterable, or of a function that returns one.

    A generator has a single pass.

    Args:
        source: The generator, iterable or function.
        reader: Reads what the source yields. Default: `(x, y, sample_weight)` by position.
    """

    samples: int | None = None
    batch_size: int | None = None
    targets: Any = None
    has_position = False
    transient = True
    exact = False

    def __init__(
        self, source: Iterable[Any] | Callable[[], Iterable[Any]], *, reader: BatchReader | None = None
    ) -> None:
        self._source, self._reader = source, reader or BatchReader()
        self._yielded = 0  # number of batches
        self._surplus = 0  # number of batches that were yielded beyond those of a restored checkpoint

    def steps(self) -> int | None:
        source: Any = self._source
        return len(source) if hasattr(source, "__len__") else None

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"given": self._yielded}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if not isinstance(self._source, Iterator):
            return
        warn(
            "the data is a generator: the batches it gave before are drawn from it again and passed over. Training "
            "goes on exactly only if they are the same; arrays, a Dataset or a seeded DataLoader make sure of that."
        )
        # 1 if a batch has built the model; negative if batches must be skipped
        self._surplus = self._yielded - state["given"]

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        source = self._source() if callable(self._source) else self._source
        surplus, self._surplus = self._surplus, 0
        batches = self._reader.batches(self._count(source))
        return skip_batches(map(copy_targets, batches), max(0, start - surplus))

    @property
    def can_repeat(self) -> bool:
        return not isinstance(self._source, Iterator)

    def again(self, number: int) -> Iterator[Batch]:
        source = self._source() if callable(self._source) else self._source
        return map(copy_targets, self._reader.batches(iter(source)))

    def _count(self, source: Iterable[Any]) -> Iterator[Any]:
        for item in source:
            self._yielded += 1
            yield item


def skip_batches(stream: Iterator[Batch], count: int) -> Iterator[Batch]:
    """Draw and drop the first `count` batches of a stream, and return the stream."""
    for _ in itertools.islice(stream, count):
        pass
    return stream


def copy_targets(batch: Batch) -> Batch:
    """Return a batch with copies of its targets and weights, which metrics may store.

    A loader may reuse the memory of its tensors, and each tensor of a worker keeps a file open.
    """
    weights = None if batch.sample_weight is None else map_structure(copy_leaf, batch.sample_weight)
    return batch.with_parts(batch.x, map_structure(copy_leaf, batch.y), weights)


def copy_tensors(batch: Batch) -> Batch:
    """Return a copy of a batch, for callers that draw the next batch before they use this one."""
    return batch.with_parts(*(map_structure(copy_leaf, part) for part in batch))
