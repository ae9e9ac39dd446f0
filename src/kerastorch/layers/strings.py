"""Arrays of strings from lists, NumPy and pandas; torch has no tensors of strings."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_string_array(data: Any, name: str, encoding: str = "utf-8") -> np.ndarray[Any, np.dtype[np.object_]]:
    """Return `data` as a NumPy array of `str` objects.

    Args:
        data: A string, (nested) lists of strings, or an array; bytes are decoded.
        name: Name of the layer, for messages.
        encoding: Encoding of bytes. Default `"utf-8"`.

    Raises:
        TypeError: An element that is no string, a tensor, or a call that is being traced.
        ValueError: Rows of different lengths.
    """
    raise_if_traced(data, name)
    try:
        array = np.asarray(data, dtype=object)
    except ValueError:
        raise ValueError(
            f"{name} takes rows of the same length; pad them with the mask token, or call it on each."
        ) from None
    flat = [value.decode(encoding) if isinstance(value, bytes) else value for value in array.reshape(-1)]
    wrong = [value for value in flat if not isinstance(value, str)]
    if wrong:
        hint = " Rows must be of the same length." if isinstance(wrong[0], (list, tuple)) else ""
        raise TypeError(f"{name} takes strings, got {wrong[0]!r} of type {type(wrong[0]).__name__}.{hint}")
    return np.array(flat, dtype=object).reshape(array.shape)


def raise_if_traced(data: Any, name: str) -> None:
    """Raise an error if a layer on strings is traced.

    Args:
        data: Input of the layer.
        name: Name of the layer, for messages.

    Raises:
        TypeError: The layer is being compiled or exported, or `data` is a tensor or a symbolic input. The message
            advises to call the layer before the model.
    """
    advice = f"Call {name} on the data before it goes into the model, and give the model what comes out."
    if torch.compiler.is_compiling():
        raise TypeError(f"{name} works on strings in Python and cannot be compiled or exported. {advice}")
    if isinstance(data, Tensor) or hasattr(data, "__torch_function__"):
        raise TypeError(f"{name} takes strings, as lists or NumPy arrays, got a {type(data).__name__}. {advice}")
