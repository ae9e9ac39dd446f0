"""BatchedDataset: a torch Dataset of samples that has a batch size, an order, and the methods of a pipeline."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from kerastorch.core.absent_names import absent_name
from kerastorch.core.errors import check_int
from kerastorch.data.sample_sources import CachedSamples, MappedSamples, SampleSource, SelectedSamples, stack_samples
from kerastorch.data.shuffle import permutation
from kerastorch.data.worker_reads import WorkerReads


class BatchedDataset(Dataset[Any]):
    """The dataset that `image_dataset_from_directory` and similar functions return.

    An index gives a sample, as in every torch `Dataset`: `dataset[i]` is sample `i`, and `len(dataset)` is the number
    of samples. Iteration gives batches, as in Keras: `for x, y in dataset`. `fit(dataset)` trains with the batch size
    and in the order of the dataset. `fit(dataset, workers=4)` and `DataLoader(dataset, batch_size=8, num_workers=4)`
    read the samples in worker processes.

    Each pass of a shuffled dataset has another order. It depends only on the seed and the number of the pass, so that
    training resumes exactly.

    Attributes:
        batch_size: Number of samples in a batch; `None` if iteration gives single samples.
        is_shuffled: Whether passes shuffle the samples.
        seed: Seed of the order of passes. `None`: that of `torch.manual_seed` or `utils.set_random_seed`.
        class_names: Names of the classes in the order of their numbers, or `None`.
        file_paths: Path of each sample, in the order of the indices, or `None`.
        targets: Targets of all samples, if they are known without reading the samples, else `None`.
    """

    def __init__(
        self,
        source: SampleSource,
        *,
        batch_size: int | None,
        shuffle: bool = False,
        seed: int | None = None,
        class_names: list[str] | None = None,
        file_paths: list[str] | None = None,
        targets: Tensor | None = None,
    ) -> None:
        self.batch_size = None if batch_size is None else check_int("batch_size", batch_size)
        self.is_shuffled = bool(shuffle)
        self.seed = None if seed is None else check_int("seed", seed, 0)
        self.class_names, self.file_paths, self.targets = class_names, file_paths, targets
        self._source, self._passes = source, 0

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Any:
        at = operator.index(index)
        if not -len(self) <= at < len(self):
            raise IndexError(f"the dataset has {len(self)} samples, got the index {at}.")
        return self._source.read([at % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        return self._source.read(indices)  # torch's DataLoader calls this with the indices of a batch

    def __iter__(self) -> Iterator[Any]:
        order = self._order(self._passes)
        self._passes += 1
        if self.batch_size is None:
            return (self._source.read([row])[0] for row in order)
        starts = range(0, len(order), self.batch_size)
        return (stack_samples(self._source.read(order[start : start + self.batch_size])) for start in starts)

    def _order(self, number: int) -> list[int]:
        shuffled, seed = order_of(self, True, torch.initial_seed())
        return permutation(len(self), seed, number).tolist() if shuffled else list(range(len(self)))

    def checksum(self) -> int:
        """Return a number that depends on which samples the dataset has, and on their order.

        A resumed training compares it with that of the interrupted one.
        """
        return self._source.checksum()

    def cardinality(self) -> int:
        """Return the number of batches of a pass; of samples, if the dataset has no batch size."""
        return -(-len(self) // (self.batch_size or 1))

    def map(
        self, map_func: Callable[..., Any], num_parallel_calls: int | None = None, deterministic: bool | None = None
    ) -> Self:
        """Return a dataset whose batches have gone through a function, as `map` of `tf.data`.

        The function is called with the tensors of a batch, `map_func(x)` or `map_func(x, y)`, without recording
        gradients. It must keep the number of rows. If the dataset has no batch size, it is called with single samples.

        Args:
            map_func: The function. It may call layers, such as `Rescaling`, `RandomFlip` or `TextVectorization`.
            num_parallel_calls: No effect: the workers of `fit` or of a `DataLoader` call the function.
            deterministic: No effect: batches always keep their order.

        Raises:
            ValueError: The function returns another number of rows; raised when a batch is read.
        """
        if not callable(map_func):
            raise TypeError(f"map takes a function of a batch, got {map_func!r}.")
        return self._changed(_source=MappedSamples(self._source, map_func, self.batch_size is not None), targets=None)

    def take(self, count: int) -> Self:
        """Return the dataset of the first `count` batches, in the order of `file_paths`; `-1` takes all."""
        return self.select(range(self._rows(count)) if count != -1 else range(len(self)))

    def skip(self, count: int) -> Self:
        """Return the dataset without its first `count` batches, in the order of `file_paths`."""
        return self.select(range(self._rows(count), len(self)))

    def _rows(self, count: int) -> int:
        """Return the number of samples in the first `count` batches."""
        return min(check_int("count", count, 0) * (self.batch_size or 1), len(self))

    def select(self, rows: Sequence[int]) -> Self:
        """Return the dataset of the samples with these indices, in this order."""
        rows = list(rows)
        paths = None if self.file_paths is None else [self.file_paths[row] for row in rows]
        targets = None if self.targets is None else self.targets[rows]
        return self._changed(_source=SelectedSamples(self._source, rows), file_paths=paths, targets=targets)

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Self:
        """Return a dataset with a batch size, made from one without.

        Raises:
            ValueError: The dataset has a batch size, or `drop_remainder` is `True`.
        """
        if self.batch_size is not None:
            raise ValueError(
                f"the dataset already has batches of {self.batch_size}. Write dataset.unbatch().batch({batch_size})."
            )
        if drop_remainder:
            raise ValueError(
                f"batch keeps an incomplete last batch. To drop it, write DataLoader(dataset, {batch_size}, "
                "shuffle=True, drop_last=True)."
            )
        return self._changed(batch_size=check_int("batch_size", batch_size))

    def unbatch(self) -> Self:
        """Return a dataset whose iteration gives single samples."""
        return self._changed(batch_size=None)

    def shuffle(
        self, buffer_size: int | None = None, seed: int | None = None, reshuffle_each_iteration: bool = True
    ) -> Self:
        """Return a dataset that gives its samples in another order in each pass.

        Args:
            buffer_size: No effect: all samples are shuffled.
            seed: Seed of the order. Default: that of the dataset.
            reshuffle_each_iteration: Only `True`.
        """
        if not reshuffle_each_iteration:
            raise ValueError(
                "shuffle gives each pass another order. For one fixed order, write dataset.select(torch.randperm(len("
                "dataset)).tolist())."
            )
        return self._changed(is_shuffled=True, seed=self.seed if seed is None else check_int("seed", seed, 0))

    def cache(self) -> Self:
        """Return a dataset that keeps the samples in memory after they have been read once.

        Random changes are kept, too: make them in a `map` after `cache`. Samples are kept by the process that reads
        them; each worker keeps its own, for one epoch.
        """
        return self._changed(_source=CachedSamples(self._source))

    def prefetch(self, buffer_size: int | None = None) -> Self:
        """Return the dataset itself: the workers of `fit` or of a `DataLoader` read batches ahead."""
        return self

    def _changed(self, **attributes: Any) -> Self:
        """Return a copy with other attributes."""
        changed = copy.copy(self)
        vars(changed).update(attributes, _passes=0)
        return changed

    def __repr__(self) -> str:
        classes = "" if self.class_names is None else f", classes={len(self.class_names)}"
        return (
            f"{type(self).__name__}(samples={len(self)}, batch_size={self.batch_size}, shuffle={self.is_shuffled}"
            f"{classes})"
        )

    def __getattr__(self, name: str) -> Any:
        raise absent_name(f"{type(self).__name__}", name, dir(type(self)), _ADVICE)


_ADVICE = {  # for methods of tf.data.Dataset
    "repeat": "fit starts a new pass by itself: leave it out, with steps_per_epoch too.",
    "filter": "Write dataset.select([i for i in range(len(dataset)) if ...]), e.g. with dataset.targets.",
    "concatenate": "Write torch.utils.data.ConcatDataset([first, second]).",
    "as_numpy_iterator": "Write x.numpy() within 'for x, y in dataset'.",
    "enumerate": "Write enumerate(dataset).",
    "element_spec": "Look at dataset[0], a sample, or at next(iter(dataset)), a batch.",
    "padded_batch": "Pad in a function for map, for example with utils.pad_sequences.",
    "apply": "Call the function with the dataset.",
    "with_options": "Leave it out.",
}


def order_of(data: Any, shuffle: bool, seed: int) -> tuple[bool, int]:
    """Return whether passes over a dataset are shuffled, and with which seed.

    Args:
        data: A dataset. A `BatchedDataset` is shuffled only if it says so, with its own seed if it has one.
        shuffle: Whether the caller wants to shuffle.
        seed: The seed of the caller.
    """
    if not isinstance(data, BatchedDataset):
        return shuffle, seed
    return shuffle and data.is_shuffled, seed if data.seed is None else data.seed


def checksum_of(data: Any) -> dict[str, int]:
    """Return the checksum of a `BatchedDataset`, or of the one that other datasets refer to; empty if there is none."""
    base = data
    while isinstance(base, (Subset, WorkerReads)):
        base = base.dataset
    return {"the checksum of the samples": base.checksum()} if isinstance(base, BatchedDataset) else {}
