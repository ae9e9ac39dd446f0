"""Opening arrays in files, and other large arrays, so that their rows are read when they are needed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.array_conversion import is_converted_by_copy, is_scipy_sparse, shape_in_file
from kerastorch.data.arrays import to_tensor
from kerastorch.data.lazy_arrays import READ_BYTES, LazyArray, Rows, is_large

MAX_GAP = 4  # rows of which at least one in four is needed are read as one slice


def open_array(data: Any, name: str) -> Tensor | LazyArray:
    """Convert one array to a tensor, or to a `LazyArray` if that would need much memory.

    A tensor shares the memory of `data`, or is a small copy. Larger copies are made of:

    - arrays in files (h5py, zarr, safetensors and similar objects): all of them;
    - NumPy arrays and memory maps: those of a dtype that torch does not have, or of the other byte order;
    - sparse arrays of SciPy: the dense array.

    Args:
        data: Anything that `to_tensor` takes, or an object with `shape`, `dtype` and `[rows]`.
        name: Name of the argument, for messages.

    Raises:
        TypeError: The dtype is not numeric, or is complex.
        ValueError: The array has no axis of rows.
    """
    shape = shape_in_file(data)
    if shape is not None and shape:
        return _lazy_or_whole(data, shape, name, READ_BYTES) if shape[0] else torch.empty(shape)
    if not is_large(_copy_bytes(data)):
        return to_tensor(data[...] if shape == () else data, name)
    return _lazy_or_whole(data if isinstance(data, np.ndarray) else data.tocsr(), tuple(data.shape), name, 0)


def _copy_bytes(data: Any) -> int:
    """Return the bytes that `to_tensor` copies of a NumPy array or a sparse array, as far as it is known."""
    if is_scipy_sparse(data):
        return math.prod(data.shape) * data.dtype.itemsize if data.ndim == 2 else 0
    is_copied = isinstance(data, np.ndarray) and not np.ma.isMaskedArray(data) and is_converted_by_copy(data)
    return data.size * max(data.itemsize, 8) if is_copied else 0


def _lazy_or_whole(source: Any, shape: tuple[int, ...], name: str, read_bytes: int) -> Tensor | LazyArray:
    """Return an array of one or more rows as a tensor if it is small."""
    read = _Reader(source, name)
    array = LazyArray(shape, read.dtype, read, read_bytes=read_bytes)
    return array if is_large(array.nbytes) else read(slice(0, shape[0]))


class _Reader:
    """Reads rows of an array by slices and by increasing indices, and returns them in the order asked for.

    Args:
        source: An object with `[rows]`, and at least one row.
        name: Name of the argument, for messages.

    Attributes:
        dtype: Dtype of the tensors that it returns, which the first row shows.
    """

    def __init__(self, source: Any, name: str) -> None:
        self._source, self._name = source, name
        self._takes_indices = not hasattr(source, "get_shape")
        first = self._convert(source[0:1])
        self.dtype, self._row_bytes = first.dtype, first.nbytes

    def __call__(self, rows: Rows) -> Tensor:
        if isinstance(rows, slice):
            return self._convert(self._source[rows])
        ordered, places = torch.unique(rows, return_inverse=True)
        if not len(ordered):
            return self._convert(self._source[0:0])
        first, last = int(ordered[0]), int(ordered[-1]) + 1
        is_dense = last - first <= MAX_GAP * len(ordered) and (last - first) * self._row_bytes <= READ_BYTES
        if is_dense or last - first == len(ordered):
            return self._convert(self._source[first:last]).index_select(0, rows - first)
        return self._ordered(ordered).index_select(0, places)

    def _ordered(self, rows: Tensor) -> Tensor:
        """Return rows by increasing indices."""
        if self._takes_indices:
            return self._convert(self._source[rows.numpy()])
        runs = torch.tensor_split(rows, (rows.diff() > 1).nonzero().flatten() + 1)
        return torch.cat([self._convert(self._source[int(run[0]) : int(run[-1]) + 1]) for run in runs])

    def _convert(self, part: Any) -> Tensor:
        # copied: memory of a file may be unaligned, which changes the last bits of sums
        if isinstance(part, Tensor):
            return to_tensor(part, self._name).clone()
        return to_tensor(part if is_scipy_sparse(part) else np.array(part), self._name)
