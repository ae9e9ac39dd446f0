"""Small helps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kerastorch.core.errors import check_int, unknown

if TYPE_CHECKING:
    from kerastorch.inspection.plot import plot_model

__all__ = ["pad_sequences", "plot_model", "set_random_seed", "to_categorical"]


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and torch: initial weights, dropout and the order of batches follow from it.

    Args:
        seed: an integer from 0 to 2^32 - 1.

    >>> set_random_seed(0)
    """
    random.seed(check_int("seed", seed, 0))
    np.random.seed(seed)
    torch.manual_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Class numbers as rows with a one in the place of the class.

    Args:
        x: whole numbers from 0, any shape; a last axis of 1 is left out.
        num_classes: how long a row is; `None` is the largest number plus one.

    Returns:
        `(*shape, num_classes)`, float32.

    Raises:
        ValueError: a number that is not whole, negative, or not below `num_classes`.

    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    given = np.asarray(x)
    numbers = given.astype(np.int64)
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        given, numbers = given[..., 0], numbers[..., 0]
    count = int(numbers.max(initial=-1)) + 1 if num_classes is None else check_int("num_classes", num_classes)
    wrong = given[(given != numbers) | (numbers < 0) | (numbers >= count)]
    if wrong.size:
        raise ValueError(f"to_categorical takes whole numbers from 0 to {count - 1}, got {wrong.flat[0]}.")
    rows: np.ndarray[Any, np.dtype[np.float32]] = (numbers[..., None] == np.arange(count)).astype(np.float32)
    return rows


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> np.ndarray[Any, Any]:
    """Sequences of different lengths as one array, as Keras makes it.

    Args:
        sequences: lists or arrays of numbers, or of equal rows of numbers.
        maxlen: how long each is then; `None` is the longest.
        dtype: of the array.
        padding: where `value` is put, `'pre'` (before) or `'post'` (behind).
        truncating: where what is too much is cut off.
        value: what is put there.

    Returns:
        `(len(sequences), maxlen, ...)`.

    >>> pad_sequences([[1, 2, 3], [4]], padding="post")
    array([[1, 2, 3],
           [4, 0, 0]], dtype=int32)
    """
    for name, place in (("padding", padding), ("truncating", truncating)):
        if place not in ("pre", "post"):
            raise unknown(name, str(place), ("pre", "post"))
    given = [np.asarray(one) for one in sequences]
    length = max((len(one) for one in given), default=0) if maxlen is None else check_int("maxlen", maxlen)
    inner = next((one.shape[1:] for one in given if len(one)), ())
    padded = np.full((len(given), length, *inner), value, dtype=dtype)
    for row, one in zip(padded, given, strict=True):
        if not len(one):
            continue
        kept = one[-length:] if truncating == "pre" else one[:length]
        if one.shape[1:] != inner:
            raise ValueError(f"pad_sequences: steps have the shape {inner}, and in another sequence {one.shape[1:]}.")
        row[length - len(kept) if padding == "pre" else 0 :][: len(kept)] = kept
    return padded


def __getattr__(name: str) -> Any:
    if name == "plot_model":  # on first use: it is much to import, and seldom needed
        from kerastorch.inspection.plot import plot_model

        return plot_model
    raise AttributeError(f"module 'kerastorch.utils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
