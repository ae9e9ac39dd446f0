"""Converting what users plot (tensors, arrays, lists, pandas objects) to NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


def to_array(name: str, value: Any) -> Array:
    """Return tensors on any device, arrays, lists or pandas objects as an array of numbers or strings.

    Args:
        name: Name of the argument, for messages.
        value: What the user passed.

    Raises:
        ValueError: The value is ragged, empty or a single number.
        TypeError: The value holds other things than numbers and strings.
    """
    if isinstance(value, Tensor):
        value = value.detach().to("cpu")
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    elif isinstance(value, (list, tuple)) and any(isinstance(one, Tensor) for one in value):
        value = [to_array(name, one) if isinstance(one, Tensor) and one.ndim else float_or_int(one) for one in value]
    try:
        array: Array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array; its rows have different lengths.") from error
    if array.dtype == object and all(isinstance(one, str) for one in array.flat):  # a column of pandas
        array = array.astype(str)
    if array.dtype.kind not in "biufU":
        raise TypeError(f"{name} must hold numbers or strings, got {type(value).__name__} of dtype {array.dtype}.")
    if not array.ndim or not array.size:
        raise ValueError(f"{name} must have at least one row, got {value!r}.")
    return array


def float_or_int(value: Any) -> Any:
    """Return a tensor of one number as a Python number, and everything else unchanged."""
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def check_same_rows(first: str, n_first: int, second: str, n_second: int) -> None:
    """Check that two arguments have the same number of rows.

    Raises:
        ValueError: They differ.
    """
    if n_first != n_second:
        raise ValueError(f"{first} has {n_first} rows, {second} has {n_second}; they must have the same number.")
