"""Reading a dataset in worker processes and threads: random numbers depend on the batch, not on the worker."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from kerastorch.core.errors import check_int
from kerastorch.data.dataloader_workers import iterate_with_worker_errors
from kerastorch.data.samples import collate_samples
from kerastorch.data.shuffle import EpochSampler


class Request(NamedTuple):
    """An index that a worker reads, with the seed of the pass, its number and the position in it."""

    seed: int
    epoch: int
    position: int
    index: Any


class RequestSampler(EpochSampler):
    """An `EpochSampler` whose items are requests."""

    def __iter__(self) -> Iterator[Any]:
        for position, index in enumerate(super().__iter__(), self.start):
            yield Request(self.seed, self.epoch, position, index)


class WorkerReads(Dataset[Any]):
    """A dataset that is read in workers of a `DataLoader`.

    Before each batch, the global random generators of the worker are seeded with the seed, the number of the pass and
    the position of the batch. Samples are thus the same for each number of workers, and after training resumes. The
    seed comes with each request, because workers may run before a checkpoint gives the sampler another seed.

    Args:
        dataset: The dataset of the user.
        trains: Whether the number of a pass is passed to the method `set_epoch` of the dataset, if it has one.
    """

    def __init__(self, dataset: Any, trains: bool) -> None:
        self.dataset, self._trains = dataset, trains
        self._epoch: int | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, request: Request) -> Any:
        self._begin(request)
        return self.dataset[request.index]

    def __getitems__(self, requests: Sequence[Request]) -> Any:
        self._begin(requests[0])
        indices = [request.index for request in requests]
        together = getattr(self.dataset, "__getitems__", None)
        return together(indices) if callable(together) else [self.dataset[index] for index in indices]

    def _begin(self, request: Request) -> None:
        """Seed the generators, and announce a new pass to the dataset."""
        state = np.random.SeedSequence(request[:3]).generate_state(3, np.uint64)
        torch.manual_seed(int(state[0] >> np.uint64(1)))
        random.seed(int(state[1]))
        np.random.seed(int(state[2] % 2**32))
        if self._trains and request.epoch != self._epoch:
            self._epoch = request.epoch
            set_epoch = getattr(self.dataset, "set_epoch", None)
            if callable(set_epoch):
                set_epoch(request.epoch)


def worker_loader(
    dataset: Any, batch_size: int, sampler: RequestSampler, workers: int, *, trains: bool
) -> DataLoader[Any]:
    """Return a loader whose workers run until it is deleted, and read the next batches in each pass.

    Args:
        dataset: Gives samples by index.
        batch_size: Rows of a batch.
        sampler: The order of passes; its seed is that of random numbers.
        workers: Number of processes, at least 1.
        trains: Whether passes are epochs of training.
    """
    reads = WorkerReads(dataset, trains)
    generator = torch.Generator()  # otherwise the loader draws from the global generator of torch
    return DataLoader(
        reads,
        batch_size,
        sampler=sampler,
        generator=generator,
        collate_fn=collate_samples,
        num_workers=workers,
        persistent_workers=True,
    )


def read_in_processes(
    sequence: Any, indices: Iterable[int], *, workers: int, ahead: int, seed: int, epoch: int, start: int
) -> Iterator[Any]:
    """Yield `sequence[i]` for each index in order, read by processes that end with the pass.

    Args:
        sequence: Gives batches by index.
        indices: The indices.
        workers: Number of processes.
        ahead: Number of batches that are read before they are needed.
        seed: Seed of random numbers in the workers.
        epoch: Number of the pass.
        start: Position of the first index in the pass.
    """
    requests = [Request(seed, epoch, position, index) for position, index in enumerate(indices, start)]
    loader: DataLoader[Any] = DataLoader(
        WorkerReads(sequence, trains=False),
        batch_size=None,
        sampler=requests,
        num_workers=workers,
        prefetch_factor=max(1, ahead // workers),
        collate_fn=_unchanged,
        generator=torch.Generator(),
    )
    return iterate_with_worker_errors(loader)


def _unchanged(batch: Any) -> Any:
    return batch


def read_in_threads(read: Callable[[int], Any], indices: Iterable[int], *, workers: int, ahead: int) -> Iterator[Any]:
    """Yield `read(i)` for each index in order, computed by threads.

    An error of `read` is raised in place of its item.

    Args:
        read: A function that several threads may call at once.
        indices: The indices.
        workers: Number of threads.
        ahead: Number of items that are read before they are needed.
    """
    pending: deque[Future[Any]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="kerastorch-worker")
    try:
        for index in indices:
            pending.append(pool.submit(read, index))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


WORKER_KINDS = ("Dataset", "sequence of batches")  # kinds of data that workers read
_ADVICE = {
    "arrays": "rows of arrays are gathered many at a time, which needs no workers. Leave workers out",
    "DataLoader": "a DataLoader has its own: DataLoader(dataset, batch_size=32, num_workers={workers})",
    "IterableDataset": (
        "each worker would yield all samples of an IterableDataset, unless it divides them by "
        "torch.utils.data.get_worker_info. If it does, pass DataLoader(dataset, batch_size=32, num_workers={workers})"
    ),
    "generator": "a generator can only be read in one place. Pass a Dataset, or leave workers out",
}


def check_workers(workers: Any, kind: str) -> int:
    """Return the argument `workers` of `fit`, `evaluate` or `predict`.

    Args:
        workers: An integer >= 0.
        kind: Kind of the data.

    Raises:
        ValueError: It is another value, or data of this kind are not read by workers.
    """
    count = check_int("workers", workers, 0)
    if count and kind not in WORKER_KINDS:
        advice = _ADVICE.get(kind, _ADVICE["generator"].replace("generator", kind))
        raise ValueError(f"workers={count}: {advice.format(workers=count)}.")
    return count
