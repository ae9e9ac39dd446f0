"""Samples that are read by index: the steps of which a `BatchedDataset` is made."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import default_collate

from kerastorch.core.array_conversion import from_array


class SampleSource(Protocol):
    """Samples that are read by index."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def read(self, rows: Sequence[int]) -> list[Any]:
        """Return the samples of these indices, from 0 to `len(self) - 1`."""

    def checksum(self) -> int:
        """Return a number that depends on which samples these are, and on their order."""


def stack_samples(samples: Sequence[Any]) -> Any:
    """Return the batch of samples: tensors are stacked, texts become a list, tuples and dicts stay what they are."""
    first = samples[0]
    if isinstance(first, tuple):
        return tuple(stack_samples(column) for column in zip(*samples, strict=True))
    if isinstance(first, Mapping):
        return {key: stack_samples([sample[key] for sample in samples]) for key in first}
    return list(samples) if isinstance(first, (str, bytes)) else default_collate(list(samples))


class MappedSamples:
    """Samples that have gone through a function, batch by batch or one by one."""

    def __init__(self, source: SampleSource, function: Callable[..., Any], batched: bool) -> None:
        self._source, self._function, self._batched = source, function, batched

    def __len__(self) -> int:
        return len(self._source)

    def checksum(self) -> int:
        return self._source.checksum()

    def read(self, rows: Sequence[int]) -> list[Any]:
        samples = self._source.read(rows)
        with torch.no_grad():  # tensors with gradients could not leave a worker
            if not self._batched:
                return [self._call(sample) for sample in samples]
            return _rows_in(self._call(stack_samples(samples)), len(samples))

    def _call(self, item: Any) -> Any:
        return self._function(*item) if isinstance(item, tuple) else self._function(item)


def _rows_in(batch: Any, count: int) -> list[Any]:
    """Return the rows of a batch that a function returned.

    Raises:
        ValueError: It has another number of rows than `count`.
    """
    if isinstance(batch, tuple):
        return list(zip(*(_rows_in(part, count) for part in batch), strict=True))
    if isinstance(batch, Mapping):
        columns = {key: _rows_in(part, count) for key, part in batch.items()}
        return [{key: column[row] for key, column in columns.items()} for row in range(count)]
    if isinstance(batch, np.ndarray) and batch.dtype.kind in "biufc":
        batch = from_array(batch, "what the function of map returned")
    shape = getattr(batch, "shape", None)
    if not hasattr(batch, "__len__") or shape == () or len(batch) != count:
        given = f"{type(batch).__name__}" if shape is None else f"an array of shape {tuple(shape)}"
        raise ValueError(
            f"the function of map got a batch of {count} rows and returned {given}. Return tensors of {count} rows, or "
            "write dataset.unbatch().map(function).batch(batch_size) for a function of single samples."
        )
    return list(batch)


class SelectedSamples:
    """The samples of some indices."""

    def __init__(self, source: SampleSource, rows: Sequence[int]) -> None:
        self._source, self._rows = source, torch.tensor(rows, dtype=torch.int64)  # 8 bytes each, shared with workers

    def __len__(self) -> int:
        return len(self._rows)

    def checksum(self) -> int:
        return zlib.crc32(b"rows" + self._rows.numpy().tobytes(), self._source.checksum())

    def read(self, rows: Sequence[int]) -> list[Any]:
        return self._source.read(self._rows[list(rows)].tolist())


class CachedSamples:
    """Samples that stay in memory."""

    def __init__(self, source: SampleSource) -> None:
        self._source = source
        self._samples: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._source)

    def checksum(self) -> int:
        return self._source.checksum()

    def read(self, rows: Sequence[int]) -> list[Any]:
        missing = [row for row in dict.fromkeys(rows) if row not in self._samples]
        if missing:
            self._samples.update(zip(missing, self._source.read(missing), strict=True))
        return [self._samples[row] for row in rows]
