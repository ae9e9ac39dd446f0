"""The one door for data: what the user passed as x, y and weights -> `Batches`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from torch.utils.data.distributed import DistributedSampler

from kerastorch.core.errors import check_int
from kerastorch.core.nested import rows as rows_of
from kerastorch.data import arrays
from kerastorch.data.batches import ArrayBatches, Batch, Batches, FirstBatches, Resumable
from kerastorch.data.loaders import LoaderBatches, StreamBatches, ask_about_weights
from kerastorch.data.prefetch import Prefetcher
from kerastorch.data.sequences import Samples, SequenceBatches, check_not_list_of_items, is_sequence_of_batches
from kerastorch.data.shuffle import EpochSampler
from kerastorch.data.validation_split import split_rows, warn_of_unlike_parts

DEFAULT_BATCH_SIZE = 32
SEQUENCE = "sequence of batches"
Cast = Callable[[Batch], Batch]


class DataAdapter:
    """Data as the user gave it, recognised and checked; `batches` and `split` make what is iterated over.

    Args:
        x: arrays (nested for several inputs), a `Dataset`, a `DataLoader`, a generator, or a function that
            returns one.
        y: targets beside arrays.
        sample_weight: weights beside arrays.
        names: what messages call these three.
        finite: whether NaN and infinity are refused.
        cast: what is done to arrays once, before training.
        prefetcher: brings pieces of arrays that are on the CPU to where they are wanted.
        inputs_only: leave out targets and weights that come with `x`.
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        names: tuple[str, str, str] = ("x", "y", "sample_weight"),
        finite: bool = True,
        cast: Cast = lambda batch: batch,
        prefetcher: Prefetcher | None = None,
        inputs_only: bool = False,
    ) -> None:
        self._carry, self._inputs_only = prefetcher, inputs_only
        if y is None:
            check_not_list_of_items(x, names[0])
        self.kind = _kind(x, names[0])
        self.columns = arrays.columns(x)
        if isinstance(x, TensorDataset):
            _refuse(self.kind, y=y, sample_weight=sample_weight)
            if len(x.tensors) > 3:
                raise ValueError(
                    f"{names[0]} is a TensorDataset of {len(x.tensors)} tensors; expected (x,), (x, y) or "
                    "(x, y, sample_weight). Several inputs are a list: fit([a, b], y)."
                )
            x, y, sample_weight = (*x.tensors, None, None)[:3]
            if not inputs_only:
                ask_about_weights(sample_weight)
            self.kind = "arrays"
        if self.kind == "arrays":
            arrays.check_indexes(x, y)
            checked = _check(Batch(*map(arrays.tensors, (x, y, sample_weight), names)), names, finite)
            self._data: Any = cast(checked)
            self.samples: int | None = rows_of(self._data.x)
        else:
            _refuse(self.kind, y=y, sample_weight=sample_weight)
            self._data = x
            self.samples = len(x) if self.kind == "Dataset" else None

    @property
    def holder(self) -> Any:
        """What may hold generators of its own; `None` for arrays."""
        return None if self.kind == "arrays" else self._data

    @property
    def takes_batch_size(self) -> bool:
        """Whether batches are ours to make."""
        return self.kind in ("arrays", "Dataset", "IterableDataset")

    def targets(self) -> Any:
        """All targets where they are in memory (for a `Dataset`: its `targets`), else `None`."""
        if self.kind == "arrays":
            return self._data.y
        found = getattr(self._data, "targets", None) if self.kind == "Dataset" else None
        try:
            given = None if found is None else torch.as_tensor(found)
        except (TypeError, ValueError, RuntimeError):  # text, or something of the dataset's own
            return None
        return given if given is not None and given.ndim and len(given) == self.samples else None

    def batches(
        self,
        batch_size: int | None,
        *,
        shuffle: bool | str = False,
        seed: int = 0,
        rows: Tensor | None = None,
        trains: bool = False,
    ) -> Resumable:
        """What to iterate over.

        Args:
            batch_size: rows of a batch, 32 if `None`; not for a source that comes in batches.
            shuffle: a new order each epoch; not for a source that has its own.
            seed: what that order depends on, beside the epoch.
            rows: use these rows only.
            trains: passes are epochs of training, whose numbers a loader's samplers are told.
        """
        if not self.takes_batch_size:
            if batch_size is not None:
                raise ValueError(f"batch_size cannot be given with a {self.kind}; it comes in batches.")
            if self.kind == SEQUENCE:
                return SequenceBatches(self._data, self._shuffles(shuffle), seed, inputs_only=self._inputs_only)
            if self.kind == "DataLoader":
                return LoaderBatches(self._data, inputs_only=self._inputs_only, trains=trains)
            return StreamBatches(self._data, inputs_only=self._inputs_only)
        size = check_int("batch_size", DEFAULT_BATCH_SIZE if batch_size is None else batch_size)
        if self.kind == "arrays":
            return ArrayBatches(self._data, size, shuffle, seed, rows, self._carry)
        shuffled = self._shuffles(shuffle)
        if self.kind == "IterableDataset":
            samples = DataLoader(Samples(self._data), size, generator=torch.Generator())
            return LoaderBatches(samples, inputs_only=self._inputs_only, trains=trains)
        dataset: Dataset[Any] = self._data if rows is None else Subset(self._data, rows.tolist())
        sampler = EpochSampler(len(self._data) if rows is None else len(rows), seed, shuffled)
        # a generator of its own: a DataLoader draws from torch's global one at the start of every pass otherwise
        loader = DataLoader(dataset, size, sampler=sampler, generator=torch.Generator())
        return LoaderBatches(loader, sampler, inputs_only=self._inputs_only, trains=trains)

    def _shuffles(self, shuffle: bool | str) -> bool:
        if shuffle == "batch":
            raise ValueError(f"shuffle='batch' is for arrays, got a {self.kind}; use True or False.")
        return bool(shuffle)

    def split(self, share: float, *, stratify: Any, shuffle: bool, seed: int | None) -> tuple[Tensor, Tensor]:
        """The rows that train and those that validate; warns where their labels are unlike."""
        if self.samples is None:
            raise ValueError(
                f"validation_split needs arrays or a map-style Dataset, got a {self.kind}; pass validation_data."
            )
        labels = None if stratify is None or stratify is False else self._labels(stratify)
        train, validation = split_rows(self.samples, share, stratify=labels, shuffle=shuffle, seed=seed)
        as_they_lie = not shuffle and labels is None
        warn_of_unlike_parts(self.targets(), train, validation, as_they_lie=as_they_lie)
        return train, validation

    def _labels(self, stratify: Any) -> Tensor:
        labels: Any = self.targets() if stratify is True else arrays.tensor(stratify, "validation_stratify")
        if labels is None and self.kind == "Dataset":
            labels = torch.as_tensor([int(self._data[index][1]) for index in range(len(self._data))])
        if not isinstance(labels, Tensor):
            raise ValueError("validation_stratify=True needs one target with class numbers; pass the labels instead.")
        if len(labels) != self.samples:
            raise ValueError(f"x has {self.samples} samples, validation_stratify has {len(labels)}.")
        return labels.to(torch.float64).argmax(1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.flatten()


def limit_batches(batches: Batches, steps: int | None, name: str = "steps") -> Batches:
    """`batches`, no more than `steps` a pass."""
    return batches if steps is None else FirstBatches(batches, check_int(name, steps))


def check_keeps_order(x: Any) -> None:
    """Refuse, for `predict`, a loader whose rows would not come out in the data's order."""
    if not isinstance(x, DataLoader):
        return
    for one in (x.sampler, x.batch_sampler, getattr(x.batch_sampler, "sampler", None)):
        if max(getattr(one, "num_replicas", 1), getattr(one, "num_processes", 1)) > 1:
            raise ValueError(
                f"predict(): the DataLoader's {type(one).__name__} leaves out the rows of other processes, and the "
                "result would not match your data. Use a DataLoader without it."
            )
    sampler: Any = getattr(x.batch_sampler, "sampler", x.sampler)
    shuffles = isinstance(sampler, DistributedSampler) and sampler.shuffle
    if shuffles or isinstance(sampler, (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)):
        raise ValueError("predict(): the DataLoader shuffles, so rows would not match your data. Use shuffle=False.")


def check_keeps_all_rows(x: Any, verb: str) -> None:
    """Refuse a loader that leaves out the last rows."""
    if not isinstance(x, DataLoader):
        return
    sampler: Any = x.sampler
    if x.drop_last and hasattr(sampler, "__len__") and x.batch_size and len(sampler) % x.batch_size:
        raise ValueError(
            f"{verb}(): the DataLoader has drop_last=True and would drop {len(sampler) % x.batch_size} of "
            f"{len(sampler)} rows. Use drop_last=False."
        )


def _kind(x: Any, name: str) -> str:
    if isinstance(x, DataLoader):
        return "DataLoader"
    if isinstance(x, IterableDataset):
        return "IterableDataset"
    if isinstance(x, Dataset):
        return "Dataset"
    if arrays.is_array(x):
        return "arrays"
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return SEQUENCE if is_sequence_of_batches(x) else "Dataset"
    if isinstance(x, Iterator):
        return "generator"
    if callable(x):
        return "function that returns batches"
    if isinstance(x, Iterable):
        return "iterable"
    raise TypeError(
        f"{name} must be arrays, a Dataset, a DataLoader, a generator or a function that returns one, "
        f"got {type(x).__name__}."
    )


def _refuse(kind: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} cannot be given with a {kind}; let it yield (x, y) or (x, y, sample_weight).")


def _check(data: Batch, names: tuple[str, str, str], finite: bool) -> Batch:
    arrays.check_lengths(**{name: part for name, part in zip(names, data, strict=True) if part is not None})
    if finite:
        arrays.check_finite(data.x, names[0])
        arrays.check_finite(data.y, names[1])
    if isinstance(data.sample_weight, Tensor):
        arrays.check_weights(data.sample_weight)
    elif data.sample_weight is not None:
        raise ValueError("sample_weight must be one array: a weight for each sample, for all outputs.")
    return data
