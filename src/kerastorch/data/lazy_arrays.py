"""LazyArray: an array whose rows are read, and converted to a tensor, when a batch needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Bytes of memory that kerastorch may add for one array: a larger one is neither read nor converted as a whole.
MAX_COPY_BYTES = 2**26
READ_BYTES = 2**24  # how much is read at once from a file, where each request costs time

Rows = slice | Tensor


def is_large(size: int) -> bool:
    """Return whether a size in bytes is too large for a copy of an array."""
    return size > MAX_COPY_BYTES


class LazyArray:
    """An array of which only the rows of a few batches are in memory.

    It has the attributes and methods of a tensor that `ArrayBatches` uses. Each read returns a new tensor.

    Args:
        shape: Shape of the array; the first axis has the rows.
        dtype: Dtype of the tensors that `read` returns.
        read: Returns rows as a tensor on `device`.
        device: Device of these tensors.
        read_bytes: How many bytes should be read at once, 0 if it makes no difference.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        read: Callable[[Rows], Tensor],
        *,
        device: torch.device | None = None,
        read_bytes: int = 0,
    ) -> None:
        self.shape, self.dtype, self.device = torch.Size(shape), dtype, device or torch.device("cpu")
        self.read_bytes, self._read = read_bytes, read

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Return the bytes of all rows as tensors."""
        return self.shape.numel() * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Tensor:
        return self._read(slice(*rows.indices(len(self))))

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """Return rows by their indices, which may be in any order; `dim` is 0."""
        return self._read(rows)

    def is_floating_point(self) -> bool:
        """Return whether the tensors hold floats."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Return whether the tensors hold complex numbers."""
        return self.dtype.is_complex


def load_to(array: Tensor | LazyArray, device: torch.device) -> Tensor | LazyArray:
    """Return an array on a device: a lazy array with all of its rows on an accelerator, and unchanged on the CPU."""
    if isinstance(array, Tensor):
        return array.to(device)
    if device.type == "cpu":
        return array
    whole = torch.empty(array.shape, dtype=array.dtype, device=device)
    for start, piece in pieces(array, READ_BYTES):
        whole[start : start + len(piece)] = piece
    return whole


def pieces(array: Tensor | LazyArray, size: int, rows: range | None = None) -> Iterator[tuple[int, Tensor]]:
    """Yield the number of the first row, and the rows, of consecutive pieces of an array.

    Args:
        array: At least one axis.
        size: Bytes of a piece; a piece has at least one row.
        rows: The rows to yield, which are consecutive; `None` for all.
    """
    count = len(array)
    step = max(1, size // max(1, array.nbytes // max(1, count)))
    rows = range(count) if rows is None else rows
    for start in rows[::step]:
        yield start, array[start : min(start + step, rows.stop)]


def converted_by_piece(array: Tensor | LazyArray, convert: Callable[[Tensor], Tensor]) -> LazyArray:
    """Return an array whose rows are converted when they are read.

    Args:
        array: The rows; it is not copied.
        convert: Converts some of them.
    """
    dtype = convert(torch.empty(0, *array.shape[1:], dtype=array.dtype)).dtype

    def read(rows: Rows) -> Tensor:
        part = array[rows] if isinstance(rows, slice) else array.index_select(0, rows)
        converted = convert(part)
        return converted.clone() if converted is array or converted.data_ptr() == part.data_ptr() else converted

    size = array.read_bytes if isinstance(array, LazyArray) else 0
    return LazyArray(tuple(array.shape), dtype, read, device=array.device, read_bytes=size)
