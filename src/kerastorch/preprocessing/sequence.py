"""Sequences of different lengths as one array: Keras' `pad_sequences`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from kerastorch.core.absent_names import absent_name
from kerastorch.core.errors import check_int, unknown
from kerastorch.core.keras_names import PREPROCESSING_SEQUENCE

__all__ = ["pad_sequences"]


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float | str = 0.0,
) -> np.ndarray[Any, Any]:
    """Return sequences of different lengths as one array, padded and truncated as in Keras.

    Args:
        sequences: Lists or arrays of numbers, or of rows of numbers that all have the same shape.
        maxlen: Length of the padded sequences. Default: that of the longest.
        dtype: Dtype of the array.
        padding: `'pre'` pads before a sequence, `'post'` after it.
        truncating: `'pre'` removes the first steps of a sequence that is too long, `'post'` the last.
        value: Value of the padding; a text with `dtype=object`.

    Returns:
        An array of shape `(len(sequences), maxlen, ...)`.

    Raises:
        TypeError: `sequences` is no list of sequences.
        ValueError: `padding` or `truncating` has another value, or steps have different shapes.

    >>> pad_sequences([[1, 2, 3], [4]], padding="post")
    array([[1, 2, 3],
           [4, 0, 0]], dtype=int32)
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise unknown(name, str(side), ("pre", "post"))
    arrays = _arrays(sequences)
    if isinstance(value, str) and np.dtype(dtype).kind not in "OSU":
        raise ValueError(f"value is the text {value!r}, and dtype is {dtype}; pass dtype=object for texts.")
    length = max((len(array) for array in arrays), default=0) if maxlen is None else check_int("maxlen", maxlen)
    step_shape = next((array.shape[1:] for array in arrays if len(array)), ())
    padded = np.full((len(arrays), length, *step_shape), value, dtype=dtype)
    for row, array in zip(padded, arrays, strict=True):
        if not len(array):
            continue
        steps = array[-length:] if truncating == "pre" else array[:length]
        if array.shape[1:] != step_shape:
            raise ValueError(
                f"pad_sequences: steps have the shape {step_shape}, and in another sequence {array.shape[1:]}."
            )
        row[length - len(steps) if padding == "pre" else 0 :][: len(steps)] = steps
    return padded


def _arrays(sequences: Any) -> list[np.ndarray[Any, Any]]:
    """Return each sequence as an array.

    Raises:
        TypeError: This is no list of sequences.
    """
    if not hasattr(sequences, "__len__") or isinstance(sequences, (str, bytes)):
        raise TypeError(f"sequences must be a list of sequences, got {type(sequences).__name__}.")
    arrays = [np.asarray(sequence) for sequence in sequences]
    single = next((row for row, array in enumerate(arrays) if not array.ndim), None)
    if single is not None:
        raise TypeError(
            f"sequences must be a list of sequences, and sequences[{single}] is {sequences[single]!r}. For one "
            "sequence, pass [sequence]."
        )
    return arrays


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, PREPROCESSING_SEQUENCE)
