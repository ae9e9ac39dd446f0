"""Recognising, checking and converting the arguments `x`, `y` and `sample_weight` to `Batches`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from kerastorch.core.errors import check_int
from kerastorch.core.nested import first_rows, leaves
from kerastorch.core.tables import column_names
from kerastorch.data import arrays
from kerastorch.data.array_sources import open_array
from kerastorch.data.batch_reader import BatchReader, warn_of_integer_weights
from kerastorch.data.batch_size import check_batch_size, check_no_batch_size
from kerastorch.data.batched_dataset import BatchedDataset, order_of
from kerastorch.data.batches import ArrayBatches, Batch, Batches, FirstBatches, Resumable
from kerastorch.data.data_kind import OBJECT, SEQUENCE, kind_of
from kerastorch.data.finite_check import NonFinite, find_nonfinite, raise_nonfinite
from kerastorch.data.lazy_arrays import LazyArray
from kerastorch.data.loaders import LoaderBatches, StreamBatches
from kerastorch.data.prefetch import Prefetcher
from kerastorch.data.rank_arrays import RankArrayBatches
from kerastorch.data.rank_loaders import RankLoaderBatches, RankLoaderTurns, can_be_divided, warn_of_whole_reads
from kerastorch.data.rank_shard import RowShard
from kerastorch.data.rank_slices import RankSlices
from kerastorch.data.samples import collate_samples, with_tensors
from kerastorch.data.sequences import (
    Samples,
    SequenceBatches,
    check_ends,
    is_py_dataset,
)
from kerastorch.data.shuffle import EpochSampler
from kerastorch.data.validation_split import split_rows, warn_of_unlike_parts
from kerastorch.data.worker_reads import WORKER_KINDS, RequestSampler, check_workers, worker_loader

DEFAULT_BATCH_SIZE = 32
_WHOLE = 2**62  # a batch size that no data reaches
Cast = Callable[[Batch], Batch]


class DataAdapter:
    """The data of one call of `fit`, `evaluate` or `predict`, recognised and checked.

    Args:
        x: Arrays (nested for several inputs), a `Dataset`, a `DataLoader`, a generator, or a function that
            returns one.
        y: Targets; only with arrays.
        sample_weight: Weights of samples, also by output; only with arrays.
        names: Names of these three arguments in messages.
        finite: Whether NaN and infinity in arrays raise an error.
        shard: Which rows of arrays this rank searches for NaN and infinity, which then are no error here: the ranks
            tell each other what they found. Default: all rows.
        cast: Applied once to all arrays.
        prefetcher: Copies pieces of arrays on the CPU to the model's device; `None` leaves them on the CPU.
        reader: Reads what data yield, and dicts of arrays. Default: `(x, y, sample_weight)` by position.
        workers: Number of processes that read a `Dataset`, and of threads or processes that read a sequence of batches;
            0 for none, or for what the sequence says.

    Raises:
        TypeError: `x` is no data, or its dtype is not numeric.
        ValueError: Lengths differ, values are not finite, or `y` was given with a source of batches.

    Attributes:
        kind: Kind of the data, for messages, such as `"arrays"` or `"DataLoader"`.
        columns: Names of the columns of a DataFrame, else `None`.
        samples: Number of rows, `None` if unknown.
        reader: Reads what the data yield.
        workers: Number of workers.
        nonfinite: What this rank has found of NaN and infinity, if it searches a part of the rows.
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        names: tuple[str, str, str] = ("x", "y", "sample_weight"),
        finite: bool = True,
        shard: RowShard | None = None,
        cast: Cast = lambda batch: batch,
        prefetcher: Prefetcher | None = None,
        reader: BatchReader | None = None,
        workers: int = 0,
    ) -> None:
        self._prefetcher, self.reader = prefetcher, reader or BatchReader()
        self.kind = kind_of(x, y, names[0], self.reader.row_axes)
        self.columns = column_names(x)
        if isinstance(x, TensorDataset) and self.reader.reads_tensors_as_arrays:
            _check_not_given(self.kind, y=y, sample_weight=sample_weight)
            if len(x.tensors) > 3:
                raise ValueError(
                    f"{names[0]} is a TensorDataset of {len(x.tensors)} tensors; expected (x,), (x, y) or "
                    "(x, y, sample_weight). Several inputs are a list: fit([a, b], y)."
                )
            x, y, sample_weight = (*x.tensors, None, None)[:3]
            if not self.reader.inputs_only:
                warn_of_integer_weights(sample_weight)
            self.kind = "arrays"
        self.workers = check_workers(workers, self.kind)
        self.nonfinite: list[NonFinite] = []
        if self.kind == "arrays":
            arrays.check_indexes(x, y)
            if y is None and isinstance(x, Mapping):
                x, y, _ = self.reader.read_arrays(x)
            opened = _check_arrays(_open(x, y, sample_weight, names), names)
            if finite:
                self.nonfinite = find_nonfinite(dict(zip(names, opened[:2], strict=False)), shard)
            if shard is None:
                raise_nonfinite(self.nonfinite)
            self._data: Any = cast(self.reader.with_target(opened))
            self.samples: int | None = first_rows(self._data.x)
        elif self.kind == OBJECT:
            self._data = [x] if y is None else [Batch(x, *map(arrays.to_tensors, (y, sample_weight), names[1:]))]
            self.samples = None
        else:
            _check_not_given(self.kind, y=y, sample_weight=sample_weight)
            self._data = with_tensors(x)
            self.samples = len(x) if self.kind == "Dataset" else None

    @property
    def holder(self) -> Any:
        """Return the object that may hold random generators, or `None` for arrays."""
        return None if self.kind == "arrays" else self._data

    def read_by(self, reader: BatchReader) -> Self:
        """Return the same data, whose batches another reader reads."""
        other = copy.copy(self)
        other.reader = reader
        return other

    def read_in(self, workers: int) -> Self:
        """Return the same data, read by a number of workers if data of this kind can be."""
        other = copy.copy(self)
        other.workers = workers if self.kind in WORKER_KINDS else 0
        return other

    def arrays(self) -> Batch | None:
        """Return the arrays, cast as batches are, or `None` for other data."""
        return self._data if self.kind == "arrays" else None

    @property
    def takes_batch_size(self) -> bool:
        """Return whether the data has single samples, so that a batch size can be given."""
        return self.kind in ("arrays", "Dataset", "IterableDataset")

    @property
    def own_batch_size(self) -> int | None:
        """Return the batch size of a dataset that has one."""
        return self._data.batch_size if isinstance(self._data, BatchedDataset) else None

    def targets(self) -> Any:
        """Return all targets if they are in memory, else `None`; of a `Dataset`, its attribute `targets`."""
        if self.kind == "arrays":
            is_lazy = any(isinstance(leaf, LazyArray) for _, leaf in leaves(self._data.y))
            return None if is_lazy else self._data.y
        found = getattr(self._data, "targets", None) if self.kind == "Dataset" else None
        try:
            given = None if found is None else torch.as_tensor(found)
        except (TypeError, ValueError, RuntimeError):  # text, or objects of another kind
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
        shard: RowShard | None = None,
    ) -> Resumable:
        """Return the batches of the data, or the part of each batch that one rank of several computes.

        Args:
            batch_size: Rows of a batch. Default: that of the dataset, else 32. Must be `None` for a source of batches.
            shuffle: Whether each epoch has a new order; ignored for sources with their own order. `'batch'`, for arrays
                only, permutes the rows within each batch.
            seed: Seed of the order, together with the number of the epoch.
            rows: Indices of the rows to use, int64 `(n,)`; by default all.
            trains: Whether passes are epochs of training, whose numbers are passed to the samplers of a loader.
            shard: Which rows of each batch this rank computes. Default: all.

        Raises:
            ValueError: An argument does not apply to this kind of data.
        """
        if shard is None:
            return self._whole_batches(batch_size, shuffle, seed, rows, trains=trains)
        if self.kind == "arrays":
            return RankArrayBatches(
                self._data, self._size(batch_size), shuffle, seed, rows, self._prefetcher, shard=shard
            )
        if self.kind == "Dataset":
            loader, sampler = self._loader(batch_size, shuffle, seed, rows, trains=trains)
            return RankLoaderBatches(loader, sampler, reader=self.reader, trains=trains, shard=shard)
        if self.kind == "DataLoader" and can_be_divided(self._data):
            check_no_batch_size(batch_size, self.kind)
            return RankLoaderBatches(self._data, reader=self.reader, trains=trains, shard=shard)
        if self.kind == "DataLoader":
            warn_of_whole_reads(self._data, shard)
        return RankSlices(self._whole_batches(batch_size, shuffle, seed, rows, trains=trains), shard)

    def _whole_batches(
        self, batch_size: int | None, shuffle: bool | str, seed: int, rows: Tensor | None, *, trains: bool
    ) -> Resumable:
        """Return the batches that one process would compute; see `batches`."""
        if not self.takes_batch_size:
            check_no_batch_size(batch_size, self.kind, is_ignored=is_py_dataset(self._data))
            if self.kind == SEQUENCE:
                shuffled = self._shuffles(shuffle)
                return SequenceBatches(self._data, shuffled, seed, reader=self.reader, workers=self.workers)
            if self.kind == "DataLoader":
                return LoaderBatches(self._data, reader=self.reader, trains=trains)
            return StreamBatches(self._data, reader=self.reader)
        if self.kind == "arrays":
            return ArrayBatches(self._data, self._size(batch_size), shuffle, seed, rows, self._prefetcher)
        loader, sampler = self._loader(batch_size, shuffle, seed, rows, trains=trains)
        return LoaderBatches(loader, sampler, reader=self.reader, trains=trains)

    def _size(self, batch_size: int | None) -> int:
        """Return the batch size, checked; if there is none, that of the dataset, else 32."""
        return self.own_batch_size or DEFAULT_BATCH_SIZE if batch_size is None else check_batch_size(batch_size)

    def _loader(
        self, batch_size: int | None, shuffle: bool | str, seed: int, rows: Tensor | None, *, trains: bool
    ) -> tuple[DataLoader[Any], EpochSampler | None]:
        """Return a loader over the samples of a dataset, and its sampler, if the samples have an order."""
        size = self._size(batch_size)
        shuffled, seed = order_of(self._data, self._shuffles(shuffle), seed)
        if self.kind == "IterableDataset":
            samples = Samples(self._data)
            return DataLoader(samples, size, generator=torch.Generator(), collate_fn=collate_samples), None
        dataset: Dataset[Any] = self._data if rows is None else Subset(self._data, rows.tolist())
        count = len(self._data) if rows is None else len(rows)
        if self.workers:
            requests = RequestSampler(count, seed, shuffled)
            return worker_loader(dataset, size, requests, self.workers, trains=trains), requests
        sampler = EpochSampler(count, seed, shuffled)
        # with its own generator, since a DataLoader otherwise draws from torch's global one at the start of each pass
        generator = torch.Generator()
        return DataLoader(dataset, size, sampler=sampler, generator=generator, collate_fn=collate_samples), sampler

    def turns(self, shard: RowShard, steps: int | None) -> Batches | None:
        """Return the batches of a loader of which a rank reads every `world`-th one; `None` if it must read them all.

        Args:
            shard: Which batches this rank computes.
            steps: The largest number of batches, of all ranks; `None` for all.
        """
        if self.kind != "DataLoader" or not can_be_divided(self._data):
            return None
        return RankLoaderTurns(self._data, reader=self.reader, shard=shard, limit=steps)

    def _shuffles(self, shuffle: bool | str) -> bool:
        if shuffle == "batch":
            raise ValueError(f"shuffle='batch' is for arrays, got a {self.kind}; use True or False.")
        return bool(shuffle)

    def split(self, share: float, *, stratify: Any, shuffle: bool, seed: int | None) -> tuple[Tensor, Tensor]:
        """Return the indices of the training rows and of the validation rows, int64.

        Args:
            share: Fraction of the rows that validate.
            stratify: `True` or labels, `(samples,)`, to give both parts the same proportions of classes.
            shuffle: Whether validation rows are drawn at random; by default they are the last rows.
            seed: Seed of the random or stratified split. Default 0.

        Raises:
            ValueError: The data has no rows that can be selected, or a part would be empty.

        Warns:
            UserWarning: The labels of the two parts differ as if the rows were sorted.
        """
        if self.samples is None:
            raise ValueError(
                f"validation_split needs arrays or a map-style Dataset, got a {self.kind}; pass validation_data."
            )
        labels = None if stratify is None or stratify is False else self._labels(stratify)
        train, validation = split_rows(self.samples, share, stratify=labels, shuffle=shuffle, seed=seed)
        is_unshuffled = not shuffle and labels is None
        warn_of_unlike_parts(self.targets(), train, validation, is_unshuffled=is_unshuffled)
        return train, validation

    def _labels(self, stratify: Any) -> Tensor:
        labels: Any = self.targets() if stratify is True else arrays.to_tensor(stratify, "validation_stratify")
        if labels is None and self.kind == "Dataset":
            labels = torch.as_tensor([int(self._data[index][1]) for index in range(len(self._data))])
        if not isinstance(labels, Tensor):
            raise ValueError("validation_stratify=True needs one target with class numbers; pass the labels instead.")
        if len(labels) != self.samples:
            raise ValueError(f"x has {self.samples} samples, validation_stratify has {len(labels)}.")
        return labels.to(torch.float64).argmax(1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.flatten()


def only_batch(x: Any, y: Any, sample_weight: Any, reader: BatchReader) -> Resumable:
    """Return one batch: arrays, whose first axes need not have one length, or a batch as a loader yields it.

    Args:
        x: Inputs; or a batch, if there is a function that prepares it, or it is an object.
        y: Targets.
        sample_weight: Weights of samples.
        reader: Reads a batch.
    """
    if y is None and sample_weight is None and reader.prepare is not None:
        return StreamBatches([x], reader=reader)
    if arrays.have_several_lengths(x) or arrays.has_rows_on_axis_1(x, y):
        given = map(arrays.to_tensors, (x, y, sample_weight), ("x", "y", "sample_weight"))
        return StreamBatches([Batch(*given)], reader=reader)
    data = DataAdapter(x, y, sample_weight, finite=False, reader=reader)
    return data.batches(_WHOLE if data.takes_batch_size else None)


def limit_batches(batches: Batches, steps: int | None, name: str = "steps") -> Batches:
    """Return batches of which each pass has at most `steps`.

    Args:
        batches: The batches to limit.
        steps: Maximal number of batches of a pass; `None` for no limit.
        name: Name of the argument `steps` in messages.
    """
    if steps is None:
        check_ends(batches, name)
    return batches if steps is None else FirstBatches(batches, check_int(name, steps))


def _open(x: Any, y: Any, sample_weight: Any, names: tuple[str, str, str]) -> Batch:
    """Return arrays as tensors, and large ones that would be copied as lazy arrays; sample weights as tensors."""
    inputs, targets = (arrays.to_tensors(one, name, open_array) for one, name in ((x, names[0]), (y, names[1])))
    return Batch(inputs, targets, arrays.to_tensors(sample_weight, names[2]))


def _check_not_given(kind: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} cannot be given with a {kind}; let it yield (x, y) or (x, y, sample_weight).")


def _check_arrays(data: Batch, names: tuple[str, str, str]) -> Batch:
    arrays.check_lengths(**{name: part for name, part in zip(names, data, strict=True) if part is not None})
    arrays.check_weights(*(weight for _, weight in leaves(data.sample_weight)))
    return data
