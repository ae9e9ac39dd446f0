"""Conversion of NumPy arrays, pandas objects and lists to tensors."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.ownership import is_from
from kerastorch.core.tables import check_is_read, table_to_numpy


def from_array(data: Any, name: str) -> Tensor:
    """Convert an array of numbers to a tensor, which shares its memory if possible.

    Args:
        data: A NumPy array, a pandas object, a SciPy sparse array, a number, or a nested list of numbers.
        name: Name of the argument, for messages.

    Raises:
        TypeError: The dtype is not numeric.
        ValueError: A list is ragged, or an array is masked.
    """
    return _from_numpy(_to_numpy(data, name), name)


def to_float_tensor(data: Any, name: str) -> Tensor:
    """Convert an array of real numbers to a new tensor of torch's default dtype; return tensors and symbols unchanged.

    The default dtype is float32 unless `torch.set_default_dtype` was called, as `floatx` in Keras. Integers become
    floats, and float64 arrays are rounded, as in `fit`.

    Args:
        data: A tensor, or anything that `from_array` takes.
        name: Name of the argument, for messages.

    >>> to_float_tensor([1, 2], "x")
    tensor([1., 2.])
    """
    if isinstance(data, Tensor) or hasattr(data, "__torch_function__"):
        return data  # type: ignore[no-any-return]  # a symbol stands for a tensor
    found = from_array(data, name)
    if found.is_complex():
        raise TypeError(f"{name} is {found.dtype}; kerastorch takes real numbers. Use np.abs or stack real and imag.")
    return found.to(torch.get_default_dtype(), copy=True)


def _to_numpy(data: Any, name: str) -> np.ndarray[Any, Any]:
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        raise ValueError(f"{name} is a masked array with {int(np.ma.count_masked(data))} masked values; fill them.")
    if is_scipy_sparse(data):
        return np.asarray(data.toarray())
    if isinstance(data, (list, tuple)):
        _check_rectangular(data, name)
    table = table_to_numpy(data, name)
    if table is not None:
        return table
    try:
        return np.asarray(data)
    except (ValueError, TypeError, RuntimeError) as error:
        raise TypeError(f"{name} cannot be turned into an array: {error}") from error


def _no_numbers(array: np.ndarray[Any, Any], name: str) -> TypeError:
    """Return the error for an array of text or objects, with what to do."""
    how, is_input = "", name == "x" or name.startswith("x[")
    first = array.flat[0] if array.dtype == object and array.size else None
    check_is_read(first, name)
    if is_input and hasattr(first, "__dict__") and not is_from(first, "pandas"):
        return TypeError(
            f"{name} holds objects of the class {type(first).__name__}, which are no numbers. If each is a batch for "
            "the model, pass lambda: batches, and say where its target is: compile(..., prepare_batch=lambda batch: "
            "(batch, batch.y))."
        )
    if array.dtype.kind in "UO":
        layers = "layers.TextVectorization numbers the words of texts, layers.StringLookup those of a column"
        how = f" {layers}." if is_input else " numpy.unique(labels, return_inverse=True)[1] numbers classes."
    return TypeError(f"{name} has dtype {array.dtype}; encode it as numbers first.{how}")


def _from_numpy(array: np.ndarray[Any, Any], name: str) -> Tensor:
    if array.dtype.kind not in "biufc":
        raise _no_numbers(array, name)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype in _WIDE_UNSIGNED:
        if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise TypeError(f"{name} is uint64 with values beyond int64; scale it first.")
        array = array.astype(np.int64)
    if array.dtype.itemsize > 8 and array.dtype.kind == "f":
        array = array.astype(np.float64)
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():  # torch warns of read-only memory; kerastorch never writes to it
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)


# torch has few operations for these dtypes
_WIDE_UNSIGNED = (np.dtype(np.uint16), np.dtype(np.uint32), np.dtype(np.uint64))


def is_converted_by_copy(array: np.ndarray[Any, Any]) -> bool:
    """Return whether a tensor cannot share the memory of an array of numbers."""
    if array.dtype.kind not in "biufc":
        return False
    is_known = array.dtype.isnative and array.dtype not in _WIDE_UNSIGNED
    is_too_long = array.dtype.itemsize > 8 and array.dtype.kind == "f"
    return not is_known or is_too_long or any(stride < 0 for stride in array.strides)


def _check_rectangular(data: Any, name: str) -> None:
    lengths = [len(row) if hasattr(row, "__len__") else None for row in data]
    for index, length in enumerate(lengths):
        if length != lengths[0]:
            given = "a single value" if length is None else f"length {length}"
            raise ValueError(f"{name}[{index}] has {given}, {name}[0] has length {lengths[0]}; pad first.")


def is_scipy_sparse(data: Any) -> bool:
    """Return whether `data` is a sparse array or matrix of SciPy."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(data))


def shape_in_file(data: Any) -> tuple[int, ...] | None:
    """Return the shape of an array whose values are read by `data[rows]`, `None` for other objects.

    Objects that give access to their memory (NumPy, JAX, CuPy) and tables are not read by piece.
    """
    if isinstance(data, (Tensor, np.ndarray, np.generic)) or hasattr(data, "iloc") or not hasattr(data, "__getitem__"):
        return None
    if callable(getattr(data, "get_shape", None)) and callable(getattr(data, "get_dtype", None)):
        return tuple(data.get_shape())  # a slice of safetensors
    if hasattr(data, "__array_interface__") or hasattr(data, "__dlpack__"):
        return None
    shape = getattr(data, "shape", None)
    is_known = isinstance(shape, tuple) and isinstance(getattr(data, "dtype", None), np.dtype)
    return tuple(map(int, shape)) if is_known and shape is not None else None


def to_tensors(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return targets, outputs and sample weights as tensors; tensors are returned unchanged.

    Outputs in an array get torch's default dtype, float32. Targets and sample weights keep their dtype, because losses
    align it themselves, and are moved to the device of the outputs.

    Args:
        y_true: Targets: a tensor, a NumPy array or a nested list.
        y_pred: Outputs, in the same forms.
        sample_weight: Weights of the samples, in the same forms, or `None`.
    """
    if not isinstance(y_pred, Tensor):
        y_pred = to_float_tensor(y_pred, "y_pred")
    if not isinstance(y_true, Tensor):
        y_true = from_array(y_true, "y_true").to(y_pred.device)
    if sample_weight is not None and not isinstance(sample_weight, Tensor):
        sample_weight = from_array(sample_weight, "sample_weight").to(y_pred.device)
    return y_true, y_pred, sample_weight
