"""Strings, which torch has no tensors for: from lists, NumPy and pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_string_array(data: Any, name: str, encoding: str = "utf-8") -> np.ndarray[Any, np.dtype[np.object_]]:
    """`data` as an array of `str`.

    Args:
        data: a string, (nested) lists of them, or an array; bytes are decoded.
        name: of the layer, for messages.
        encoding: of bytes.

    Raises:
        TypeError: something that is no string; a tensor; a call that is being traced.
    """
    raise_if_traced(data, name)
    try:
        found = np.asarray(data, dtype=object)
    except ValueError:
        raise ValueError(
            f"{name} takes rows of the same length; pad them with the mask token, or call it on each."
        ) from None
    flat = [one.decode(encoding) if isinstance(one, bytes) else one for one in found.reshape(-1)]
    wrong = [one for one in flat if not isinstance(one, str)]
    if wrong:
        hint = " Rows must be of the same length." if isinstance(wrong[0], (list, tuple)) else ""
        raise TypeError(f"{name} takes strings, got {wrong[0]!r} of type {type(wrong[0]).__name__}.{hint}")
    return np.array(flat, dtype=object).reshape(found.shape)


def raise_if_traced(data: Any, name: str) -> None:
    """Say what to do where there is no Python to work on strings."""
    instead = f"Call {name} on the data before it goes into the model, and give the model what comes out."
    if torch.compiler.is_compiling():
        raise TypeError(f"{name} works on strings in Python and cannot be compiled or exported. {instead}")
    if isinstance(data, Tensor) or hasattr(data, "__torch_function__"):
        raise TypeError(f"{name} takes strings, as lists or NumPy arrays, got a {type(data).__name__}. {instead}")
