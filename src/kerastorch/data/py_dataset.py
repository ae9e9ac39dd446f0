"""PyDataset: the base class of datasets whose `[i]` is a batch, as in Keras."""

from __future__ import annotations

from typing import Any

from kerastorch.core.errors import check_int


class PyDataset:
    """Base class of a dataset whose `[i]` is batch `i`, and whose length is the number of batches, as in Keras.

    A subclass defines `__len__` and `__getitem__`. Without `__len__`, it may have a property `num_batches`, which is
    `None` if the batches never end; `fit` then needs `steps_per_epoch`.

    `fit` reads the batches in a new order for each epoch, in one process and thread by default.

    Args:
        workers: Number of threads or processes that read batches. Default 1: no further thread or process.
        use_multiprocessing: Whether workers are processes, which also compute in parallel. Threads are enough if
            batches are read from files. If several threads draw random numbers from the global generators, each run
            has other ones, and training does not resume exactly; processes are seeded for each batch. Default `False`.
        max_queue_size: Number of batches that workers read before they are needed. Default 10.

    Raises:
        ValueError: `workers` or `max_queue_size` is out of its range.

    Source: `keras.utils.PyDataset` of Keras 3.

    >>> import numpy as np
    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.arange(4.0) + index
    ...         return x[:, None], x[:, None] ** 2
    >>> data = Squares(workers=2)
    >>> data.num_batches, data[0][0].shape
    (3, (4, 1))
    """

    # for subclasses whose __init__ does not call that of this class
    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = check_int("workers", workers, 0)
        self.use_multiprocessing = bool(use_multiprocessing)
        self.max_queue_size = check_int("max_queue_size", max_queue_size)

    def __getitem__(self, index: int) -> Any:
        """Return batch `index`: `(x, y)`, `(x, y, sample_weight)`, or one of the other forms of a batch."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index), which returns a batch.")

    @property
    def num_batches(self) -> int | None:
        """The number of batches; `None` if they never end."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(f"{type(self).__name__} must define __len__(self), the number of batches.")

    def on_epoch_begin(self) -> None:
        """Do what is needed before each pass; called by `fit`."""

    def on_epoch_end(self) -> None:
        """Do what is needed after each pass, such as shuffling; called by `fit`."""
