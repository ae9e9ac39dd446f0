"""timeseries_dataset_from_array: windows of a series as a dataset, without copying the series."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.array_conversion import from_array
from kerastorch.core.errors import check_choice, check_int
from kerastorch.data.batched_dataset import BatchedDataset


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "torch",  # noqa: A002  # Keras' name
) -> BatchedDataset:
    """Return the windows of a series as a dataset.

    Window `i` begins at step `start_index + i * sequence_stride`. The series is not copied: a window is a view of it,
    or is read from the file of a memory map when it is used.

    Args:
        data: An array or tensor whose first axis is time, `(steps,)` or `(steps, ...)`; a list; a memory map; or an
            array of h5py or zarr.
        targets: `targets[s]` is the target of the window that begins at step `s`. `None` for no targets. Windows
            without a target are left out.
        sequence_length: Steps of a window.
        sequence_stride: Steps between the beginnings of two windows. Default 1.
        sampling_rate: Steps between two values of a window. Default 1.
        batch_size: Windows in a batch. Default 128. With `None`, iteration gives single windows.
        shuffle: Whether the windows are shuffled, and again in each pass. Default `False`.
        seed: Seed of the shuffling. Default: that of torch, which `utils.set_random_seed` sets.
        start_index: First step that is used. Default 0.
        end_index: Step before which the series ends. Default: all steps.
        format: No effect: the result is always a torch `Dataset`. Keras' `'tf'` and `'grain'` are accepted.

    Returns:
        A [`BatchedDataset`][kerastorch.data.BatchedDataset] of windows, or of pairs of a window and its target.

    Shape: `data` of `(steps, ...)` gives windows of `(sequence_length, ...)`.

    Raises:
        ValueError: An argument is out of its range, or the series has fewer steps than a window.

    >>> dataset = timeseries_dataset_from_array(np.arange(9), np.arange(9) + 3, sequence_length=3, batch_size=2)
    >>> next(iter(dataset))
    (tensor([[0, 1, 2],
            [1, 2, 3]]), tensor([3, 4]))
    >>> len(dataset)
    7
    """
    check_choice("format", format, ("torch", "tf", "grain"))
    series = _to_array(data, "data")
    values = None if targets is None else _to_array(targets, "targets")
    length = check_int("sequence_length", sequence_length)
    stride = _below("sequence_stride", sequence_stride, len(series))
    rate = _below("sampling_rate", sampling_rate, len(series))
    start = 0 if start_index is None else _below("start_index", start_index, len(series), least=0)
    end = len(series) if end_index is None else _below("end_index", end_index, len(series), least=start + 1)
    span = (length - 1) * rate + 1  # steps from the first value of a window to its last
    count = end - start - span + 1
    if values is not None:
        count = min(count, len(values) - start)
    if count < 1:
        with_targets = "" if values is None else f" and {len(values)} targets"
        raise ValueError(f"no window of {span} steps fits into steps {start} to {end} of the series{with_targets}.")
    starts = start + np.arange(0, count, stride)
    if shuffle:
        np.random.RandomState(torch.initial_seed() % 2**32 if seed is None else seed).shuffle(starts)
    source = _Windows(series, values, starts, span, rate)
    return BatchedDataset(source, batch_size=batch_size, shuffle=shuffle, seed=seed)


class _Windows:
    """Windows of a series, with their targets if there are any.

    Args:
        series: The values, `(steps, ...)`.
        targets: Targets by the step at which a window begins, or `None`.
        starts: First step of each window.
        span: Steps from the first value of a window to the one after its last.
        rate: Steps between two values.
    """

    def __init__(self, series: Any, targets: Any, starts: np.ndarray[Any, Any], span: int, rate: int) -> None:
        self._series, self._targets, self._starts, self._span, self._rate = series, targets, starts, span, rate

    def __len__(self) -> int:
        return len(self._starts)

    def checksum(self) -> int:
        return zlib.crc32(self._starts.tobytes(), self._span * self._rate)

    def read(self, rows: Sequence[int]) -> list[Any]:
        starts = self._starts[list(rows)]
        windows = _windows(self._series, starts, self._span, self._rate)
        if self._targets is None:
            return windows
        targets = _windows(self._targets, starts, 1, 1)
        return [(window, target[0]) for window, target in zip(windows, targets, strict=True)]


def _windows(series: Any, starts: np.ndarray[Any, Any], span: int, rate: int) -> list[Tensor]:
    """Return the values from each start on, `(steps, ...)` each; those of a tensor in one call."""
    if isinstance(series, Tensor):
        view = series.unfold(0, span, 1)[..., ::rate].movedim(-1, 1)  # (starts, steps, ...)
        return list(view[torch.from_numpy(starts)].unbind())
    return [from_array(series[start : start + span : rate], "data") for start in starts.tolist()]


def _to_array(given: Any, name: str) -> Any:
    """Return a tensor that shares the memory of the given array, or else an object that is read by slices."""
    if isinstance(given, Tensor) or (hasattr(given, "shape") and not hasattr(given, "to_numpy")):
        array = given
    else:
        array = given.to_numpy() if hasattr(given, "to_numpy") else np.asarray(given)
    shape = tuple(array.shape)
    if not shape or not shape[0]:
        raise ValueError(f"{name} must have an axis of time with at least one step, got the shape {shape}.")
    if isinstance(array, Tensor):
        return array
    first = from_array(array[:1], name)  # raises if the values are no numbers
    # some dtypes must be converted, which would need too much memory for the whole array
    is_shared = isinstance(array, np.ndarray) and np.shares_memory(first.numpy(), array)
    return from_array(array, name) if is_shared else array


def _below(name: str, value: Any, steps: int, least: int = 1) -> int:
    """Return an argument that counts steps, checked to be below the number of steps of the series."""
    if check_int(name, value, least) >= steps:
        raise ValueError(f"{name} must be lower than the length of the series, {steps}, got {value}.")
    return int(value)
